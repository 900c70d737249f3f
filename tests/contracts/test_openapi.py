"""functions/read/openapi.json: valid, complete, and true of the wire examples."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from kvcast import errors
from kvcast.errors import InvalidKey, KvcastError, SettingsError
from kvcast.keys import parse_key

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "functions/read/openapi.json").read_text(encoding="utf-8"))
REGISTRY: Registry[Any] = Registry().with_resource("urn:kvcast", DRAFT202012.create_resource(DOCUMENT))
CALLS = """
    POST /add, POST /batch, DELETE /keys/{key}, GET /get/{key}, GET /mget, GET /keys, GET /history/{key},
    GET /benchmark-report, GET /socket-vs-polling, GET /reports/benchmark.json,
    GET /viewer/{key}, GET /admin, GET /, GET /openapi.json, GET /docs, GET /stats, GET /audit,
    GET /admin/functions, GET /healthz/live,
    GET /healthz/ready, GET /metrics, GET /ws, GET /ws/{key}, GET /sse
"""
OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    (method.upper(), path): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}


def wire(file: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((ROOT / f"tests/wire/{file}.json").read_text(encoding="utf-8"))
    return rows


def named(rows: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", rows, ids=[row["name"] for row in rows])


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = DOCUMENT
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def absolute(schema: Any) -> Any:
    """`schema` with its references bound to the document."""
    if isinstance(schema, dict):
        return {
            name: f"urn:kvcast{value}" if name == "$ref" else absolute(value) for name, value in schema.items()
        }
    return [absolute(item) for item in schema] if isinstance(schema, list) else schema


def check(instance: Any, schema: dict[str, Any]) -> None:
    Draft202012Validator(absolute(schema), registry=REGISTRY).validate(instance)


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    address = urlsplit(path).path
    for (known, template), operation in OPERATIONS.items():
        if known == method and re.fullmatch(template.replace("{key}", "[^/]+"), address):
            return operation
    return None


def source_codes() -> set[str]:
    """The codes that the functions answer with: of the error classes, and given where they are raised."""
    raised = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, KvcastError)]
    codes = {error.code for error in raised if error is not SettingsError}
    folders = ("functions", "kvcast/web", "kvcast/storage", "kvcast/bus")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    for path in [*files, ROOT / "kvcast/messages.py"]:
        codes |= set(re.findall(r'\bcode="([a-z_]+)"', path.read_text(encoding="utf-8")))
    return codes


def test_it_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_it_describes_every_call() -> None:
    described = {f"{method} {path}" for method, path in OPERATIONS}
    assert described == {" ".join(call.split()) for call in CALLS.split(",")}


def test_it_lists_every_error_code() -> None:
    listed = DOCUMENT["components"]["schemas"]["ErrorBody"]["properties"]["code"]["enum"]
    assert source_codes() <= set(listed)


@pytest.mark.parametrize("example", [None, *wire("http")], ids=lambda row: row["name"] if row else "none")
def test_an_http_example_is_as_described(example: dict[str, Any] | None) -> None:
    if example is None:
        assert {row["response"]["status"] for row in wire("http")} >= {
            200, 304, 400, 401, 403, 404, 405, 409, 412, 413, 415, 429, 503,
        }
        return
    request, response = example["request"], example["response"]
    operation = operation_of(request["method"], request["path"])
    if operation is None:
        answer = DOCUMENT["components"]["responses"]["Error"]
    else:
        answers = operation["responses"]
        answer = resolved(answers.get(str(response["status"]), answers.get("default")))
    if response["body"] is None:
        assert "content" not in answer
        return
    check(json.loads(response["body"]), answer["content"]["application/json"]["schema"])
    assert ("Retry-After" in response["headers"]) >= (response["status"] == 429)
    for name, header in answer.get("headers", {}).items():
        if name in response["headers"] and "pattern" in (schema := resolved(header)["schema"]):
            assert re.search(schema["pattern"], response["headers"][name])
    if request["body"] and response["status"] == 200 and "ndjson" not in request["headers"]["Content-Type"]:
        assert operation
        check(json.loads(request["body"]), operation["requestBody"]["content"]["application/json"]["schema"])


@named(wire("server-frames"))
def test_a_server_frame_is_as_described(example: dict[str, Any]) -> None:
    frame = json.loads(example["text"])
    for message in frame if isinstance(frame, list) else [frame]:
        check(message, DOCUMENT["components"]["schemas"]["ServerMessage"])


@named([row for row in wire("client-frames") if "messages" in row])
def test_a_client_frame_is_as_described(example: dict[str, Any]) -> None:
    for message in example["messages"]:
        check(message, DOCUMENT["components"]["schemas"]["ClientMessage"])


def test_every_example_in_it_fits_its_schema() -> None:
    found = 0

    def walk(node: Any) -> None:
        nonlocal found
        if isinstance(node, dict):
            if "schema" in node and "example" in node:
                check(node["example"], node["schema"])
                found += 1
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(DOCUMENT)
    assert found > 20


PATTERN = re.compile(DOCUMENT["components"]["schemas"]["Key"]["pattern"])


@given(st.text(min_size=1, max_size=20))
def test_the_key_pattern_takes_every_key(text: str) -> None:
    try:
        key = parse_key(text)
    except InvalidKey:
        return
    assert PATTERN.search(key)


@given(st.text(st.characters(codec="ascii"), min_size=1, max_size=20))
def test_the_key_pattern_is_exact_in_ascii(text: str) -> None:
    if PATTERN.search(text) and not text.endswith("\n"):
        assert parse_key(text) == text
