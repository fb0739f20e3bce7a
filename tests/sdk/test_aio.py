"""Callbacks that are `async def`, in the emulated host: the table of tests/aio_cases.py, and what only shows inside."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm import entrypoint
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
        host.clusters = {"web", "refusing"}
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
