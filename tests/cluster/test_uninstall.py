"""Uninstall: what stays, and that it opens again."""

from __future__ import annotations

import re

from tests.cluster.conftest import Figure
from tests.cluster.namespaces import Namespace
from tests.cluster.release import NAME, POLL_SECONDS, Release
from tests.polling import eventually

CLAIMS = {f"persistentvolumeclaim/data-{NAME}-postgresql-0", f"persistentvolumeclaim/data-{NAME}-redis-0"}
SECRET = f"secret/{NAME}-database"
# What Kubernetes itself puts into a namespace, and what passes.
OTHERS = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
PASSING = ("event/", "event.events.k8s.io/", "endpointslice.discovery.k8s.io/", "endpoints/", "pod.metrics.k8s.io/")


def all_of(namespace: Namespace) -> set[str]:
    """Every object of the namespace, as kind/name."""
    kinds = namespace.kubectl("api-resources", "--verbs=list", "--namespaced", "--output=name").split()
    named = namespace.kubectl("get", ",".join(kinds), "--output=name", "--ignore-not-found").split()
    return {name for name in named if not name.startswith(PASSING)}


def commands_of_notes(release: Release) -> list[list[str]]:
    """The commands that NOTES give for removing the rest."""
    notes = release.helm("get", "notes", NAME)
    assert "helm uninstall leaves the claims of the embedded stores" in notes
    return [line.split()[3:] for line in re.findall(r"kubectl -n \S+ delete .*", notes)]


def test_claims_and_secret_stay_and_open_again(small: Release, figure: Figure) -> None:
    rev = small.site().rev_of("uninstall.kept", '"before"')
    secret = small.namespace.secret(f"{NAME}-database")
    said = small.helm("uninstall", NAME, "--wait")
    assert f"[Secret] {NAME}-database" in said
    eventually(lambda: all_of(small.namespace) == CLAIMS | {SECRET} | OTHERS, 60, POLL_SECONDS)
    figure("left by `helm uninstall`", ", ".join(sorted(CLAIMS | {SECRET})))
    seconds = small.install()
    assert small.namespace.secret(f"{NAME}-database") == secret
    answer = small.site().get("uninstall.kept").json()
    assert (answer["value"], answer["rev"]) == ("before", rev)
    figure("installed again with the old data after", seconds)


def test_the_commands_of_the_notes_remove_the_rest(small: Release, figure: Figure) -> None:
    commands = commands_of_notes(small)
    assert len(commands) == 2
    small.helm("uninstall", NAME, "--wait")
    for command in commands:
        small.namespace.kubectl(*command)
    eventually(lambda: all_of(small.namespace) == OTHERS, 60, POLL_SECONDS)
    figure("left after the commands of the notes", 0)
