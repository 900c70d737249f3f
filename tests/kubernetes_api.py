"""A real HTTP server that speaks the calls of the Kubernetes API that kvcast makes."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes.client import Configuration

from kvcast.cluster import Cluster

LABELS = {"app.kubernetes.io/name": "kvcast", "app.kubernetes.io/component": "push"}
DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers"
PODS = "/api/v1/namespaces/shop/pods"
Answer = tuple[int, Any]
NOT_FOUND: Answer = (
    404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404},
)  # fmt: skip


class Api:
    """`answers` by path, what the Kubernetes API would say of push where none are given; `asked` and `patched` came."""

    def __init__(self, answers: dict[str, Answer] | None = None) -> None:
        self.answers: dict[str, Answer] = answers or {
            DEPLOYMENTS: items("Deployment", deployment(3, 2)),
            AUTOSCALERS: items("HorizontalPodAutoscaler", autoscaler()),
            PODS: items("Pod", pod("push-a"), pod("push-b", ready=False, restarts=4)),
        }
        self.patched: list[tuple[str, str | None, Any]] = []
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.tokens: set[str | None] = set()
        self.stalled = threading.Event()
        self.released = threading.Event()
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                api.asked.append((address.path, parse_qs(address.query)))
                self._answer(address.path)

            def do_PATCH(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.patched.append((self.path, self.headers["Content-Type"], body))
                self._answer(self.path)

            def _answer(self, path: str) -> None:
                api.tokens.add(self.headers["Authorization"])
                if api.stalled.is_set():
                    api.released.wait(30)
                status, answer = api.answers.get(path, NOT_FOUND)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def cluster(self, **options: float) -> Cluster:
        return cluster_at(self.url, **options)

    def forbid(self) -> None:
        """As a service account without a Role is answered."""
        for path in self.answers:
            self.answers[path] = (403, {"kind": "Status", "code": 403, "reason": "Forbidden"})


def cluster_at(url: str, **options: float) -> Cluster:
    options = {"timeout_seconds": 30.0, **options}
    return Cluster(Configuration(host=url, api_key={"BearerToken": "bearer the-service-account"}), "shop", **options)


def items(kind: str, *found: dict[str, Any], more: str | None = None) -> Answer:
    return 200, {"kind": f"{kind}List", "metadata": {"continue": more} if more else {}, "items": list(found)}


def deployment(replicas: int, ready: int) -> dict[str, Any]:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "push", "image": "kvcast"}]}}
    return {
        "metadata": {"name": "kvcast-push", "labels": LABELS},
        "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template},
        "status": {"readyReplicas": ready, "updatedReplicas": replicas},
    }


def autoscaler() -> dict[str, Any]:
    def resource(which: str, percent: int) -> dict[str, Any]:
        value = {"averageUtilization": percent} | ({"type": "Utilization"} if which == "target" else {})
        return {"type": "Resource", "resource": {"name": "cpu", which: value}}

    def pods(which: str, quantity: str) -> dict[str, Any]:
        value = {"averageValue": quantity} | ({"type": "AverageValue"} if which == "target" else {})
        return {"type": "Pods", "pods": {"metric": {"name": "kvcast_connections"}, which: value}}

    return {
        "metadata": {"name": "kvcast-push", "labels": LABELS},
        "spec": {
            "minReplicas": 2, "maxReplicas": 10, "metrics": [resource("target", 70), pods("target", "5k")],
            "scaleTargetRef": {"kind": "Deployment", "name": "kvcast-push"},
        },
        "status": {
            "currentReplicas": 3, "desiredReplicas": 4,
            # the first: not measured yet
            "currentMetrics": [{"type": ""}, pods("current", "6200"), resource("current", 86)],
        },
    }


def pod(name: str, phase: str = "Running", *, ready: bool = True, restarts: int = 0, **meta: str) -> dict[str, Any]:
    container = {
        "name": "push", "ready": ready, "restartCount": restarts, "image": "kvcast", "imageID": "kvcast", "state": {},
    }
    return {
        "metadata": {"name": name, "labels": LABELS, **meta},
        "status": {"phase": phase, "startTime": "2026-01-05T12:00:00Z", "containerStatuses": [container]},
    }
