"""TLS to PostgreSQL and to Redis: who is let in, who is refused, and what the refusal tells the operator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

from kvcast.bus.connection import Breaker, open_redis
from kvcast.embedded import Stores
from kvcast.errors import BusUnavailable, SettingsError, StorageUnavailable
from kvcast.storage.pool import connect
from tests.calls import Caller
from tests.conftest import Server
from tests.polling import eventually
from tests.security.authority import Authority, Doorman


class Site(NamedTuple):
    """Both stores behind TLS. ours: the authority that the functions are told of."""

    ours: Authority
    stranger: Authority
    stores: Stores

    def postgres(self, certificate: Path) -> Doorman:
        folder = parse_qs(urlsplit(self.stores.database_url).query)["host"][0]
        return Doorman(certificate, f"{folder}/.s.PGSQL.5432", postgres=True)

    def redis(self, certificate: Path) -> Doorman:
        return Doorman(certificate, unquote(urlsplit(self.stores.redis_url).path))

    def database_url(self, door: Doorman, host: str = "localhost", mode: str = "verify-full") -> str:
        known = f"&sslrootcert={quote(str(self.ours.pem))}" if mode == "verify-full" else ""
        return f"postgresql://kvcast@{host}:{door.port}/kvcast?sslmode={mode}{known}"

    def redis_url(self, door: Doorman, host: str = "localhost") -> str:
        return f"rediss://{host}:{door.port}/0?ssl_ca_certs={quote(str(self.ours.pem))}"


@pytest.fixture(scope="module")
def site(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("authorities")
    return Site(Authority(folder, "ours"), Authority(folder, "stranger"), stores)


def ping(url: str) -> None:
    with Breaker().guard(), open_redis(url, timeout_seconds=5, repeats=0) as client:
        client.ping()


BAD: list[tuple[str, Callable[[Site], Path], str]] = [
    ("another name", lambda site: site.ours.issue("db.example.org"), "name the server in {} as its certificate does."),
    ("the name as a suffix", lambda site: site.ours.issue("localhost.evil.org", "xlocalhost"), "name the server in {}"),
    ("another address", lambda site: site.ours.issue("127.0.0.2"), "name the server in {} as its certificate does."),
    ("expired", lambda site: site.ours.issue("localhost", expired=True), "renew that server's certificate."),
    ("of tomorrow", lambda site: site.ours.issue("localhost", early=True), "the clocks of both machines are right."),
    ("of a stranger", lambda site: site.stranger.issue("localhost"), "name the PEM file of its authority in {}"),
]
bad = pytest.mark.parametrize(("issue", "mend"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_right_certificate_is_accepted_by_name_and_by_address(site: Site, host: str) -> None:
    certificate = site.ours.issue("localhost", "127.0.0.1")
    with site.postgres(certificate) as door:
        connection = connect(site.database_url(door, host))
        assert connection.run("SELECT 1") == [[1]]
        connection.close()
        assert door.let_in == 1
    with site.redis(certificate) as door:
        ping(site.redis_url(door, host))
        assert door.let_in == 1


@bad
def test_postgresql_with_a_bad_certificate_is_refused(
    site: Site, issue: Callable[[Site], Path], mend: str
) -> None:
    with site.postgres(issue(site)) as door:
        with pytest.raises(StorageUnavailable) as refused:
            connect(site.database_url(door))
        assert door.let_in == 0
    assert mend.format("DATABASE_URL") in refused.value.message
    assert "PostgreSQL at localhost" in refused.value.message


@bad
def test_redis_with_a_bad_certificate_is_refused(site: Site, issue: Callable[[Site], Path], mend: str) -> None:
    with site.redis(issue(site)) as door:
        with pytest.raises(BusUnavailable) as refused:
            ping(site.redis_url(door))
        assert door.let_in == 0
    assert mend.format("REDIS_URL") in refused.value.message


def test_an_authority_that_is_not_named_is_not_trusted(site: Site) -> None:
    certificate = site.ours.issue("localhost")
    with site.postgres(certificate) as door, pytest.raises(StorageUnavailable, match="sslrootcert="):
        connect(f"postgresql://kvcast@localhost:{door.port}/kvcast?sslmode=verify-full")
    with site.redis(certificate) as door, pytest.raises(BusUnavailable, match="ssl_ca_certs="):
        ping(f"rediss://localhost:{door.port}/0")


def test_require_encrypts_and_verifies_nothing(site: Site) -> None:
    with site.postgres(site.stranger.issue("elsewhere", expired=True)) as door:
        connect(site.database_url(door, mode="require")).close()
        assert door.let_in == 1


def test_a_postgresql_without_tls_is_not_spoken_to_in_the_clear(site: Site, database_in_the_clear: int) -> None:
    url = f"postgresql://kvcast:secret@localhost:{database_in_the_clear}/kvcast?sslmode=verify-full"
    with pytest.raises(StorageUnavailable, match="SSL"):
        connect(f"{url}&sslrootcert={quote(str(site.ours.pem))}")


def test_a_function_logs_what_mends_it(site: Site, serve: Callable[..., Server]) -> None:
    certificate = site.ours.issue("elsewhere.example")
    with site.postgres(certificate) as database:
        server = serve("read", awaited="/healthz/live", DATABASE_URL=site.database_url(database))
        eventually(lambda: "name the server in DATABASE_URL as its certificate does." in server.log())
    with site.redis(certificate) as cache:
        server = serve("read", REDIS_URL=site.redis_url(cache))
        eventually(lambda: "name the server in REDIS_URL as its certificate does." in server.log())


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_holds_no_authority_stops_the_start(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"DATABASE_URL: sslrootcert=.*; name a PEM file\."):
        connect(f"postgresql://localhost/kvcast?sslmode=verify-full&sslrootcert={quote(str(path))}")
    with pytest.raises(SettingsError, match=r"REDIS_URL: ssl_ca_certs=.*; name a PEM file\."):
        open_redis(f"rediss://localhost/0?ssl_ca_certs={quote(str(path))}")


def test_the_functions_work_over_tls_alone(
    site: Site, serve: Callable[..., Server], unique_key: Callable[..., str]
) -> None:
    certificate = site.ours.issue("localhost")
    with site.postgres(certificate) as database, site.redis(certificate) as cache:
        settings: dict[str, Any] = {"DATABASE_URL": site.database_url(database), "REDIS_URL": site.redis_url(cache)}
        server = serve("local", **settings)
        with Caller(server.url, server.token) as call:
            for number in range(50):
                rev = call.rev_of(unique_key(), str(number))
                assert call.get(unique_key(), f"?min_rev={rev}").json()["value"] == number
            assert len(call("GET", f"/history/{unique_key()}").json()["data"]) == 50
        assert database.let_in < 50  # connections are kept and used again
        assert cache.let_in < 50
