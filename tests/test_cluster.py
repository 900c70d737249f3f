"""kvcast/cluster.py through the real Kubernetes client, against a real HTTP server that speaks the three calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from kvcast.cluster import NotInCluster, Refused, in_cluster
from tests.kubernetes_api import AUTOSCALERS, DEPLOYMENTS, LABELS, PODS, Api, autoscaler, items, pod


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.close()


def test_deployments_autoscalers_and_pods_are_told_by_function(api: Api) -> None:
    view = api.cluster().functions()
    assert (view["namespace"], view["notes"]) == ("shop", [])
    assert view["functions"]["push"] == {
        "deployments": [{"name": "kvcast-push", "replicas": 3, "ready": 2, "updated": 3}],
        "horizontalpodautoscalers": [
            {
                "name": "kvcast-push", "least": 2, "most": 10, "current": 3, "desired": 4,
                "metrics": [
                    {"name": "cpu", "current": "86%", "target": "70%"},
                    {"name": "kvcast_connections", "current": "6200", "target": "5k"},
                ],
            }
        ],
        "pods": [
            {"name": "push-a", "phase": "Running", "ready": True, "restarts": 0, "since": "2026-01-05T12:00:00+00:00"},
            {"name": "push-b", "phase": "Running", "ready": False, "restarts": 4, "since": "2026-01-05T12:00:00+00:00"},
        ],
    }


def test_only_our_own_are_asked_for_with_the_token_of_the_service_account(api: Api) -> None:
    api.cluster().functions()
    assert [path for path, _ in api.asked] == [DEPLOYMENTS, AUTOSCALERS, PODS]
    assert {query["labelSelector"][0] for _, query in api.asked} == {"app.kubernetes.io/name=kvcast"}
    assert api.tokens == {"bearer the-service-account"}


def test_a_pod_that_is_starting_and_one_that_is_going_are_told_apart(api: Api) -> None:
    starting = {"metadata": {"name": "push-c", "labels": LABELS}, "status": {"phase": "Pending"}}
    api.answers[PODS] = items("Pod", starting, pod("push-d", deletionTimestamp="2026-01-05T12:01:00Z"))
    pods = api.cluster().functions()["functions"]["push"]["pods"]
    assert [(one["phase"], one["ready"], one["since"] is None) for one in pods] == [
        ("Pending", False, True), ("Terminating", True, False),
    ]


def test_an_autoscaler_without_measurements_has_targets_only(api: Api) -> None:
    fresh = autoscaler()
    fresh["status"] = {"desiredReplicas": 0}
    api.answers[AUTOSCALERS] = items("HorizontalPodAutoscaler", fresh)
    [found] = api.cluster().functions()["functions"]["push"]["horizontalpodautoscalers"]
    assert [metric["current"] for metric in found["metrics"]] == [None, None]
    assert (found["current"], found["desired"]) == (0, 0)


def test_what_may_not_be_listed_names_the_role_that_is_missing_and_the_rest_is_told(api: Api) -> None:
    api.answers[AUTOSCALERS] = (403, {"kind": "Status", "code": 403, "reason": "Forbidden"})
    view = api.cluster().functions()
    [note] = view["notes"]
    assert 'apiGroups ["autoscaling"], resources ["horizontalpodautoscalers"], verbs ["list"]' in note
    assert "namespace shop" in note
    assert view["functions"]["push"]["horizontalpodautoscalers"] == []
    assert len(view["functions"]["push"]["pods"]) == 2


@pytest.mark.parametrize(("status", "word"), [(401, "token"), (500, "answered 500"), (404, "answered 404")])
def test_other_refusals_are_told_in_a_sentence(api: Api, status: int, word: str) -> None:
    api.answers[PODS] = (status, {"kind": "Status", "code": status})
    [note] = api.cluster().functions()["notes"]
    assert word in note
    assert len(api.asked) == 3, "a refused call was repeated"


def test_an_answer_that_no_model_takes_is_told(api: Api) -> None:
    api.answers[DEPLOYMENTS] = (200, {"items": [{"spec": {"replicas": "three"}}]})
    [note] = api.cluster().functions()["notes"]
    assert "deployments" in note


def test_more_pods_than_are_listed_are_admitted(api: Api) -> None:
    api.answers[PODS] = items("Pod", pod("push-a"), more="a-token")
    assert "over 500 pods" in api.cluster().functions()["notes"][0]


def test_an_api_that_stalls_costs_one_timeout(api: Api) -> None:
    api.stalled.set()
    view = api.cluster(timeout_seconds=0.3).functions()
    assert "did not answer within 0.3 s" in view["notes"][0]
    assert len(api.asked) == 1


def test_an_api_that_is_not_there_is_told(api: Api) -> None:
    cluster = api.cluster()
    api.close()
    [note] = cluster.functions()["notes"]
    assert "did not answer" in note


def test_one_annotation_of_one_pod_is_set_and_nothing_else(api: Api) -> None:
    api.answers[f"{PODS}/push-a"] = (200, pod("push-a"))
    api.cluster().annotate("push-a", "example.org/cost", "7")
    body = {"metadata": {"annotations": {"example.org/cost": "7"}}}
    assert api.patched == [(f"{PODS}/push-a", "application/merge-patch+json", body)]


def test_an_annotation_that_is_refused_names_the_role(api: Api) -> None:
    api.answers[f"{PODS}/push-a"] = (403, {"kind": "Status", "code": 403})
    with pytest.raises(Refused, match=r'resources \["pods"\], verbs \["patch"\]'):
        api.cluster().annotate("push-a", "example.org/cost", "7")


def test_outside_a_cluster_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotInCluster, match="does not run in Kubernetes"):
        in_cluster({}, tmp_path)


def test_a_pod_without_a_service_account_is_told_what_to_set(tmp_path: Path) -> None:
    inside = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(NotInCluster, match="automountServiceAccountToken"):
        in_cluster(inside, tmp_path)
    (tmp_path / "token").write_text("secret")
    with pytest.raises(NotInCluster, match="cannot be used"):
        in_cluster(inside, tmp_path)


def test_inside_a_cluster_the_namespace_is_that_of_the_service_account(tmp_path: Path) -> None:
    authority = Path(certifi.where())
    (tmp_path / "token").write_text("secret")
    (tmp_path / "ca.crt").write_bytes(authority.read_bytes())
    (tmp_path / "namespace").write_text("shop\n")
    inside = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert in_cluster(inside, tmp_path).namespace == "shop"
