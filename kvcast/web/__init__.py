"""The only Flask glue: how a function answers, refuses, limits, reports and measures."""

from kvcast.web.answers import Answer, Endpoint, Environ, error_answer, json_answer
from kvcast.web.app import FunctionApp

__all__ = ["Answer", "Endpoint", "Environ", "FunctionApp", "error_answer", "json_answer"]
