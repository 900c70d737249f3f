"""gunicorn's own lines, in the form of ours."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

from kvcast.config import Settings
from kvcast.logs import formatter


class Logger(GunicornLogger):  # type: ignore[misc]
    def _set_handler(self, log: logging.Logger, output: str, fmt: logging.Formatter, stream: Any = None) -> None:
        settings = Settings.from_environment()
        super()._set_handler(log, output, formatter(settings.log_format, settings.server_name), stream)
