"""Tests that were written for one filter, run against another: `--pwasm-module` names any main.wasm."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from tests.support.paths import HELLO_WORLD

Run = Callable[..., subprocess.CompletedProcess[str]]

# What hello_world does, in hand-written code: no Python in it.
MODULE = """
(module
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "x-wasm-customVALUEadding the header")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) i32.const 1024)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 16) (i32.const 13) (i32.const 29) (i32.const 3)))
    (drop (call $log (i32.const 2) (i32.const 32) (i32.const 17)))
    i32.const 0))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """hello_world with its test and suite, whose own filter cannot be built; and two modules."""
    for file in ("test_filter.py", "hello_world.suite.yaml"):
        (tmp_path / file).write_bytes((HELLO_WORLD / file).read_bytes())
    (tmp_path / "filter.py").write_text("raise RuntimeError('not this one')\n")
    for name, value in (("right", "FOO"), ("wrong", "BAR")):
        (tmp_path / f"{name}.wasm").write_bytes(wasmtime.wat2wasm(MODULE.replace("VALUE", value)))
    return tmp_path


@pytest.mark.wasm
def test_a_module_in_the_place_of_the_filter(folder: Path, run_pytest: Run) -> None:
    """Without a tier it is run in wasm, for it has no python tier."""
    right = run_pytest(folder, "-vv", "--pwasm-module=right.wasm")
    assert right.returncode == 0, right.stdout
    assert "test_the_header_is_added[wasm] PASSED" in right.stdout
    assert ("2 passed" in right.stdout, "python]" in right.stdout) == (True, False)
    wrong = run_pytest(folder, "--pwasm-module=wrong.wasm")
    assert "2 failed" in wrong.stdout, wrong.stdout


@pytest.mark.wasm
@pytest.mark.envoy
def test_a_module_in_envoy(folder: Path, run_pytest: Run) -> None:
    ran = run_pytest(folder, "--pwasm-tier=python,wasm,envoy", "--pwasm-module=right.wasm")
    assert "4 passed" in ran.stdout, ran.stdout


def test_a_module_that_is_not_there(folder: Path, run_pytest: Run) -> None:
    ran = run_pytest(folder, "--pwasm-module=gone.wasm")
    assert ran.returncode == 1
    assert "gone.wasm" in ran.stdout
    assert "not this one" not in ran.stdout
