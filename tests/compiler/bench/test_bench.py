"""The parts of `pwasm bench`: the edited modules in wasmtime, the client against a server made here, the report."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import wasmtime

from pwasm.testing import HostEmulator
from pwasm.testing.emulator.clock import Clock
from pwasm.testing.wasm import WasmPlugin, WasmTrap
from pwasm_compiler.bench import timers
from pwasm_compiler.bench.figures import Spread
from pwasm_compiler.bench.instrument import with_trap
from pwasm_compiler.bench.load import Request, run_client
from pwasm_compiler.bench.render import render
from pwasm_compiler.bench.report import Callback, Pair, Report
from pwasm_compiler.errors import ToolError, UnsupportedError
from pwasm_compiler.wasm.module import I32, FuncType

pytestmark = pytest.mark.programs

BODY_CALLBACK = FuncType(bytes([I32] * 3), bytes([I32]))

# A filter whose calls go through everything that an edit may have to renumber: a direct call, the table, `ref.func`'s
# place in an element segment, an import that is there twice. It answers 1 (pause) unless memory is as it was.
FILTER = """
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_log" (func $again (param i32 i32 i32) (result i32)))
  (type $action (func (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 0) $refuse $look)
  (global $calls (mut i32) (i32.const 0))
  (data (i32.const 1020) "0123456789abcdefghijklmnopqrstuvwxyz")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 2048))
  (func (export "proxy_on_delete") (param i32) (global.set $calls (i32.add (global.get $calls) (i32.const 1))))
  (func $refuse (type $action) (i32.const 1))
  (func $look (type $action)
    (drop (call $again (i32.const 2) (i32.const 1020) (i32.const 36)))
    (i32.eqz (i64.eq (i64.load (i32.const 1024)) (i64.const 0x6261393837363534))))
  (func $indirect (type $action)
    (call_indirect (type $action) (local.get 0) (local.get 1) (local.get 2) (i32.const 1)))
  (func (export "proxy_on_request_headers") (type $action)
    (call $indirect (local.get 0) (local.get 1) (local.get 2))))
"""


@pytest.fixture
def host_of(tmp_path: Path) -> Callable[[bytes], HostEmulator]:
    """A host for a module."""

    def make(wasm: bytes) -> HostEmulator:
        file = tmp_path / "edited.wasm"
        file.write_bytes(wasm)
        return HostEmulator(plugin=lambda host: WasmPlugin(file, host))

    return make


@pytest.mark.wasm
def test_a_module_with_timers_does_what_it_did_and_counts(
    host_of: Callable[[bytes], HostEmulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The emulator's clock stands still while a callback runs.
    monkeypatch.setattr(Clock, "since_some_start", lambda _clock, _name: time.perf_counter_ns())
    timed = timers.with_timers(bytes(wasmtime.wat2wasm(FILTER)))
    assert timed.callbacks == ("proxy_on_delete", "proxy_on_request_headers")
    host = host_of(timed.wasm)
    for _ in range(3):
        response = host.request("GET", "/")
        assert response.paused is None
    assert [text for _, text in host.logs] == ["0123456789abcdefghijklmnopqrstuvwxyz"] * 3
    metrics = host.process
    stats = {timers.PREFIX + name: metrics.numbers[key] for key in metrics.numbers for _, name in [key]}
    times, clock = timers.read(timed, stats)
    assert [(item.name, item.calls) for item in times] == [("proxy_on_delete", 3), ("proxy_on_request_headers", 3)]
    assert all(0 < item.seconds < 60 for item in times)
    assert 0 < clock < 1


@pytest.mark.wasm
def test_a_trap_is_put_in_and_nothing_else_changes(host_of: Callable[[bytes], HostEmulator]) -> None:
    plain = bytes(wasmtime.wat2wasm(FILTER))
    host = host_of(with_trap(plain, "proxy_on_request_body", BODY_CALLBACK))
    assert host.request("GET", "/").paused is None
    with pytest.raises(WasmTrap, match="unreachable"):
        host.request("POST", "/", body=b"a body")
    replaced = host_of(with_trap(plain, "proxy_on_request_headers", BODY_CALLBACK))
    with pytest.raises(WasmTrap, match="unreachable"):
        replaced.request("GET", "/")


def test_what_cannot_be_renumbered_is_said() -> None:
    passive = FILTER.replace("(elem (i32.const 0) $refuse", "(elem func $refuse) (elem (i32.const 0) $refuse")
    with pytest.raises(UnsupportedError, match="element segment"):
        timers.with_timers(bytes(wasmtime.wat2wasm(passive)))
    vector = FILTER.replace("(func $indirect", "(func (drop (v128.const i64x2 0 0))) (func $indirect")
    with pytest.raises(UnsupportedError, match="instruction 0xfd"):
        timers.with_timers(bytes(wasmtime.wat2wasm(vector)))


ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": b"HTTP/1.1 404 No\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nx-trailer: a\r\n\r\n",
    "none": b"HTTP/1.1 204 No Content\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "closed": b"HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    "until the end": b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_client_reads_every_form_of_an_answer(kind: str) -> None:
    with serving(ANSWERS[kind], closes=kind in ("closed", "until the end")) as (server, seen):
        result = run_client(server, Request("POST", "/a?b", {"X-One": "1"}, b"body"), 30, 2, 20)
    assert result.requests == 20
    assert result.other == (20 if kind in ("chunks", "closed") else 0)
    assert 0 < result.p50 <= result.p99
    assert result.requests_per_second > 0
    host = server.removeprefix("http://").encode()
    sent = b"POST /a?b HTTP/1.1\r\nhost: " + host + b"\r\nx-one: 1\r\ncontent-length: 4\r\n\r\nbody"
    assert seen == [sent] * 20


def test_the_client_ends_in_time() -> None:
    with serving(ANSWERS["length"]) as (server, _):
        assert run_client(server, Request(), 1).requests > 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"SSH-2.0\r\n\r\n", "ValueError: not an HTTP/1 response: 'ssh-2.0'"),
        (b"", "the server closed the connection before responding"),
        (ANSWERS["length"][:-2], "the server closed the connection before responding"),
        (ANSWERS["length"], "(the server closed the connection before responding|Connection|BrokenPipe)"),
        (ANSWERS["chunks"].replace(b"5;x=y", b"five"), "ValueError: "),
    ],
    ids=["no-http", "nothing", "half", "one answer, then the end", "no number"],
)
def test_what_is_no_answer_is_an_error(answer: bytes, message: str) -> None:
    """A single line, whatever several connections have encountered: no exception group, no traceback."""
    with serving(answer, closes=True) as (server, _), pytest.raises(ToolError) as raised:
        run_client(server, Request(), 5, 3, 9)
    assert re.match(f"the client exited with code 1: {message}", raised.value.what)
    assert len(raised.value.what.splitlines()) == 1


def test_no_answer_in_time_is_an_error() -> None:
    with (
        serving(ANSWERS["length"]) as (server, _),
        pytest.raises(ToolError, match=r"1: ValueError: no request was answered$"),
    ):
        run_client(server, Request(), 0, 1)


def test_a_server_that_is_not_there_is_an_error() -> None:
    with serving(b"") as (server, _):
        pass
    with pytest.raises(ToolError, match="the client exited with code 1: ConnectionRefusedError"):
        run_client(server, Request(), 5, 2)


def test_the_report(golden: Callable[[str, str], None]) -> None:
    golden("bench/pwasm_bench.txt", render(example()) + "\n")


def test_the_report_of_a_slow_client_adds_no_times_up() -> None:
    report = example()
    slow = dataclasses.replace(
        report,
        client="python",
        options={**report.options, "requests": 5000},
        microseconds=dataclasses.replace(report.microseconds, added=None),
        other_answers=7,
        callbacks=(),
        problems=("the callbacks were not measured: instruction 0xfd",),
    )
    text = render(slow)
    assert "2 rounds of 1 s or 5,000 requests" in text
    assert "note: the callbacks were not measured: instruction 0xfd\n" in text
    assert "note: 7 of 61,000 requests were answered with a status outside 200 to 399\n" in text
    assert "note: the time added by the filter is unknown, because only wrk saturates Envoy" in text
    assert "callback  " not in text


def example() -> Report:
    """Results that a run may have."""

    def pair(without: float, with_filter: float) -> Pair:
        added = with_filter - without
        return Pair(*(Spread(value, value * 0.9, value * 1.1) for value in (without, with_filter, added)))

    return Report(
        filter="hello_world",
        module="main.wasm",
        module_megabytes=10.25,
        envoy="1.40.0",
        client="wrk",
        request="GET /",
        options={"rounds": 2, "seconds": 1, "requests": None, "connections": 8, "concurrency": 1},
        status={"without": 200, "with": 200},
        requests=61_000,
        other_answers=0,
        requests_per_second=dataclasses.replace(pair(45_000, 36_000), added=None),
        microseconds=pair(22.2, 27.8),
        cpu_microseconds=pair(17.1, 22.5),
        p99_microseconds=pair(800, 950),
        load_seconds=pair(0.1, 2.9),
        memory_megabytes=pair(66, 196),
        memory_per_worker=14.2,
        memory_grown=Pair(Spread(0, 0, 0), Spread(0.1, 0.1, 0.1), Spread(0.1, 0.1, 0.1)),
        callbacks=(
            Callback("proxy_on_request_headers", 1.0, 1.9),
            Callback("proxy_on_response_headers", 1.0, 1.25),
            Callback("proxy_on_request_body", 0.5, 3.0),
        ),
        clock_microseconds=0.06,
        problems=(),
    )


@contextlib.contextmanager
def serving(answer: bytes, closes: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers each request with these bytes; and the requests it has seen."""
    seen: list[bytes] = []
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                if request.startswith(b"POST"):
                    request += await reader.readexactly(4)
                seen.append(request)
                writer.write(answer)
                await writer.drain()
                if closes:
                    break
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
