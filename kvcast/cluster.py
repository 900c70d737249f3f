"""What the Kubernetes API says of our functions: deployments, autoscalers and pods. Changes annotations of pods only.

A part that may not be read is left out and named in `notes`, in a sentence that says what to allow.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from kubernetes.client import Configuration

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SELECTOR = "app.kubernetes.io/name=kvcast"
COMPONENT = "app.kubernetes.io/component"
TIMEOUT_SECONDS = 2.0
_PODS_MOST = 500


class NotInCluster(Exception):
    """There is no API to ask; the message is a sentence that says why."""


class Refused(Exception):
    """The API did not do what it was asked; the message is a sentence that says what to allow."""


class _Unreachable(Refused):
    pass


class _Kind(NamedTuple):
    name: str
    group: str  # of the API, as a Role names it


_DEPLOYMENTS = _Kind("deployments", "apps")
_AUTOSCALERS = _Kind("horizontalpodautoscalers", "autoscaling")
_PODS = _Kind("pods", "")


def in_cluster(environment: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> Cluster:
    """The cluster that this process runs in. Raises NotInCluster."""
    if not environment.get("KUBERNETES_SERVICE_HOST"):
        raise NotInCluster("kvcast does not run in Kubernetes here, so there are no pods and no autoscaler to show.")
    if not (account / "token").is_file():
        raise NotInCluster(
            "This pod has no service account token, so it cannot ask the Kubernetes API; "
            "give it a service account and set automountServiceAccountToken."
        )
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException
    from kubernetes.config.incluster_config import InClusterConfigLoader

    configuration = Configuration()
    loader = InClusterConfigLoader(str(account / "token"), str(account / "ca.crt"), environ=environment)  # type: ignore[no-untyped-call]
    try:
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
        namespace = (account / "namespace").read_text(encoding="utf-8").strip()
    except (ConfigException, OSError) as error:
        raise NotInCluster(f"The service account of this pod cannot be used: {error}") from error
    return Cluster(configuration, namespace)


class Cluster:
    """Asks with `configuration` about one namespace, TIMEOUT_SECONDS a call, and never repeats a call."""

    def __init__(self, configuration: Configuration, namespace: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        from kubernetes.client import ApiClient, AppsV1Api, AutoscalingV2Api, CoreV1Api

        configuration.retries = 0
        api = ApiClient(configuration)
        if configuration.host.startswith("https"):
            api.rest_client.pool_manager.connection_pool_kw["ssl_context"] = _tls(configuration)
        self._core = CoreV1Api(api)
        self.namespace = namespace
        self._timeout_seconds = timeout_seconds
        self._parts: tuple[tuple[_Kind, Callable[..., Any], Callable[[Any], dict[str, Any]]], ...] = (
            (_DEPLOYMENTS, AppsV1Api(api).list_namespaced_deployment, _deployment),
            (_AUTOSCALERS, AutoscalingV2Api(api).list_namespaced_horizontal_pod_autoscaler, _autoscaler),
            (_PODS, self._core.list_namespaced_pod, _pod),
        )

    def functions(self) -> dict[str, Any]:
        """{"namespace", "notes", "functions": {name: {"deployments", "horizontalpodautoscalers", "pods"}}}."""
        found: dict[str, dict[str, list[dict[str, Any]]]] = {}
        notes: list[str] = []
        for kind, ask, describe in self._parts:
            try:
                items, note = self._list(kind, ask)
            except _Unreachable as error:
                notes.append(str(error))
                break  # the others would wait as long, for nothing
            if note:
                notes.append(note)
            for item in items:
                component = (item.metadata.labels or {}).get(COMPONENT)
                if component:
                    function = found.setdefault(component, {part.name: [] for part, _, _ in self._parts})
                    function[kind.name].append(describe(item))
        return {"namespace": self.namespace, "notes": notes, "functions": found}

    def annotate(self, pod: str, name: str, value: str) -> None:
        """Set one annotation of a pod. Raises Refused."""
        body = {"metadata": {"annotations": {name: value}}}
        self._answer(
            _PODS, "patch",
            lambda: self._core.patch_namespaced_pod(
                pod, self.namespace, body, _content_type="application/merge-patch+json",
                _request_timeout=self._timeout_seconds,
            ),
        )

    def _list(self, kind: _Kind, ask: Callable[..., Any]) -> tuple[list[Any], str | None]:
        try:
            answer = self._answer(
                kind, "list",
                lambda: ask(
                    self.namespace, label_selector=SELECTOR, limit=_PODS_MOST, _request_timeout=self._timeout_seconds
                ),
            )
        except _Unreachable:
            raise
        except Refused as refusal:
            return [], str(refusal)
        more = bool(answer.metadata and answer.metadata.var_continue)
        return answer.items, f"There are over {_PODS_MOST} {kind.name}; the rest is left out." if more else None

    def _answer(self, kind: _Kind, verb: str, ask: Callable[[], Any]) -> Any:
        """Raises Refused, or _Unreachable where nothing else would be answered either."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError
        from urllib3.exceptions import SSLError as TlsFailure

        try:
            return ask()
        except ApiException as error:
            raise Refused(self._refusal(kind, verb, error.status or 0)) from error
        except (HTTPError, OSError) as error:
            reason = getattr(error, "reason", None)
            if isinstance(reason, TlsFailure):
                raise _Unreachable(f"The Kubernetes API's certificate is refused ({reason}).") from error
            raise _Unreachable(
                f"The Kubernetes API did not answer within {self._timeout_seconds:g} s ({type(error).__name__}); "
                "it is asked again. A NetworkPolicy may keep this pod from reaching it."
            ) from error
        except ValueError as error:  # a field that this client's models do not take
            raise Refused(
                f"The Kubernetes API answered {kind.name} in a form that is not known here ({error})."
            ) from error

    def _refusal(self, kind: _Kind, verb: str, status: int) -> str:
        if status == 401:
            return "The Kubernetes API does not know this pod's service account token; restart the pod."
        if status == 403:
            return (
                f"The service account may not {verb} {kind.name} in namespace {self.namespace}: it needs a Role with "
                f'apiGroups ["{kind.group}"], resources ["{kind.name}"], verbs ["{verb}"], and a RoleBinding.'
            )
        return f"The Kubernetes API answered {status} to {verb} {kind.name}; it is asked again."


def _tls(configuration: Configuration) -> ssl.SSLContext:
    """Verifies as Python did before 3.13, whose strictness refuses the authorities of many clusters.

    They lack an extension that RFC 5280 asks for: https://docs.python.org/3/library/ssl.html#ssl.VERIFY_X509_STRICT
    """
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _deployment(item: Any) -> dict[str, Any]:
    return {
        "name": item.metadata.name,
        "replicas": item.spec.replicas,
        "ready": item.status.ready_replicas or 0,
        "updated": item.status.updated_replicas or 0,
    }


def _pod(item: Any) -> dict[str, Any]:
    containers = item.status.container_statuses or []
    deleting = item.metadata.deletion_timestamp is not None
    return {
        "name": item.metadata.name,
        "phase": "Terminating" if deleting else item.status.phase or "Unknown",
        "ready": bool(containers) and all(container.ready for container in containers),
        "restarts": sum(container.restart_count for container in containers),
        "since": item.status.start_time.isoformat() if item.status.start_time else None,
    }


def _autoscaler(item: Any) -> dict[str, Any]:
    measured = [metric for metric in item.status.current_metrics or [] if _source(metric) is not None]
    current = {_metric_name(metric): _current(metric) for metric in measured}
    return {
        "name": item.metadata.name,
        "least": item.spec.min_replicas or 1,
        "most": item.spec.max_replicas,
        "current": item.status.current_replicas or 0,
        "desired": item.status.desired_replicas,
        "metrics": [
            {"name": name, "current": current.get(name), "target": _target(metric)}
            for metric in item.spec.metrics or []
            if (name := _metric_name(metric))
        ],
    }


def _source(metric: Any) -> Any:
    return metric.resource or metric.pods or metric.object or metric.external or metric.container_resource


def _metric_name(metric: Any) -> str:
    source = _source(metric)
    return str(getattr(source, "name", None) or source.metric.name) if source is not None else ""


def _quantity(value: Any) -> str | None:
    if value.average_utilization is not None:
        return f"{value.average_utilization}%"
    quantity: str | None = value.average_value or value.value
    return quantity


def _current(metric: Any) -> str | None:
    return _quantity(_source(metric).current)


def _target(metric: Any) -> str | None:
    return _quantity(_source(metric).target)
