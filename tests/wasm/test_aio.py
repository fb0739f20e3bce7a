"""The table of tests/support/aio_cases.py with the compiled module: coroutines in a Wasm VM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm import LogLevel
from pwasm.testing import HostEmulator, UpstreamResponse
from tests.support import aio_cases
from tests.support.aio_cases import CASES, check, play

pytestmark = pytest.mark.wasm


@pytest.fixture(scope="module")
def host(built: Callable[[str], Path]) -> HostEmulator:
    """One VM for the whole table: a case must leave nothing behind."""
    from pwasm.testing.wasm import WasmPlugin

    module = built("awaits")
    upstream = UpstreamResponse(200, body=aio_cases.UPSTREAM_BODY.encode())
    host = HostEmulator(plugin=lambda host: WasmPlugin(module, host), upstream=upstream)
    host.clusters = {"web", "refusing", "grpc"}
    return host


@pytest.mark.parametrize(("path", "case"), CASES.items(), ids=CASES)
def test_orders_of_events(host: HostEmulator, path: str, case: Any) -> None:
    host.logs.clear()
    host.http_calls.clear()
    stream = host.request("GET", f"/{path}")
    play(host, stream)
    check(case, host, stream)


def test_bodies_that_arrive_meanwhile(host: HostEmulator) -> None:
    host.logs.clear()
    host.http_calls.clear()
    stream = host.request("POST", "/body", body=[b"one", b"two", b"three"])
    assert stream.paused == "request"
    play(host, stream)
    assert (stream.status, stream.request_body) == (200, b"<ONE><TWOTHREE>"), host.logs


def test_trailers_of_a_request_that_arrive_meanwhile(host: HostEmulator) -> None:
    host.logs.clear()
    host.http_calls.clear()
    stream = host.request("POST", "/body", body=[b"one", b"two"], trailers=[("x-t", "1")])
    assert (stream.status, stream.details) == (500, "pwasm_request_trailers_not_held")


def test_a_client_that_leaves(host: HostEmulator) -> None:
    host.logs.clear()
    host.http_calls.clear()
    stream = host.request("GET", "/left")
    stream.disconnect()
    assert host.logs_at(LogLevel.INFO) == ["finally call", "finally nap", "finally left", "done"]
    host.answer(host.http_calls[0])
    assert host.logs_at(LogLevel.ERROR) == []


WARM, STREAMS = 300, 3_000


def test_streams_with_awaits_leave_the_memory_as_it_was(host: HostEmulator) -> None:
    """A third is answered, a third abandoned by the client, a third fails; enough streams to make a leak visible."""

    def run(count: int) -> int:
        for number in range(count):
            stream = host.request("GET", ("/one", "/left", "/raises")[number % 3])
            if number % 3 == 1:
                stream.disconnect()
            else:
                play(host, stream)
            host.logs.clear()
            host.http_calls.clear()
        return int(host.plugin.pages)  # type: ignore[attr-defined]

    before = run(WARM)
    assert run(STREAMS) == before
