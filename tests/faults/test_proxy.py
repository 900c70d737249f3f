"""What the proxy does to what passes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.faults.proxy import Cut, Delay, Hole, Proxy, Reset, Trickle
from tests.polling import eventually, never_within

TEXT = b"0123456789" * 20


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says again what it hears."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy(1) as proxy:
        proxy.open("link", ("127.0.0.1", echo))
        yield proxy


class Client:
    """Sends, and gathers what comes back. ended: how it learnt that nothing more comes."""

    def __init__(self, proxy: Proxy) -> None:
        self.socket = socket.create_connection(("127.0.0.1", proxy.port("link")), timeout=10)
        self.heard = b""
        self.ended: str | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while data := self.socket.recv(4096):
                self.heard += data
            self.ended = "closed"
        except OSError as error:
            self.ended = type(error).__name__

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Client]:
    with closing(Client(proxy)) as client:
        client.socket.sendall(b"hello")
        eventually(lambda: client.heard == b"hello")
        client.heard = b""
        yield client


@pytest.mark.parametrize("toxic", [Hole(), Delay(30.0)])
def test_what_is_held_back_arrives_whole_and_in_order_when_the_link_is_well(
    proxy: Proxy, client: Client, toxic: Hole | Delay
) -> None:
    proxy.hurt(toxic, "link")
    client.socket.sendall(TEXT)
    assert never_within(lambda: client.heard, 0.3)
    proxy.hurt(None, "link")
    client.socket.sendall(b"end")
    eventually(lambda: client.heard == TEXT + b"end")


def test_a_trickle_is_a_byte_a_second_and_then_all_of_it(proxy: Proxy, client: Client) -> None:
    proxy.hurt(Trickle(), "link")
    began = time.monotonic()
    client.socket.sendall(TEXT)
    eventually(lambda: client.heard)
    assert never_within(lambda: len(client.heard) > 2 + (time.monotonic() - began), 0.5)
    assert TEXT.startswith(client.heard)
    proxy.hurt(None, "link")
    eventually(lambda: client.heard == TEXT)


def test_a_cut_ends_the_connection_in_mid_message(proxy: Proxy, client: Client) -> None:
    proxy.hurt(Cut(1), "link")
    client.socket.sendall(TEXT)
    eventually(lambda: client.ended)
    assert TEXT.startswith(client.heard)
    assert len(client.heard) < len(TEXT)
    assert proxy.cuts("link") == 1


def test_a_reset_is_told_to_old_and_new_connections(proxy: Proxy, client: Client) -> None:
    proxy.hurt(Reset(), "link")
    eventually(lambda: client.ended == "ConnectionResetError")
    try:
        late = Client(proxy)
    except ConnectionResetError:
        pass  # it was told before it knew that it was connected
    else:
        with closing(late):
            eventually(lambda: late.ended == "ConnectionResetError")
    proxy.hurt(None, "link")
    with closing(Client(proxy)) as well:
        well.socket.sendall(TEXT)
        eventually(lambda: well.heard == TEXT)
