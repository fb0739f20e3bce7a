"""WebSockets and CONNECT through filters that inspect bodies, and responses that are too large to be held."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pwasm.testing.worlds.envoy_filters import wasm_filter
from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, bootstrap
from pwasm_compiler.envoy.process import Envoy
from tests.support.http1 import Message, read
from tests.support.wire import eventually

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

CHOICES = ("refusing", "passing", "streaming")
LARGE = 300_000
WEBSOCKET = (
    b"GET /chat HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
CONNECT = b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n"
AGREED = {
    WEBSOCKET: b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    CONNECT: b"HTTP/1.1 200 OK\r\n\r\n",
}
IGNORED = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nplain"
SECONDS = 10.0


class Server:
    """Answers with `answer`; what comes after the headers it sends back."""

    def __init__(self) -> None:
        self.answer = b""
        self.requests: list[bytes] = []
        self.bytes = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        head = b""
        with connection, contextlib.suppress(OSError):
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536) or b"\r\n\r\n"
            self.requests.append(head.partition(b"\r\n")[0])
            self.bytes += head.partition(b"\r\n\r\n")[2]
            connection.sendall(self.answer)
            while data := connection.recv(65536):
                self.bytes += data
                connection.sendall(b"echo:" + data)


class World:
    """Envoy and upstream."""

    def __init__(self, envoy: Envoy, server: Server) -> None:
        self.envoy, self.server = envoy, server
        self.addresses = envoy.listeners()

    def connect(self, listener: str, request: bytes, answer: bytes) -> tuple[socket.socket, Any]:
        """Send a request; the client's connection, to write to and to read from."""
        self.server.answer, self.server.requests, self.server.bytes = answer, [], b""
        client = socket.create_connection(self.addresses[listener], timeout=SECONDS)
        client.sendall(request)
        return client, client.makefile("rb")

    def logged(self) -> list[str]:
        """What the filter has logged."""
        return [record.text for record in self.envoy.filter_log]


@pytest.fixture(scope="module")
def world(built: Callable[[str], Path]) -> Iterator[World]:
    server = Server()
    module = built("data_path")

    def listener(root_id: str, name: str, *, hold_headers: bool = False) -> HttpListener:
        used = wasm_filter(
            module, hold_headers=hold_headers, environment={}, root_id=root_id, vm_id=f"{hold_headers}"
        ).to_json()
        return HttpListener([used], name=name, routes=[Route(upstream="upstream")])

    listeners = [listener(choice, choice) for choice in CHOICES]
    listeners += [listener(choice, f"{choice} held", hold_headers=True) for choice in CHOICES]
    listeners += [listener("whole", "small"), listener("whole", "small held", hold_headers=True)]
    config = bootstrap(listeners, upstreams=[Upstream("127.0.0.1", server.port)])
    for made in config["static_resources"]["listeners"]:
        manager = made["filter_chains"][0]["filters"][0]["typed_config"]
        manager["upgrade_configs"] = [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}]
        routes = manager["route_config"]["virtual_hosts"][0]["routes"]
        routes.insert(0, {"match": {"connect_matcher": {}}, "route": {"cluster": "upstream"}})
        if made["name"].startswith("small"):
            made["per_connection_buffer_limit_bytes"] = 1024
    # Envoy would read all of a response at once.
    config["static_resources"]["clusters"][0]["per_connection_buffer_limit_bytes"] = 16_384
    with Envoy(config) as envoy:
        yield World(envoy, server)
    server.close()


def seen_after(world: World, number: int) -> list[str]:
    """The pieces that the filter has seen since."""
    return [text for text in world.logged()[number:] if not text.endswith(" ")]


both_modes = pytest.mark.parametrize("held", ["", " held"], ids=["drain", "headers"])
asked = pytest.mark.parametrize("request_", [WEBSOCKET, CONNECT], ids=["websocket", "connect"])


@both_modes
@asked
def test_an_upgrade_is_refused(world: World, request_: bytes, held: str) -> None:
    client, stream = world.connect(f"refusing{held}", request_, AGREED[request_])
    with client, stream:
        client.sendall(b"ping")
        assert read(stream).status == 403
    assert (world.server.requests, world.server.bytes) == ([], b"")


@both_modes
@asked
@pytest.mark.parametrize("choice", ["passing", "streaming"])
def test_an_upgraded_connection(world: World, choice: str, request_: bytes, held: str) -> None:
    before = len(world.logged())
    client, stream = world.connect(f"{choice}{held}", request_, AGREED[request_])
    with client, stream:
        head = read(stream, bodyless=True)
        assert head.status == (101 if request_ is WEBSOCKET else 200)
        for data in (b"ping", b"pong", b"more"):
            client.sendall(data)
            assert stream.read(9) == b"echo:" + data
    seen = [f"{message} {data}" for data in ("ping", "pong", "more") for message in ("request", "response")]
    wanted = [text.replace("response ", "response echo:") for text in seen] if choice == "streaming" else []
    # Callbacks without any bytes come, too, once the headers have gone on.
    eventually(lambda: len(seen_after(world, before)) >= len(wanted))
    assert seen_after(world, before) == wanted


@both_modes
def test_an_upgrade_that_upstream_ignores(world: World, held: str) -> None:
    """The client's bytes never get there; of the answer Envoy itself sends no body."""
    client, stream = world.connect(f"passing{held}", WEBSOCKET, IGNORED)
    with client, stream:
        client.sendall(b"GET /admin HTTP/1.1\r\nhost: a\r\n\r\n")
        answer = read(stream)
    assert (answer.status, answer.body) == (200, b"")
    assert (world.server.requests, world.server.bytes) == ([b"GET /chat HTTP/1.1"], b"")


def test_a_response_that_is_too_large_for_envoy(world: World) -> None:
    """Where headers are held the client is told; elsewhere they have left, and the response is cut off."""
    found: dict[str, Message] = {}
    for name in ("small", "small held"):
        request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % LARGE + b"x" * LARGE
        client, stream = world.connect(name, request, answer)
        with client, stream:
            found[name] = read(stream)
    assert (found["small"].status, found["small"].body, found["small"].complete) == (200, b"", False)
    assert (found["small held"].status, found["small held"].body) == (500, b"Internal Server Error")
