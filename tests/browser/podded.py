"""The local run as it is in a pod: it asks the Kubernetes API that the test plays, at KUBERNETES_API_OF_TEST."""

from __future__ import annotations

import os

from kvcast.cluster import Cluster
from tests.kubernetes_api import cluster_at

from functions import local
from functions.read.admin import Orchestrator


def _in_cluster() -> Cluster:
    return cluster_at(os.environ["KUBERNETES_API_OF_TEST"])


def create_app() -> object:
    Orchestrator.find = staticmethod(_in_cluster)  # a pod finds it by its service account, over TLS
    return local.create_app()
