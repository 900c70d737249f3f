"""A real Kubernetes, kvcast on it, and loads upon that.

Settings: KUBECONFIG; KVCAST_IMAGE (kvcast:<version>), which the cluster must have or can pull; KVCAST_INGRESS, the URL
at which the ingress controller answers (found, where it is a Service traefik); KVCAST_IMAGE_NEXT, a further image to
upgrade to; KVCAST_FIGURES, where to write the figures.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest

from kvcast import __version__
from tests.cluster.figures import Figures
from tests.cluster.kube import Kube, NoCluster
from tests.cluster.loads import RunningLoad
from tests.cluster.namespaces import Namespace
from tests.cluster.release import ImageMissing, Release
from tests.cluster.values import Cluster, image_of_environment, single

INGRESS_SECONDS = 5
_FIGURES = pytest.StashKey[Figures]()

class Figure(Protocol):
    def __call__(self, what: str, *values: object) -> None: ...



@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    try:
        kube = Kube()
        service = _traefik(kube)
        ingress = os.environ.get("KVCAST_INGRESS", "").rstrip("/") or _address_of(kube, service)
        _assert_answers(ingress)
    except NoCluster as reason:
        pytest.exit(f"make test-cluster: {reason}", returncode=1)
    nodes = kube.nodes()
    cores = sum(int(node["status"]["capacity"]["cpu"]) for node in nodes)
    figures = _figures(request.config)
    figures.add("The cluster", "Kubernetes", kube.version)
    figures.add("The cluster", "nodes, cores in all", len(nodes), cores)
    return Cluster(kube, ingress, _service_values(service), image_of_environment(__version__))


def _traefik(kube: Kube) -> dict[str, Any] | None:
    services = kube.items("/api/v1/services", fieldSelector="metadata.name=traefik")
    return services[0] if services else None


def _service_values(service: dict[str, Any] | None) -> dict[str, Any] | None:
    if service is None:
        return None
    names = service["metadata"]
    return {"namespace": names["namespace"], "name": names["name"], "port": _web_port(service)["port"]}


def _web_port(service: dict[str, Any]) -> dict[str, Any]:
    ports: list[dict[str, Any]] = service["spec"]["ports"]
    return next((port for port in ports if port.get("name") == "web"), ports[0])


def _address_of(kube: Kube, service: dict[str, Any] | None) -> str:
    if service is None:
        raise NoCluster("there is no Service traefik; set KVCAST_INGRESS to the URL at which your controller answers.")
    port = _web_port(service)
    for given in service["status"].get("loadBalancer", {}).get("ingress", []):
        return f"http://{given.get('ip') or given['hostname']}:{port['port']}"
    if "nodePort" not in port:
        raise NoCluster("the Service traefik has no address outside the cluster; set KVCAST_INGRESS.")
    addresses = kube.nodes()[0]["status"]["addresses"]
    address = next(one["address"] for one in addresses if one["type"] == "InternalIP")
    return f"http://{address}:{port['nodePort']}"


def _assert_answers(ingress: str) -> None:
    parts = urlsplit(ingress)
    if parts.scheme != "http" or not parts.hostname or not parts.port:
        raise NoCluster(f"KVCAST_INGRESS is {ingress!r}; give http://ADDRESS:PORT.")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=INGRESS_SECONDS)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise NoCluster(f"nothing answers at {ingress} ({error}); set KVCAST_INGRESS.") from error
    finally:
        connection.close()


@pytest.fixture(scope="session")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def release(cluster: Cluster, stack: ExitStack, request: pytest.FixtureRequest) -> Release:
    """Two to three pods of each function, shared by the tests: each leaves it whole."""
    own = {"read": {"clusterView": {"enabled": True}}, "push": {"deletionCost": {"enabled": True}}}
    release = Release(cluster, stack.enter_context(Namespace(cluster.kube)), **own)
    seconds = _install(release)
    _figures(request.config).add("Install", "`helm install --wait`, from nothing to all pods ready", seconds)
    return release


@pytest.fixture
def whole(release: Release) -> Release:
    """The shared release, with every pod that it wants."""
    release.await_whole()
    return release


@pytest.fixture(scope="session")
def small(cluster: Cluster, stack: ExitStack) -> Release:
    """One pod of each function, with nothing switched on."""
    release = Release(cluster, stack.enter_context(Namespace(cluster.kube)), **single())
    _install(release)
    return release


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """An empty one."""
    with Namespace(cluster.kube) as namespace:
        yield namespace


def _install(release: Release) -> float:
    try:
        return release.install()
    except ImageMissing as reason:
        pytest.exit(f"make test-cluster: {reason}", returncode=1)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """`figure("what", 1.5, 3)` puts a line into the table of the run; a float is seconds. The theme is the module's."""
    theme = str(request.module.__doc__).split(":")[0].split("\n")[0].strip(".")
    return lambda what, *values: _figures(request.config).add(theme, what, *values)


@pytest.fixture
def load() -> Iterator[Callable[..., RunningLoad]]:
    """`load(release, adds=100)` starts one, with the options of records.Plan."""
    with ExitStack() as stack:
        yield lambda release, **options: stack.enter_context(RunningLoad(release, **options))


def _figures(config: pytest.Config) -> Figures:
    return config.stash.setdefault(_FIGURES, Figures())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = _figures(config)
    if not figures.rows:
        return
    terminalreporter.section("figures")
    terminalreporter.write(figures.markdown())
    if os.environ.get("KVCAST_FIGURES"):
        figures.write(Path(os.environ["KVCAST_FIGURES"]))
