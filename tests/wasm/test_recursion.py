"""Recursion of every kind in wasmtime, with a stack as large as V8's in Envoy: an exception, never a trap."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm.testing import HostEmulator

pytestmark = pytest.mark.wasm
CASES = runpy.run_path(str(Path(__file__).parents[1] / "recursion_cases.py"))


def test_recursion(start: Callable[..., HostEmulator]) -> None:
    host = start("deep")

    def ask(path: str) -> str:
        stream = host.request("GET", path)
        assert stream.local_response is not None, (path, host.logs)
        return stream.local_response.body.decode()

    CASES["check"](ask)
