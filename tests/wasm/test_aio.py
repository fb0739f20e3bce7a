"""The table of tests/aio_cases.py with the compiled module: coroutines in a Wasm VM."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm.testing import HostEmulator
from pwasm.testing.streams import UpstreamResponse

pytestmark = pytest.mark.wasm
TABLE = runpy.run_path(str(Path(__file__).parents[1] / "aio_cases.py"))
CASES, check, play = TABLE["CASES"], TABLE["check"], TABLE["play"]


@pytest.fixture(scope="module")
def host(built: Callable[[str], Path]) -> HostEmulator:
    """One VM for the whole table: a case must leave nothing behind."""
    from pwasm.testing.wasm import WasmPlugin

    module = built("awaits")
    upstream = UpstreamResponse(200, body=TABLE["UPSTREAM_BODY"].encode())
    host = HostEmulator(plugin=lambda host: WasmPlugin(module, host), upstream=upstream)  # type: ignore[arg-type,return-value]
    host.clusters = {"web", "refusing"}
    return host


@pytest.mark.parametrize(("path", "case"), CASES.items(), ids=CASES)
def test_orders_of_events(host: HostEmulator, path: str, case: Any) -> None:
    host.logs.clear()
    host.http_calls.clear()
    stream = host.request("GET", f"/{path}")
    play(host, stream)
    check(case, host, stream)
