"""Tests declare what they start: the guard of `make test-fast`, in a separate pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFTEST = """\
from tests.support import marks

def pytest_configure(config):
    for marker in ("envoy", "wasm", "programs", "machine"):
        config.addinivalue_line("markers", marker)
    guard = marks.Guard()
    guard.watch()
    config.pluginmanager.register(guard)

def pytest_collection_modifyitems(items):
    marks.add(items)
"""
TESTS = """\
import subprocess
from pathlib import Path

import pytest
import wasmtime


def a_program():
    subprocess.run(["true"])


def a_module():
    store = wasmtime.Store()
    wasmtime.Linker(store.engine).instantiate(store, wasmtime.Module(store.engine, "(module)"))


def an_envoy():
    subprocess.run([Path(__file__).with_name("envoy-static"), "-c", "envoy.yaml"])


def a_version():
    subprocess.run(["true", "--version"])


@pytest.fixture(scope="session")
def registry():
    a_program()


WHAT = {"program": a_program, "module": a_module, "envoy": an_envoy, "version": a_version}


@pytest.mark.parametrize("what", WHAT)
def test_silent(what):
    WHAT[what]()


@pytest.mark.programs
@pytest.mark.parametrize("what", ["program", "module", "envoy"])
def test_programs(what):
    WHAT[what]()


@pytest.mark.wasm
@pytest.mark.parametrize("what", ["program", "module"])
def test_wasm(what):
    WHAT[what]()


def test_fixture(registry):
    pass


def test_nothing():
    pass
"""


@pytest.mark.programs
def test_what_a_test_starts_it_says(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").touch()
    (tmp_path / "envoy-static").write_text("#!/bin/sh\n")
    (tmp_path / "envoy-static").chmod(0o755)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    lines = [line.partition(" - ")[0].split(" test_it.py::test_") for line in done.stdout.splitlines()]
    outcomes = {name: outcome for outcome, *rest in lines for name in rest}
    failed = {name for name, outcome in outcomes.items() if outcome == "FAILED"}
    assert failed == {"silent[program]", "silent[module]", "silent[envoy]", "programs[module]", "programs[envoy]"}
    assert set(outcomes) - failed == {
        "programs[program]",
        "wasm[program]",
        "wasm[module]",
        "silent[version]",
        "fixture",
        "nothing",
    }
    assert "this test starts envoy-static, so it needs the marker `envoy`" in done.stdout
