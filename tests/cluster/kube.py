"""The Kubernetes that KUBECONFIG names: its API for questions, kubectl and helm for deeds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, load_kube_config
from urllib3.exceptions import HTTPError

API_SECONDS = 5


class NoCluster(Exception):
    """There is nothing to test on; the message is a sentence that names the mend."""


class CommandFailed(AssertionError):
    """A command of kubectl or helm ended otherwise than expected; the message holds what it said."""


class Kube:
    """Raises NoCluster."""

    def __init__(self) -> None:
        self._programs = {name: _program(name) for name in ("kubectl", "helm")}
        configuration = Configuration()
        try:
            load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except ConfigException as error:
            raise NoCluster(f"there is no Kubernetes to test on ({error}); name one with KUBECONFIG.") from error
        configuration.retries = 0
        self._api = ApiClient(configuration)
        try:
            self.version = str(self.get("/version")["gitVersion"])
        except (HTTPError, OSError, CommandFailed) as error:
            raise NoCluster(
                f"the Kubernetes at {configuration.host} does not answer ({error}); start it, or set KUBECONFIG."
            ) from error

    def get(self, path: str, **query: str) -> Any:
        """The JSON at `path` of the API."""
        status, body = self._ask(path, query)
        if status != 200:
            raise CommandFailed(f"GET {path} answered {status}: {body.decode(errors='replace')[:500]}")
        return json.loads(body)

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        return list(self.get(path, **query)["items"])

    def text(self, path: str) -> str:
        """What is at `path`, such as a page of a pod behind the API's proxy; empty when it does not answer."""
        try:
            status, body = self._ask(path, {})
        except (HTTPError, OSError):
            return ""
        return body.decode() if status == 200 else ""

    def _ask(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        request = self._api.param_serialize(
            "GET", path, query_params=list(query.items()), auth_settings=["BearerToken"],
            header_params={"Accept": "application/json, */*"},
        )
        response = self._api.call_api(*request, _request_timeout=API_SECONDS)
        return response.status, response.read()  # type: ignore[no-untyped-call]

    def kubectl(self, *arguments: str, given: str | None = None, timeout: float = 120) -> str:
        return self.run("kubectl", *arguments, given=given, timeout=timeout)

    def run(self, program: str, *arguments: str, given: str | None = None, timeout: float = 300) -> str:
        """What the command printed. given: its standard input. Raises CommandFailed."""
        done = self.attempt(program, *arguments, given=given, timeout=timeout)
        if done.returncode:
            raise CommandFailed(f"{program} {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def attempt(
        self, program: str, *arguments: str, given: str | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(program, *arguments), input=given, capture_output=True, text=True, timeout=timeout, check=False
        )

    def command(self, program: str, *arguments: str) -> list[str]:
        return [self._programs[program], *arguments]

    def nodes(self) -> list[dict[str, Any]]:
        return self.items("/api/v1/nodes")


def _program(name: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if found is None:
        raise NoCluster(f"{name} is not installed; run .venv/bin/python scripts/fetch_helm.py.")
    return found
