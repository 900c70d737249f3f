"""The HTTP face of writing: decode, decide who may, hand on, answer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence

from kvcast.errors import InvalidRequest, KvcastError, PayloadTooLarge
from kvcast.messages import Change, Write, decode_write, encode, split_batch
from kvcast.storage import idempotency, writes
from kvcast.storage.audit import Action
from kvcast.storage.pool import Pool, Session
from kvcast.storage.writes import Statements, traced
from kvcast.tokens import Token, require
from kvcast.web import Answer, Environ, FunctionApp
from kvcast.web.answers import JSON
from kvcast.web.observing import REQUEST_ID
from kvcast.web.requests import IDEMPOTENCY_KEY, etags, is_ndjson, key_in_path, query, read_body, require_json

from functions.write.auditing import NOTE_HEADER, note_of, record
from functions.write.committer import Committer
from functions.write.publisher import Publisher
from functions.write.unit import Result

Operation = Callable[[Session], list[Change]]
ALONE = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IDEMPOTENCY_KEY", NOTE_HEADER)


class Views:
    """POST /add, POST /batch, DELETE /keys/<key>."""

    def __init__(
        self, app: FunctionApp, pool: Pool, statements: Statements, committer: Committer, publisher: Publisher
    ) -> None:
        self._app = app
        self._settings = app.settings
        self._observer = app.observer
        self._pool = pool
        self._statements = statements
        self._committer = committer
        self._publisher = publisher

    def install(self) -> None:
        limit = self._app.limit("write", self._settings.write_limit)
        batches = self._app.limit("batch", self._settings.batch_limit)
        self._app.endpoint_route("POST", "/add", self.add, limit, fast="/add")
        self._app.endpoint_route("POST", "/batch", self.batch, batches)
        self._app.endpoint_route("DELETE", "/keys/<path:key>", self.delete, limit)

    def add(self, environ: Environ) -> Answer:
        token = self._known(environ)
        require_json(environ)
        query(environ)
        body = read_body(environ, self._settings.body_max_bytes, self._settings.body_timeout_seconds)
        write = decode_write(body, self._settings.value_max_bytes)
        require(token, "write", write.key)
        if self._observer.traces:
            write = traced(write, environ[REQUEST_ID])
            self._observer.say(environ, key=write.key)
        if not _is_alone(environ):
            change = _change(self._committer.submit([write])[0])
            if self._observer.traces:
                self._observer.say(environ, rev=change.rev)
            return _raw(one_answer([change]))
        for error in self._committer.refused([write]).values():
            raise error
        action, operation = self._conditional_write(environ, write)
        return self._alone(environ, token, body, operation, one_answer, action)

    def batch(self, environ: Environ) -> Answer:
        token = self._known(environ)
        ndjson = is_ndjson(environ)
        query(environ)
        if "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ:
            raise InvalidRequest("/batch takes no If-Match or If-None-Match; send such writes one by one to /add.")
        body = read_body(environ, self._settings.batch_max_bytes, self._settings.body_timeout_seconds)
        parts = split_batch(body, ndjson)
        if len(parts) > self._settings.batch_max_items:
            raise PayloadTooLarge(
                f"The batch has {len(parts)} elements; send at most {self._settings.batch_max_items} at a time."
            )
        decoded = [self._decode(part, token) for part in parts]
        if self._observer.traces:
            self._observer.say(environ, count=len(parts))
            decoded = [traced(one, environ[REQUEST_ID]) if isinstance(one, Write) else one for one in decoded]
        accepted = [write for write in decoded if isinstance(write, Write)]
        if not _is_alone(environ):
            results = self._committer.submit(accepted)
            return _raw(_batch_answer(decoded, results), _retry_after(results))
        refused = self._committer.refused(accepted)
        allowed = [write for index, write in enumerate(accepted) if index not in refused]

        def operation(session: Session) -> list[Change]:
            return writes.write_all(session, self._statements, allowed) if allowed else []

        def render(changes: list[Change]) -> bytes:
            made = iter(changes)
            return _batch_answer(decoded, [refused.get(index) or next(made) for index in range(len(accepted))])

        return self._alone(environ, token, body, operation, render, "batch")

    def delete(self, environ: Environ) -> Answer:
        key = key_in_path(environ, "/keys/")
        token = self._app.authorized(environ, "write", key)
        query(environ)
        revs = _revs(environ)

        def operation(session: Session) -> list[Change]:
            return [writes.delete(session, self._statements, key, revs)]

        return self._alone(environ, token, key.encode(), operation, one_answer, "delete")

    def _known(self, environ: Environ) -> Token:
        """The token, whatever its scopes: which keys it may write is asked for each key."""
        token = self._app.keyring.identify(environ.get("HTTP_AUTHORIZATION"))
        return require(token, "write") if token is None else token

    def _decode(self, part: bytes, token: Token) -> Write | KvcastError:
        try:
            write = decode_write(part, self._settings.value_max_bytes)
            require(token, "write", write.key)
        except KvcastError as error:
            return error
        return write

    def _conditional_write(self, environ: Environ, write: Write) -> tuple[Action, Operation]:
        none_match = etags(environ, "HTTP_IF_NONE_MATCH", weak_allowed=True)
        if none_match is not None and (none_match != "*" or "HTTP_IF_MATCH" in environ):
            raise InvalidRequest("A write takes `If-None-Match: *` (create only) or `If-Match`, not both.")
        if none_match == "*":
            return "create", lambda session: [writes.create(session, self._statements, write)]
        if "HTTP_IF_MATCH" in environ:
            revs = _revs(environ)
            return "replace", lambda session: [writes.replace(session, self._statements, write, revs)]
        return "add", lambda session: writes.write_all(session, self._statements, [write])

    def _alone(
        self, environ: Environ, token: Token, body: bytes, operation: Operation,
        render: Callable[[list[Change]], bytes], action: Action,
    ) -> Answer:
        """Run `operation`, and record it, in a transaction of its own, once for each Idempotency-Key."""
        received_at = time.perf_counter()
        note = note_of(environ)
        into = self._publisher.cache
        request_id = environ[REQUEST_ID] if self._observer.traces else ""
        changes: list[Change] = []

        def call(session: Session) -> str:
            changes.extend(traced(change, request_id) for change in operation(session))
            record(session, environ, token, action, note, changes)
            return render(changes).decode()

        name = environ.get("HTTP_IDEMPOTENCY_KEY")
        if name is None:
            with self._pool.transaction() as session:
                answer, repeated = call(session), False
        else:
            if not IDEMPOTENCY_KEY.fullmatch(name):
                raise InvalidRequest("The Idempotency-Key is not 1 to 255 visible ASCII characters; send a UUID.")
            recorded = f"{token.name}:{name}"
            answer, repeated = idempotency.once(self._pool, recorded, _fingerprint(environ, body), call)
        if changes:
            if self._observer.traces and action != "batch":
                self._observer.say(environ, key=changes[0].key, rev=changes[0].rev)
            self._publisher.publish_and_wait(changes, into, [received_at])
        return _raw(answer.encode(), [("Idempotency-Replayed", "true")] if repeated else [])


def _is_alone(environ: Environ) -> bool:
    """Whether the request needs a transaction of its own."""
    return any(header in environ for header in ALONE)


def _revs(environ: Environ) -> list[int] | None:
    """What If-Match demands: revs, or None for whatever there is."""
    matched = etags(environ, "HTTP_IF_MATCH", weak_allowed=False)
    return matched if isinstance(matched, list) else None


def _fingerprint(environ: Environ, body: bytes) -> str:
    parts = [
        environ.get(name, "")
        for name in ("REQUEST_METHOD", "PATH_INFO", "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")
    ]
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + body).hexdigest()


def _change(result: Result) -> Change:
    if isinstance(result, KvcastError):
        raise result
    return result


def one_answer(changes: list[Change]) -> bytes:
    (change,) = changes
    return b'{"success":true,"key":"%s","rev":%d,"updatedAt":"%s"}' % (
        change.key.encode(), change.rev, change.updated_at.encode(),
    )


def _retry_after(results: Sequence[Result]) -> list[tuple[str, str]]:
    """A header for a batch of which nothing could be written now, as with PostgreSQL down."""
    waits = [result.retry_after_seconds for result in results if isinstance(result, KvcastError)]
    if not waits or len(waits) < len(results) or None in waits:
        return []
    return [("Retry-After", str(max(wait for wait in waits if wait is not None)))]


def _raw(body: bytes, headers: list[tuple[str, str]] | None = None) -> Answer:
    return Answer(200, [JSON, *(headers or [])], body)


def _batch_answer(decoded: list[Write | KvcastError], results: Sequence[Result]) -> bytes:
    outcomes = iter(results)
    lines: list[dict[str, object]] = []
    for write in decoded:
        outcome = next(outcomes) if isinstance(write, Write) else write
        line: dict[str, object] = {"key": write.key if isinstance(write, Write) else None}
        if isinstance(outcome, KvcastError):
            line["error"] = outcome.body()
        else:
            line |= {"rev": outcome.rev, "updatedAt": outcome.updated_at}
        lines.append(line)
    return encode({"success": all("rev" in line for line in lines), "results": lines})
