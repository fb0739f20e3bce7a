"""V8 in a real Envoy inlines nothing into a module whose budgets are spent: its machine code says so."""

from __future__ import annotations

import dataclasses
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from pwasm_compiler.bench.process import machine_code_bytes
from pwasm_compiler.build.backends import build
from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy
from pwasm_compiler.project import load_project
from tests.support.command_line import caller
from tests.support.paths import HELLO_WORLD

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

WAT = f"""
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func $small (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (call $small (i32.const 1023)))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    {"(drop (call $small (i32.const 7)))" * 40} (i32.const 0)))
"""


def _machine_code(module: Path, executable: Path | None) -> int:
    with Envoy(bootstrap([HttpListener([WasmFilter(module)])]), concurrency=1, executable=executable) as envoy:
        with urllib.request.urlopen(envoy.url, timeout=20) as response:
            assert response.headers["x-wasm-custom"] == "FOO"
        return machine_code_bytes(envoy.pid)


@pytest.mark.parametrize("version", ["newest", "oldest"])
def test_machine_code_is_less_than_half(
    version: str, tmp_path: Path, built: Callable[[str], Path], envoy_of: Callable[[str], Path | None]
) -> None:
    """9.7 and 4.4 MiB in Envoy 1.40, measured; which of V8's budgets applies is not known from outside."""
    unchanged = tmp_path / "unchanged.wasm"
    build(dataclasses.replace(load_project(HELLO_WORLD), v8_inlining=True), unchanged)
    executable = envoy_of(version)
    assert 2 * _machine_code(built(str(HELLO_WORLD)), executable) < _machine_code(unchanged, executable)


def test_optimize_says_what_it_changes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.wasm").write_bytes(wasmtime.wat2wasm(WAT))
    pwasm = caller(capfd, tmp_path, monkeypatch)
    shown = pwasm("optimize", "other.wasm", "-o", "new.wasm")
    assert shown.code == 0
    assert "new.wasm: 2 functions, +" in shown.out
    assert "processor time until Envoy is ready" in shown.out
    report = json.loads(pwasm("optimize", "other.wasm", "-o", "again.wasm", "--json").out)
    assert (tmp_path / "again.wasm").read_bytes() == (tmp_path / "new.wasm").read_bytes()
    for side in ("before", "after"):
        assert all(value > 0 for value in report["measured"][side].values())
