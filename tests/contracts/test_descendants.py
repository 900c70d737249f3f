"""The paths of the Node project, as its clients call them; only a token is new."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.conftest import Server
from tests.polling import eventually

Fetch = Callable[..., tuple[int, str, bytes]]


@pytest.fixture
def fetch(app: Server) -> Iterator[Fetch]:
    """`fetch(path)` reads; `fetch("/add", {...})` posts JSON as a browser's fetch does, with the token."""
    address = urlsplit(app.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=60)

    def call(path: str, body: object = None) -> tuple[int, str, bytes]:
        headers = {"Accept": "*/*"}
        if body is not None:
            headers |= {"Content-Type": "application/json", "Authorization": f"Bearer {app.token}"}
        text = None if body is None else json.dumps(body, separators=(",", ":"))
        connection.request("GET" if body is None else "POST", path, text, headers)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read()

    yield call
    connection.close()


def test_add_takes_key_and_value_and_says_success(fetch: Fetch, unique_key: Callable[..., str]) -> None:
    status, kind, body = fetch("/add", {"key": unique_key(), "value": "2345"})
    assert (status, kind) == (200, "application/json")
    assert json.loads(body)["success"] is True


@pytest.mark.parametrize("value", ["2345", 2345.5, {"price": 1, "unit": "oz"}, [1, 2], True, None])
def test_get_answers_key_and_value(fetch: Fetch, unique_key: Callable[..., str], value: object) -> None:
    fetch("/add", {"key": unique_key(), "value": value})
    status, kind, body = fetch(f"/get/{unique_key()}")
    answer = json.loads(body)
    assert (status, kind) == (200, "application/json")
    assert (answer["key"], answer["value"]) == (unique_key(), value)
    assert answer["source"] in ("l1", "redis", "database")


def test_the_last_value_added_is_read(fetch: Fetch, unique_key: Callable[..., str]) -> None:
    for value in ("1", "2", "3"):
        fetch("/add", {"key": unique_key(), "value": value})
    eventually(lambda: json.loads(fetch(f"/get/{unique_key()}")[2])["value"] == "3")


def test_get_of_what_was_never_added_is_404(fetch: Fetch, unique_key: Callable[..., str]) -> None:
    status, _, body = fetch(f"/get/{unique_key()}")
    assert status == 404
    assert json.loads(body)["success"] is False


def test_keys_lists_the_names_under_data(fetch: Fetch, unique_key: Callable[..., str]) -> None:
    fetch("/add", {"key": unique_key(), "value": "1"})
    found, cursor = [], ""
    while cursor is not None:
        status, _, body = fetch(f"/keys?cursor={cursor}" if cursor else "/keys")
        answer = json.loads(body)
        assert (status, answer["success"]) == (200, True)
        found += answer["data"]
        cursor = answer["next"]
    assert unique_key() in found
    assert found == sorted(set(found))


@pytest.mark.parametrize("path", ["/viewer/{}", "/admin"])
def test_the_pages_are_html(fetch: Fetch, unique_key: Callable[..., str], path: str) -> None:
    status, kind, body = fetch(path.format(unique_key()))
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert body.lower().startswith(b"<!doctype html>")


def test_a_key_or_a_value_left_out_is_400(fetch: Fetch) -> None:
    for body in ({"value": "1"}, {"key": "gold"}, {}):
        status, _, answer = fetch("/add", body)
        assert status == 400
        assert json.loads(answer)["success"] is False
