"""What schemathesis must be told: how NDJSON is written, and which 503 a client brings upon itself."""

from __future__ import annotations

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context: Any, value: Any) -> bytes:
    lines = value if isinstance(value, list) else [value]
    return b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)


@schemathesis.check
def no_fault_of_ours(_context: Any, response: Any, _case: Any) -> None:
    """No 5xx, but for a min_rev that nobody has written: that is the promise, not a fault."""
    if response.status_code >= 500:
        code = response.json()["error"]["code"] if response.status_code == 503 else ""
        assert code == "rev_not_reached", f"{response.status_code} {code}"
