"""Addresses and parameters that nobody means, to all three functions, /sse too: the described answer, never a fault."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st

from tests.calls import Caller, assert_described, reply_of
from tests.conftest import Server
from tests.fuzz.examples import examples

STARTS = st.sampled_from([
    "/get/", "/history/", "/keys", "/keys/", "/mget", "/viewer/", "/ws/", "/sse", "/stats", "/audit", "/admin/", "/",
    "/add", "/healthz/",
])  # fmt: skip
PARAMETERS = st.sampled_from([
    "key", "keys", "prefix", "category", "limit", "cursor", "values", "since", "until", "bucket", "min_rev", "mode",
    "max_rate", "epoch",
    "before", "token", "",
])  # fmt: skip
VALUES = st.one_of(
    st.sampled_from([
        "", "0", "-1", "1", "gold", "every", "latest", "1e400", "NaN", "9223372036854775807", "9223372036854775808",
        "%ff", "%00", "%",
        "1s", "1d", "0s", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "YQ", "gold:1", "gold:", ":1", "+", "%2B",
        "%ED%A0%80", "a%0Ab",
    ]),
    st.text(max_size=8).map(lambda text: quote(text.encode("utf-8", "surrogatepass"))),
    st.binary(max_size=6).map(quote),
)  # fmt: skip
METHODS = st.sampled_from(["GET", "GET", "GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "PUT"])
QUERIES = st.lists(st.tuples(PARAMETERS, VALUES), max_size=4).map(
    lambda pairs: "?" + "&".join(f"{name}={value}" for name, value in pairs) if pairs else ""
)


@examples(200)
@given(METHODS, STARTS, VALUES, QUERIES, st.booleans())
@example("GET", "/sse", "", "?key=gold&since=gold:9223372036854775808", False)
def test_an_address_has_its_described_answer(
    target: Server, method: str, start: str, rest: str, query: str, known: bool
) -> None:
    path = start + (rest if start.endswith("/") else "") + query
    call = Caller(target.url, target.token if known else None, check=False)
    connection = call._connection
    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {target.token}"} if known else {})
        response = connection.getresponse()
        if response.getheader("content-type", "").startswith("text/event-stream"):
            assert response.status == 200
            return
        reply = reply_of(response)
    finally:
        connection.close()
    assert reply.status < 500 or reply.json()["error"]["code"] == "rev_not_reached", reply
    if method == "GET":
        assert_described(method, path, reply)
