"""The table of tests/support/aio_cases.py in a real Envoy: services fail or say nothing, clients leave.

The filter is tests/projects/awaits; the HTTP server is in tests/support/wire.py, the gRPC one in grpc_double.py.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pwasm.testing.worlds.servers import refusing_port
from pwasm_compiler.envoy.config import HttpListener, Route, TcpListener, Upstream, WasmFilter, bootstrap
from tests.support import wire
from tests.support.aio_cases import CASES
from tests.support.grpc_double import grpc_server

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

GATED = ("gated_body", "then_body")


@pytest.fixture(scope="module")
def world(built: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    web, tcp = wire.HttpUpstream(), wire.TcpUpstream()
    gates = {name: wire.HttpUpstream() for name in GATED}
    module = built("awaits")
    with grpc_server() as (_, grpc_port):
        listeners: list[HttpListener | TcpListener] = [
            HttpListener(
                [WasmFilter(module, name=name, configuration=configuration, allow_on_headers_stop_iteration=early)],
                name=name,
                routes=(Route(upstream="web"),),
            )
            for name, configuration, early in (("cases", "", None), ("early", "", True), ("tick", "tick", None))
        ]
        listeners.append(TcpListener([WasmFilter(module, kind="tcp", root_id="tcp")], upstream="tcp"))
        upstreams = [
            Upstream("127.0.0.1", web.port, name="web"),
            Upstream("127.0.0.1", tcp.port, name="tcp"),
            Upstream("127.0.0.1", grpc_port, name="grpc", http2=True),
            Upstream("127.0.0.1", refusing_port(), name="refusing"),
            *(Upstream("127.0.0.1", gate.port, name=name) for name, gate in gates.items()),
        ]
        config = bootstrap(listeners, upstreams=upstreams)
        access_log = wire.prepare(config, tmp_path_factory.mktemp("aio"))
        expected = tuple(pattern for case in CASES.values() for pattern in case.errors)
        with wire.running(config, expected=(*expected, "the coroutine is being closed")) as envoy:
            world: Any = wire.World(envoy, web, access_log)
            world.gates = gates
            yield world
        servers: list[wire.HttpUpstream | wire.TcpUpstream] = [web, tcp, *gates.values()]
        for server in servers:
            server.close()


@pytest.mark.parametrize(("path", "case"), CASES.items(), ids=CASES)
def test_orders_of_events(world: Any, path: str, case: Any) -> None:
    start = len(world.envoy.filter_log)
    got = world.request(f"/{path}")
    assert got.status == case.status
    if case.body is not None:
        assert got.body.decode() == case.body
    for text in case.logs:
        world.envoy.wait_for_log(text)
    logged = [record.text for record in world.envoy.filter_log[start:]]
    assert [text for text in logged if any(wanted in text for wanted in case.logs)][: len(case.logs)] == list(case.logs)

    def errors() -> list[str]:
        return [record.text for record in world.envoy.filter_log[start:] if record.at_least("warning")]

    if case.errors:
        world.eventually(lambda: len(errors()) >= len(case.errors), "the error record")
    for pattern, text in zip(case.errors, errors(), strict=True):
        assert re.search(pattern, text, re.DOTALL), text
    if case.upstream is not None:
        assert world.upstream.received[f"/{path}"][-1].one("x-awaited") == case.upstream.encode()


def pieces_of(world: Any, path: str, start: int, whole: str) -> list[str]:
    """The pieces in which the filter saw a body, once it has seen all of it."""
    found: list[str] = []

    def complete() -> bool:
        texts = [record.text for record in world.envoy.filter_log[start:]]
        found[:] = [text.partition(" b'")[2].rstrip("'") for text in texts if text.startswith(f"part of {path}: ")]
        return len("".join(found)) >= len(whole)

    world.eventually(complete, "the whole body")
    assert "".join(found) == whole
    return found


@pytest.mark.parametrize(("path", "to"), [("gated_body", "cases"), ("then_body", "early")])
def test_bodies_that_arrive_meanwhile(world: Any, path: str, to: str) -> None:
    """A slow service: data that the client sends in the meantime is held, and each byte is seen once and in order."""
    start, gate = len(world.envoy.filter_log), world.gates[path]
    with closing(socket.create_connection(world.addresses[to], timeout=10)) as client:
        client.sendall(f"POST /{path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n".encode())
        world.eventually(lambda: gate.received.get("/asked?silent"), "the call")
        client.sendall(b"3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n")
        received = world.envoy.stats(f"http.{to}.downstream_cx_rx_bytes_total")
        world.eventually(
            lambda: world.envoy.stats(f"http.{to}.downstream_cx_rx_bytes_total") == received or received, "the body"
        )
        gate.release.set()
        assert client.recv(12) == b"HTTP/1.1 200"
    body = world.upstream.received[f"/{path}"][-1].body
    pieces = pieces_of(world, path, start, "onetwothree")
    wanted = "".join(f"<{piece.upper()}>" for piece in pieces) if path == "gated_body" else "onetwothree"
    assert body.decode() == wanted


def test_a_body_with_trailers(world: Any) -> None:
    """The trailers of a request cannot wait for the coroutine of its body."""
    got = world.request("/body", chunks=[b"one", b"two", b"three"], trailers=[("x-t", "1")])
    assert (got.status, got.body) == (500, b"a request with trailers cannot be held after its headers have left\n")


def test_a_client_that_leaves(world: Any) -> None:
    """Everything the coroutine has open is closed, innermost first, and then the stream is done."""
    start = len(world.envoy.filter_log)
    with closing(socket.create_connection(world.addresses["cases"], timeout=10)) as client:
        client.sendall(b"GET /left HTTP/1.1\r\nhost: x\r\n\r\n")
        world.eventually(lambda: len(world.upstream.received.get("/asked?silent", [])) > 0, "the call")
    world.envoy.wait_for_log(" done")
    texts = [record.text for record in world.envoy.filter_log[start:]]
    assert [text for text in texts if text.startswith(("finally", "done"))] == [
        "finally call",
        "finally nap",
        "finally left",
        "done",
    ]


def test_a_coroutine_that_waits_when_it_is_closed(world: Any) -> None:
    with closing(socket.create_connection(world.addresses["cases"], timeout=10)) as client:
        before = len(world.upstream.received.get("/asked?silent", []))
        client.sendall(b"GET /waits_at_the_end HTTP/1.1\r\nhost: x\r\n\r\n")
        world.eventually(lambda: len(world.upstream.received.get("/asked?silent", [])) > before, "the call")
    world.envoy.wait_for_log("await dispatch_http_call is refused")
    assert world.request("/one").status == 200


def test_ticks_and_queues(world: Any) -> None:
    world.envoy.wait_for_log("tick 3 200")
    assert world.request("/enqueue", to="tick").body == b"queued"
    world.envoy.wait_for_log("job b'work' 200")


def test_tcp(world: Any) -> None:
    with closing(socket.create_connection(world.addresses["tcp"], timeout=10)) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"<HELLO>"
        client.sendall(b"again")
        assert client.recv(100) == b"<AGAIN>"
    world.envoy.wait_for_log("connected 200")


@pytest.mark.parametrize("data", [b"wrong", b"leave"])
def test_tcp_that_fails_or_leaves(world: Any, data: bytes) -> None:
    before = len(world.upstream.received.get("/asked?silent", []))
    with closing(socket.create_connection(world.addresses["tcp"], timeout=10)) as client:
        client.sendall(data)
        if data == b"wrong":
            assert client.recv(100) == b""
            world.envoy.wait_for_log("AwaitsTcp.on_downstream_data failed")
            return
        world.eventually(lambda: len(world.upstream.received.get("/asked?silent", [])) > before, "the call")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leave with a reset
    world.envoy.wait_for_log("finally tcp")
