"""A pool of pg8000 connections that never hands one query's rows to another.

pg8000 can be left one answer behind: by an error between PARSE and its reply, a timeout, or a greenlet that
was killed in mid query. So a connection goes back only when its call ended well or with an error that the
server itself reported; after anything else it is closed.
"""

from __future__ import annotations

import _socket
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock, Semaphore
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pg8000.exceptions import DatabaseError
from pg8000.native import PreparedStatement

from kvcast.certificates import check_authority, refused_certificate
from kvcast.errors import (
    InternalError,
    InvalidValue,
    KvcastError,
    OutcomeUnknown,
    RowLocked,
    SettingsError,
    StorageUnavailable,
)
from kvcast.storage.pipelining import PipelinedConnection

STATEMENT_TIMEOUT_SECONDS = 2.0
SOCKET_TIMEOUT_SECONDS = 3.0
IDLE_IN_TRANSACTION_SECONDS = 5.0
REFUSED_LOGIN = "28P01"
MISSING_RIGHT = "42501"
LOCK_NOT_AVAILABLE = "55P03"
_NOT_APPLIED = ("08", "40", "53", "55", "57", "58", "25006")  # SQLSTATE classes that pass by themselves
_CONNECTION_ENDED = ("57P01", "57P02", "57P03")

Rows = list[list[Any]]


def connect_arguments(url: str) -> dict[str, Any]:
    """Translate a libpq URL: `postgresql://user:pass@host:port/db?sslmode=verify-full&sslrootcert=...`.

    `?host=/folder` names the folder of a Unix socket. sslmode: disable (default), require, verify-full.
    Raises SettingsError.
    """
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = set(query) - {"host", "port", "sslmode", "sslrootcert", "application_name"}
    if unknown:
        raise SettingsError(f"DATABASE_URL: unknown parameter {min(unknown)!r}; use host, port, sslmode, sslrootcert.")
    host = query.get("host") or parts.hostname or "localhost"
    try:
        port = int(query.get("port") or parts.port or 5432)
    except ValueError:  # its text may be a piece of the password
        raise SettingsError(
            "DATABASE_URL: the port is no number; percent-encode what is special in the password, such as / as %2F."
        ) from None
    arguments: dict[str, Any] = {
        "user": unquote(parts.username or "postgres"),
        "password": unquote(parts.password) if parts.password else None,
        "database": unquote(parts.path.lstrip("/")) or None,
        "application_name": query.get("application_name", "kvcast"),
    }
    if host.startswith("/"):
        arguments["unix_sock"] = f"{host}/.s.PGSQL.{port}"
    else:
        arguments |= {"host": host, "port": port, "ssl_context": _ssl_context(query)}
    return arguments


def _ssl_context(query: dict[str, str]) -> ssl.SSLContext | None:
    mode = query.get("sslmode", "disable")
    if mode == "disable":
        return None
    if mode not in ("require", "verify-full"):
        raise SettingsError(f"DATABASE_URL: sslmode={mode} is not known; use disable, require or verify-full.")
    authority = query.get("sslrootcert")
    if authority is not None:
        check_authority(authority, "DATABASE_URL", "sslrootcert")
    context = ssl.create_default_context(cafile=authority)
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def connect(
    url: str, *, statement_timeout_seconds: float = STATEMENT_TIMEOUT_SECONDS, lock_timeout_seconds: float = 0,
    setting: str = "DATABASE_URL",
) -> PipelinedConnection:  # fmt: skip
    """Open one connection with its time limits set. setting: where `url` is from. Raises StorageUnavailable."""
    arguments = connect_arguments(url)
    try:
        return PipelinedConnection(
            **arguments,
            timeout=statement_timeout_seconds + SOCKET_TIMEOUT_SECONDS - STATEMENT_TIMEOUT_SECONDS,
            startup_params={
                "search_path": "kvcast",
                "statement_timeout": str(int(statement_timeout_seconds * 1000)),
                "lock_timeout": str(int(lock_timeout_seconds * 1000)),
                "idle_in_transaction_session_timeout": str(int(IDLE_IN_TRANSACTION_SECONDS * 1000)),
            },
        )
    except Exception as error:
        told = _told(error)
        raise StorageUnavailable(_no_connection(told, arguments, setting)) from told


def _told(error: BaseException) -> BaseException:
    """What the server or the system said: pg8000 hides it when saying goodbye fails on top of it."""
    for kind in (DatabaseError, OSError):
        link: BaseException | None = error
        while link is not None:
            if isinstance(link, kind):
                return link
            link = link.__context__
    return error


def _no_connection(error: BaseException, arguments: dict[str, Any], setting: str) -> str:
    state = sqlstate(error)
    role, database = arguments["user"], arguments["database"] or arguments["user"]
    if state == REFUSED_LOGIN:
        return f"PostgreSQL refuses the password of role {role} ({state}); correct {setting}."
    if state == "28000":
        return f"PostgreSQL does not let role {role} in ({_reason(error)}); correct {setting}, or allow it there."
    if state == "3D000":
        return f"PostgreSQL has no database {database} ({state}); create it, or correct {setting}."
    if state:
        return f"PostgreSQL takes no connection now ({_reason(error)}); try again."
    where = arguments.get("unix_sock") or f"{arguments['host']}:{arguments['port']}"
    refused = refused_certificate(error, setting, "sslrootcert")
    if refused:
        return f"PostgreSQL at {where} is not trusted: {refused}"
    reason = _reason(error.__cause__ or error)
    return f"PostgreSQL at {where} cannot be reached ({reason}); see that it runs and that {setting} is right."


class Session:
    """One connection with its prepared statements. Belongs to one greenlet at a time."""

    def __init__(self, connection: PipelinedConnection) -> None:
        self._connection = connection
        self._prepared: dict[str, PreparedStatement] = {}
        self.idle_since = time.monotonic()

    def run(self, sql: str, **parameters: Any) -> Rows:
        """Run one statement, prepared at its first use. Raises what pg8000 raises."""
        if not parameters:
            return self._connection.run(sql) or []
        return self._statement(sql).run(**parameters) or []

    def run_together(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> Rows:
        """Run `calls`, pairs of a statement and its parameters, in one trip; their columns are alike, all rows follow.

        They are one transaction, where the session is in none. Raises what pg8000 raises.
        """
        return self._connection.run_together([(self._statement(sql), parameters) for sql, parameters in calls])

    def _statement(self, sql: str) -> PreparedStatement:
        statement = self._prepared.get(sql)
        if statement is None:
            statement = self._prepared[sql] = self._connection.prepare(sql)
        return statement

    def close(self) -> None:
        stream = self._connection._sock
        with suppress(Exception):  # it is being thrown away: whatever state it is in does not matter
            self._connection.close()
        with suppress(Exception):  # pg8000 leaves it, and with it the socket, to the garbage collector
            stream.close()

    def server_hung_up(self) -> bool:
        """Whether an idle connection has been ended by the server, without waiting."""
        raw = getattr(self._connection._usock, "_sock", None)  # gevent's wrapped, non-blocking socket
        if raw is None:
            return False
        try:
            _socket.socket.recv(raw, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True  # an end of file, or a last word from a server that shuts down


class Pool:
    """At most `size` connections, opened when first needed, the warmest used first.

    lock_timeout_seconds: that a statement waits for a lock, before it raises RowLocked; 0: as for everything.
    on_discard: a connection was thrown away; on_exhausted: a call was refused, as none was free.
    """

    def __init__(
        self, url: str, size: int, *, wait_seconds: float = 1.0, discard: bool = True,
        statement_timeout_seconds: float = STATEMENT_TIMEOUT_SECONDS, lock_timeout_seconds: float = 0,
        on_discard: Callable[[], object] = lambda: None, on_exhausted: Callable[[], object] = lambda: None,
    ) -> None:
        self._open: Callable[[], Session] = lambda: Session(
            connect(
                url, statement_timeout_seconds=statement_timeout_seconds, lock_timeout_seconds=lock_timeout_seconds
            )
        )
        self._free = Semaphore(size)
        self._idle: list[Session] = []
        self._lock = Lock()
        self._wait_seconds = wait_seconds
        self._discard = discard
        self._on_discard = on_discard
        self._on_exhausted = on_exhausted
        self.opened = 0
        self.discarded = 0

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend a connection. Raises StorageUnavailable when none is free or the server does not answer,
        OutcomeUnknown when the connection broke in use.
        """
        if not self._free.acquire(timeout=self._wait_seconds):
            self._on_exhausted()
            raise StorageUnavailable("Every connection to PostgreSQL is busy; try again.")
        try:
            session = self._take()
            healthy = False
            try:
                yield session
                healthy = True
            except DatabaseError as error:
                healthy = _severity(error) == "ERROR"
                raise translated(error) from error
            except KvcastError:
                healthy = True
                raise
            except UnicodeEncodeError as error:
                raise InvalidValue("The text holds a lone surrogate; send well-formed UTF-8.") from error
            except Exception as error:
                raise OutcomeUnknown(
                    f"The connection to PostgreSQL broke ({_reason(error)}), so the outcome is not known; "
                    "repeat the call, with the same Idempotency-Key where it writes."
                ) from error
            finally:
                self._give_back(session, healthy or not self._discard)
        finally:
            self._free.release()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Lend a connection inside BEGIN ... COMMIT; an exception rolls back."""
        with self.session() as session:
            session.run("BEGIN")
            try:
                yield session
            except (DatabaseError, KvcastError):
                session.run("ROLLBACK")
                raise
            session.run("COMMIT")

    def run(self, sql: str, **parameters: Any) -> Rows:
        with self.session() as session:
            return session.run(sql, **parameters)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def _take(self) -> Session:
        while True:
            with self._lock:
                session = self._idle.pop() if self._idle else None
            if session is None:
                self.opened += 1
                return self._open()
            if time.monotonic() - session.idle_since < 0.05 or not session.server_hung_up():
                return session
            session.close()

    def _give_back(self, session: Session, healthy: bool) -> None:
        if healthy:
            session.idle_since = time.monotonic()
            with self._lock:
                self._idle.append(session)
        else:
            self.discarded += 1
            self._on_discard()
            session.close()


def sqlstate(error: BaseException | None) -> str:
    """The SQLSTATE that the server gave; empty where it gave none."""
    details = error.args[0] if isinstance(error, DatabaseError) and error.args else {}
    return str(details.get("C", "")) if isinstance(details, dict) else ""


def translated(error: DatabaseError) -> KvcastError:
    """What a server's error means to a caller."""
    state = sqlstate(error)
    if state.startswith(_CONNECTION_ENDED):
        return OutcomeUnknown(f"PostgreSQL ended the connection ({_reason(error)}): the outcome is not known; repeat.")
    if state == LOCK_NOT_AVAILABLE:
        return RowLocked(f"Another transaction is in the way ({_reason(error)}); nothing was applied, try again.")
    if state.startswith(_NOT_APPLIED):
        return StorageUnavailable(f"PostgreSQL refused for now ({_reason(error)}); nothing was applied, try again.")
    return InternalError(f"PostgreSQL refused the statement ({_reason(error)}); this is a fault of kvcast, report it.")


def _severity(error: DatabaseError) -> str:
    details = error.args[0] if error.args else {}
    return str(details.get("V", "ERROR")) if isinstance(details, dict) else "ERROR"


def _reason(error: BaseException) -> str:
    details = error.args[0] if error.args else ""
    if isinstance(details, dict):
        return f"{details.get('C', '')} {details.get('M', '')}".strip()
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
