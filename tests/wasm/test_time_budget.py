"""Loops end in the built module, in wasmtime, where a test's clocks stand still during a callback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin

pytestmark = pytest.mark.wasm


def test_loops_end(built: Callable[[str], Path]) -> None:
    path = built("time_budget")
    host = HostEmulator(plugin=lambda host: WasmPlugin(path, host))
    names = host.request(path="/names").body.decode().split()
    for name in names:
        assert (name, host.request(path=f"/{name}").status) == (name, 500)
        assert host.request().status == 200
        assert "more than 300 ms in one callback" in next(text for level, text in reversed(host.logs) if level == 4)
