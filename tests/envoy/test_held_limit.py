"""A thousand slow bodies at once: what the module holds of them has a limit, and nothing else happens."""

from __future__ import annotations

import asyncio
import resource
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy
from tests.support.wire import eventually

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

STREAMS = 1000
SIZE = 20_000
LIMIT = 2_000_000
"""As in tests/projects/held_limit."""
REFUSED = "wasmcustom.pwasm.held_bytes_refused"
ERRORS = "wasmcustom.pwasm.errors"
REQUESTS = "http.http.downstream_cx_rx_bytes_total"
RESPONSES = "cluster.upstream.upstream_cx_rx_bytes_total"
_FILES = 8192


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> Iterator[None]:
    """A thousand connections to Envoy, and as many from it, which inherits the limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(_FILES, before[1])), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


class SlowUpstream:
    """Answers a POST at once, and a GET with half of what it announces; the rest follows after `go_on`."""

    def __init__(self) -> None:
        self.port = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        self._started.wait()

    def go_on(self) -> None:
        """Send the rest of all answers."""
        self._loop.call_soon_threadsafe(self._rest.set)

    def close(self) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rest, self._over = asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=STREAMS)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._over.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"content-length" in head:
                await reader.readexactly(SIZE)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % SIZE)
                writer.write(b"x" * (SIZE // 2))
                await self._rest.wait()
                writer.write(b"x" * (SIZE // 2))
            await writer.drain()
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[SlowUpstream]:
    server = SlowUpstream()
    yield server
    server.close()


@pytest.fixture(scope="module")
def envoy(built: Callable[[str], Path], upstream: SlowUpstream) -> Iterator[Envoy]:
    listener = HttpListener([WasmFilter(built("held_limit"))], routes=[Route(upstream="upstream")])
    config = bootstrap([listener], upstreams=[Upstream("127.0.0.1", upstream.port)])
    with Envoy(config) as running:
        yield running


def begin(envoy: Envoy, message: bytes, count: int = STREAMS) -> list[socket.socket]:
    """So many clients that have sent a message."""
    address = envoy.listeners()["http"]
    clients = []
    for _ in range(count):
        clients.append(socket.create_connection(address, timeout=20))
        clients[-1].sendall(message)
    return clients


def upload() -> bytes:
    """Half of one."""
    return b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % SIZE + b"y" * (SIZE // 2)


def answered(clients: list[socket.socket]) -> list[socket.socket]:
    """Those that have an answer, or whose connection has ended."""
    poll = select.poll()
    by_number = {client.fileno(): client for client in clients}
    for number in by_number:
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(0)]


def status(client: socket.socket) -> int:
    """The answer's; 0 for none."""
    return int(client.recv(65536)[9:12] or 0)


def read_all(client: socket.socket) -> bytes:
    """A whole response, or what comes before the connection ends."""
    data = b""
    while not data.endswith(b"x" * SIZE) and (more := client.recv(65536)):
        data += more
    return data


def settle(envoy: Envoy, name: str) -> None:
    """Envoy has got all that was sent: it has not read more for a while, says this counter of bytes."""
    before, same = -1, 0
    for _ in range(100):
        now = envoy.stats(name).get(name, 0)
        same = same + 1 if now == before else 0
        if same == 5:  # on a busy machine, one pause says nothing
            return
        before = now
        time.sleep(0.2)


def check(envoy: Envoy, refused: int) -> None:
    """Nothing but refusals has happened."""
    envoy.check_alive()
    assert envoy.stats(REFUSED) == {REFUSED: refused}
    assert envoy.stats(ERRORS).get(ERRORS, 0) == 0
    assert [record.raw for record in envoy.filter_log if record.at_least("warning")] == []


def close(clients: list[socket.socket]) -> None:
    for client in clients:
        client.close()


def all_gone(envoy: Envoy) -> bool:
    name = "http.http.downstream_cx_active"
    return envoy.stats(name).get(name) == 0


def test_slow_uploads(envoy: Envoy) -> None:
    clients = begin(envoy, upload())
    settle(envoy, REQUESTS)
    refused = answered(clients)
    held = set(clients) - set(refused)
    assert Counter(map(status, refused)) == {503: len(refused)}
    assert LIMIT * 0.9 <= len(held) * SIZE // 2 <= LIMIT
    check(envoy, len(refused))
    close(clients)
    eventually(lambda: all_gone(envoy), "the end of all connections")
    # Nothing is held any more: as many whole bodies have room as the limit allows.
    clients = begin(envoy, upload(), LIMIT // SIZE)
    settle(envoy, REQUESTS)
    assert answered(clients) == []
    for client in clients:
        client.sendall(b"y" * (SIZE // 2))
    assert Counter(map(status, clients)) == {200: len(clients)}
    check(envoy, len(refused))
    close(clients)


def test_slow_responses(envoy: Envoy, upstream: SlowUpstream) -> None:
    """Their headers have left, so those for which there is no room end there."""
    eventually(lambda: all_gone(envoy), "the end of all connections")
    before = envoy.stats(REFUSED).get(REFUSED, 0)
    clients = begin(envoy, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    settle(envoy, RESPONSES)
    upstream.go_on()
    heads, bodies = zip(*(read_all(client).split(b"\r\n\r\n") for client in clients), strict=True)
    assert {head[9:12] for head in heads} == {b"200"}
    whole = bodies.count(b"x" * SIZE)
    assert bodies.count(b"") == STREAMS - whole
    # Those that go first make room for the rest of others.
    assert LIMIT / SIZE <= whole <= 2 * LIMIT / SIZE
    check(envoy, before + STREAMS - whole)
    close(clients)
