"""Interrupting `pwasm test` lets the tests finish first: their fixtures stop Envoys and remove folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pwasm_compiler import scaffold

pytestmark = pytest.mark.programs

DEADLINE_SECONDS = 30
TEST = """\
import time
from pathlib import Path

import pytest


@pytest.fixture
def marker():
    yield
    time.sleep(0.5)
    Path("over").touch()


def test_sleeps(marker, pwasm_world):
    Path("begun").touch()
    time.sleep(40)
"""


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"there is no {path.name}"
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def _hangups_are_heard() -> Iterator[None]:
    """Under `nohup` programs inherit that SIGHUP is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("number", "to_all", "code"),
    [
        (signal.SIGTERM, False, 143),
        (signal.SIGHUP, False, 129),
        (signal.SIGTERM, True, 143),
        (signal.SIGHUP, True, 129),
        (signal.SIGINT, True, 1),
    ],
    ids=["SIGTERM", "SIGHUP", "timeout", "closed terminal", "ctrl-c"],
)
def test_pytest_finishes(tmp_path: Path, number: signal.Signals, to_all: bool, code: int) -> None:
    folder = tmp_path / "mine"
    scaffold.create(folder)
    (folder / "pytest.ini").touch()
    (folder / "test_filter.py").write_text(TEST)
    command = [
        sys.executable,
        "-m",
        "pwasm_compiler.cli",
        "test",
        str(folder),
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    # Without Ctrl-C it is as a script starts it in the background.
    before = [] if number is signal.SIGINT else ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
    process = subprocess.Popen(
        [*before, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        _wait_for(folder / "begun", process)
        (os.killpg if to_all else os.kill)(process.pid, number)
        said, _ = process.communicate(timeout=DEADLINE_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert (folder / "over").exists(), said
    assert "no tests ran in" in said  # its summary
    assert process.returncode == code, said
