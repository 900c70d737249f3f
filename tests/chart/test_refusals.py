"""Bad values: nothing is installed, and the sentence names the mend and repeats no secret."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.cases import EXISTING_SECRET, EXTERNAL
from tests.chart.rendering import SECRETS, laid_over, refusal

BOTH = {"autoscaling": {"enabled": True}, "keda": {"enabled": True}}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"replicaz": 3}, "additional properties 'replicaz' not allowed"),
        ({"write": {"replicaz": 3}}, "at '/write': additional properties 'replicaz' not allowed"),
        ({"push": {"pdb": {"minAvailabel": 1}}}, "at '/push/pdb': additional properties 'minAvailabel' not allowed"),
        ({"settings": {"KVCAST_MAXKEYS": 5}}, "at '/settings': additional properties 'KVCAST_MAXKEYS' not allowed"),
        ({"ingress": {"controller": "traefic"}}, "at '/ingress/controller': value must be one of 'traefik'"),
        ({"read": {"workers": "two"}}, "at '/read/workers': got string, want integer"),
        (
            {"redis": {"image": {"tag": "latest"}}},
            "redis.image.tag: latest means another image tomorrow; give the tag of a release, or redis.image.digest.",
        ),
        ({"image": {"digest": "sha256:abc"}}, "at '/image/digest': 'sha256:abc' does not match pattern"),
        (
            {"read": {"podLabels": {"app.kubernetes.io/name": "x"}}},
            "read.podLabels: the label app.kubernetes.io/name is the chart's, selectors go by it; choose another name.",
        ),
        ({"fullnameOverride": "4711"}, '"4711" cannot begin the name of a Service: give fullnameOverride'),
        (
            {"externalDatabase": {"url": "postgresql://u:pass@db/kvcast"}},
            "Both an embedded and an external PostgreSQL are set: give postgresql.enabled=false, or leave external",
        ),
        (
            {"externalRedis": {"url": "redis://cache"}},
            "Both an embedded and an external Redis are set: give redis.enabled=false, or leave externalRedis.url",
        ),
        (
            {"postgresql": {"enabled": False}},
            "No PostgreSQL is set: give postgresql.enabled=true, externalDatabase.url, or auth.existingSecret",
        ),
        (
            {"redis": {"enabled": False}},
            "No Redis is set: give redis.enabled=true, externalRedis.url, or auth.existingSecret",
        ),
        (
            {"read": BOTH},
            "read would be scaled by an HPA and by KEDA: set read.autoscaling.enabled=false or read.keda.enabled=",
        ),
        (
            {"write": {"autoscaling": {"minReplicas": 5, "maxReplicas": 3}}},
            "write.autoscaling: minReplicas 5 is above maxReplicas 3; raise the one or lower the other.",
        ),
        (
            {"push": {"autoscaling": {"enabled": False}, "keda": {"enabled": True, "minReplicas": 11}}},
            "push.keda: minReplicas 11 is above maxReplicas 10",
        ),
        (
            {"read": {"resources": {"requests": None}}},
            "read.autoscaling compares with the CPU request: give read.resources.requests.cpu",
        ),
        (
            {"push": {"env": [{"name": "KVCAST_WORKERS", "value": "4"}]}},
            "push.env: KVCAST_WORKERS is set by the chart; leave it out, and use the value it comes from.",
        ),
        (
            {"push": {"pdb": {"minAvailable": 1}}},
            "push.pdb takes one of minAvailable and maxUnavailable: set the other to null.",
        ),
        (
            {"push": {"pdb": {"maxUnavailable": None}}},
            "push.pdb says nothing: set minAvailable or maxUnavailable, or push.pdb.enabled=false.",
        ),
        (
            {"ingress": {"host": "https://kvcast.example.org/"}},
            'ingress.host: "https://kvcast.example.org/" is no host name; give lower-case letters',
        ),
        ({"ingress": {"host": "kvcast.example.org:8080"}}, "is no host name"),
        ({"ingress": {"host": "my_shop.example.org"}}, "is no host name"),
        ({"ingress": {"host": "-.example.org"}}, "is no host name"),
        ({"httpRoute": {"hostnames": ["fine.example.org", "Bad"]}}, 'httpRoute.hostnames: "Bad" is no host name'),
        (
            {"ingress": {"controller": "nginx-f5"}},
            "The controller nginx-f5 takes no Ingress without a host: give ingress.host.",
        ),
        (
            {"ingress": {"tls": {"enabled": True}}},
            "ingress.tls.enabled needs ingress.tls.secretName: the secret with the certificate",
        ),
        (
            {"httpRoute": {"enabled": True}},
            "httpRoute.enabled needs httpRoute.parentRefs: the gateway, such as [{name: main, namespace: gateways}].",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_mend(values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(laid_over(SECRETS, values))


@pytest.mark.parametrize(
    "given", [{"redis": {"password": "x"}}, {"auth": {"tokens": "a"}}, {"auth": {"jwks": "{}"}}, EXTERNAL]
)
def test_an_existing_secret_beside_given_secrets_is_refused(given: dict[str, Any]) -> None:
    refused = refusal(laid_over(given, {"auth": {"existingSecret": "ours"}}))
    assert "auth.existingSecret replaces every secret value: leave adminToken, tokens, jwtSecret, jwks, the" in refused


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({}, "auth.adminToken, postgresql.password, postgresql.functionsPassword, redis.password"),
        ({**SECRETS, "redis": {}}, "redis.password"),
        ({**EXTERNAL, "auth": {}}, "auth.adminToken"),
    ],
)
def test_without_a_cluster_passwords_are_asked_for(values: dict[str, Any], missing: str) -> None:
    refused = refusal(values)
    assert f"Without a cluster no password can be made and kept: give {missing}, or auth.existingSecret" in refused


@pytest.mark.parametrize("store", ["postgresql", "redis"])
@pytest.mark.parametrize("password", ["pass@word", "a/b", "50%", "with space", "ünlaut"])
def test_a_password_that_does_not_fit_a_url_is_refused_and_not_repeated(store: str, password: str) -> None:
    refused = refusal(laid_over(SECRETS, {store: {"password": password}}))
    assert f"{store}.password holds a character that does not fit into a URL: give letters, digits and" in refused
    assert password not in refused


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"externalDatabase": {"url": "mysql://root:hunter2@db"}}, "externalDatabase.url is no URL of PostgreSQL"),
        ({"externalDatabase": {"migrationUrl": "hunter2"}}, "externalDatabase.migrationUrl is no URL of PostgreSQL"),
        ({"externalRedis": {"url": "cache:hunter2"}}, "externalRedis.url is no URL of Redis"),
    ],
)
def test_a_url_of_another_store_is_refused_and_not_repeated(values: dict[str, Any], sentence: str) -> None:
    refused = refusal(laid_over(laid_over(SECRETS, EXTERNAL), values))
    assert sentence in refused
    assert "hunter2" not in refused


def test_an_existing_secret_needs_no_other() -> None:
    with pytest.raises(AssertionError, match="helm took it"):
        refusal(EXISTING_SECRET)
