"""Callbacks that are `async def`, in the emulated host: the table of tests/aio_cases.py, and what only shows inside."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm import LogLevel, entrypoint
from pwasm.testing import HostEmulator
from pwasm.testing.streams import UpstreamResponse

TESTS = Path(__file__).parents[1]
TABLE = runpy.run_path(str(TESTS / "aio_cases.py"))
CASES, check, play = TABLE["CASES"], TABLE["check"], TABLE["play"]


@pytest.fixture
def start() -> Callable[..., HostEmulator]:
    """A host with tests/projects/awaits in it."""
    names = runpy.run_path(str(TESTS / "projects" / "awaits" / "filter.py"))
    entrypoint.clear_registration()

    def make(**options: Any) -> HostEmulator:
        host = HostEmulator(names["Plugin"], names["Awaits"], **options)
        host.clusters = {"web", "refusing", "grpc"}
        return host

    return make


def roots(host: HostEmulator) -> Any:
    return host.plugin._roots  # type: ignore[attr-defined]


def assert_nothing_pending(host: HostEmulator) -> None:
    for root in roots(host).values():
        assert (root.calls, root.tasks or []) == ({}, [])
        assert root.timers is None or root.timers.sleepers == []
    for stream in host.plugin._streams.values():  # type: ignore[attr-defined]
        assert stream.waiting is None
        assert not stream.calls


@pytest.mark.parametrize(("path", "case"), CASES.items(), ids=CASES)
def test_orders_of_events(start: Callable[..., HostEmulator], path: str, case: Any) -> None:
    host = start(upstream=UpstreamResponse(200, body=TABLE["UPSTREAM_BODY"].encode()))
    stream = host.request("GET", f"/{path}")
    play(host, stream)
    check(case, host, stream)
    assert_nothing_pending(host)


@pytest.mark.parametrize("trailers", [None, [("x-t", "1")]])
def test_bodies_that_arrive_meanwhile(start: Callable[..., HostEmulator], trailers: Any) -> None:
    """What comes during an await is held, and each byte is seen once and in order."""
    host = start()
    stream = host.request("POST", "/body", body=[b"one", b"two", b"three"], trailers=trailers)
    assert stream.paused == "request"
    play(host, stream)
    assert stream.status == 200, host.logs
    assert stream.request_body == b"<ONE><TWOTHREE>"
    logged = [text for level, text in host.logs if level == LogLevel.INFO]
    assert logged[:2] == ["part of body: b'one'", "part of body: b'twothree'"]
    assert logged[2:] == (["trailers [('x-t', '1')]"] if trailers else [])
    assert_nothing_pending(host)
