"""The first steps of `make` for a newcomer, before any of pwasm runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.programs

WANTED = "pwasm requires Python 3.11 or later; choose one with: make setup PYTHON=/path/to/python3\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile and what its set-up depends on, in a folder of its own."""
    for name in ("Makefile", "pyproject.toml", "runtime-shim/build_shim.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    without = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "PYTHON"}
    return subprocess.run(["make", *arguments], cwd=folder, env=without, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["run", "test", "check"])
def test_without_a_python(checkout: Path, target: str) -> None:
    done = make(checkout, target, "PYTHON=no-such-python")
    assert done.returncode != 0
    assert done.stderr.startswith(f"error: no-such-python not found\n{WANTED}")
    assert not (checkout / ".venv").exists()


def test_with_an_old_python(checkout: Path) -> None:
    old = checkout / "old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\n')
    old.chmod(0o755)
    done = make(checkout, "run", f"PYTHON={old}")
    assert done.returncode != 0
    assert done.stderr.startswith(f"error: {old} is Python 3.9.2\n{WANTED}")


def test_the_set_up_is_not_silent(checkout: Path) -> None:
    """It downloads for a minute or two: pip's output is shown, and a line before it says why."""
    commands = make(checkout, "setup", "-n").stdout
    assert "installing pwasm and its test dependencies with pip" in commands
    assert "--quiet" not in commands


def test_to_run_a_filter_takes_what_users_have(checkout: Path) -> None:
    """Without the packages that only tests need, which are three times as much."""
    assert "'.[envoy]'" in make(checkout, "run", "-n").stdout
    assert "[dev" not in make(checkout, "run", "-n").stdout
    assert "'.[dev,envoy]'" in make(checkout, "check", "-n").stdout


def test_a_set_up_for_tests_does_for_all(checkout: Path) -> None:
    ready(checkout)
    assert "pip" not in make(checkout, "run", "check", "-n").stdout
    time.sleep(0.01)
    (checkout / "runtime-shim" / "build_shim.py").touch()
    assert "pip" in make(checkout, "run", "-n").stdout


def ready(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    for name in (".made", ".ready", ".ready-for-tests"):
        (checkout / ".venv" / name).touch()


@pytest.mark.parametrize("target", ["run", "test", "test-fast", "bench"])
def test_arguments_are_passed_on(checkout: Path, target: str) -> None:
    ready(checkout)
    command = make(checkout, "-n", target, "ARGS=--port 10001").stdout
    assert command.endswith(" --port 10001\n")
    assert "pip" not in command
