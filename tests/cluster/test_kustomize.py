"""Without Helm: `kubectl apply -k` of an overlay of k8s/."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from tests.cluster.conftest import Figure
from tests.cluster.release import FUNCTIONS, Cluster, Namespace, Release

ROOT = Path(__file__).parents[2]
OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {namespace}
resources: [k8s/overlays/small]
images:
  - {{name: kvcast, newName: {name}, newTag: "{tag}"}}
patches:
  - target: {{kind: Namespace}}
    patch: |
      $patch: delete
      apiVersion: v1
      kind: Namespace
      metadata: {{name: any}}
  - target: {{kind: Ingress}}
    patch: |
      - {{op: add, path: /spec/rules/0/host, value: {host}}}
"""


def test_the_small_overlay_serves(cluster: Cluster, namespace: Namespace, figure: Figure, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s", ignore=shutil.ignore_patterns("secrets.env"))
    subprocess.run([tmp_path / "k8s/make-secrets"], check=True, capture_output=True)
    release = Release(cluster, namespace, auth={"existingSecret": "kvcast-secrets"})
    name, _, tag = cluster.image.rpartition(":")
    text = OVERLAY.format(namespace=namespace.name, name=name, tag=tag, host=release.host)
    (tmp_path / "kustomization.yaml").write_text(text)
    began = time.monotonic()
    namespace.kubectl("apply", "--kustomize", str(tmp_path))
    for function in FUNCTIONS:
        namespace.kubectl("rollout", "status", f"deployment/kvcast-{function}", "--timeout=180s", timeout=200)
    figure("`kubectl apply -k` of the overlay small, until all pods are ready", time.monotonic() - began)
    release.await_routed()
    site = release.site()
    assert site.rev_of("kustomize", "1") == site.get("kustomize").json()["rev"]
    assert site.greet().server in release.serving("push")
