"""`helm test`: a value is written, read back and seen to arrive over WebSocket, then deleted."""

import os
import secrets
import sys
import threading
from pathlib import Path

from kvcast.client import Client

SECONDS = 30
write_url, read_url, push_url = (os.environ[f"{name}_URL"] for name in ("WRITE", "READ", "PUSH"))
token = Path(os.environ["KVCAST_ADMIN_TOKEN_FILE"]).read_text().strip()
key = f"helm-test.{secrets.token_hex(6)}"


def give_up() -> None:
    print(f"FAILED: no answer within {SECONDS} s; look at the pods and their logs.", flush=True)
    os._exit(1)


timer = threading.Timer(SECONDS, give_up)
timer.daemon = True
timer.start()
with Client(write_url, token) as writer, Client(read_url) as reader, Client(push_url) as pusher:
    first = writer.set(key, 1)
    print(f"written to {write_url}: {key} has rev {first.rev}")
    assert reader.get(key, min_rev=first.rev).value == 1, "read another value than was written"
    print(f"read from {read_url}")
    with pusher.watch(key) as changes:
        assert next(changes).rev == first.rev, "the snapshot is another value than was written"
        second = writer.set(key, 2)
        assert next(changes).rev == second.rev, "another change came than was written"
    print(f"seen over WebSocket from {push_url}")
    writer.delete(key)
print("all is well")
sys.exit(0)
