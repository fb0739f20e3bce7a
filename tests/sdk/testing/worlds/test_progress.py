"""While a test builds its filter, a terminal shows the progress; a log file does not."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

pytestmark = pytest.mark.programs

CONFTEST = """\
import pwasm_compiler.build.backends
from pwasm_compiler.errors import BuildError

def build(project, output, *, progress):
    print("what a build prints is not shown")
    progress("freeze")
    raise BuildError("a double builds nothing")

pwasm_compiler.build.backends.build = build
"""
TEST = """\
def test_quick(): pass
def test_built(pwasm_world): pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "filter.py").write_text("")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "1"\n[tool.pytest.ini_options]\n')
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_filter.py").write_text(TEST)
    return tmp_path


def _on_a_terminal(command: list[str], folder: Path, environment: dict[str, str], columns: int = 80) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += (read := os.read(ours, 4096))
            except OSError:  # how Linux says that nobody has it open any more
                read = b""
            if not read:
                break
    os.close(ours)
    assert process.returncode == 1
    return shown.decode()


def _called(folder: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    command = [sys.executable, "-m", "pwasm_compiler.cli", "test", ".", "--tier", "wasm", "-p", "no:xdist", *arguments]
    environment = {**os.environ, "PWASM_CACHE_DIR": str(folder / "cache"), "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    return command, environment


@pytest.mark.parametrize("arguments", [(), ("-s",)], ids=["captured", "s"])
def test_a_build_is_shown(folder: Path, arguments: tuple[str, ...]) -> None:
    command, environment = _called(folder, *arguments)
    lines = [line.strip() for line in _on_a_terminal(command, folder, environment).replace("\r", "\n").split("\n")]
    seen = [line for line in lines if "building" in line]
    assert [line.startswith("building mine") for line in seen] == [True, True]
    unseen = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert "building" not in unseen.stdout + unseen.stderr
    assert "a double builds nothing" in unseen.stdout


@pytest.mark.parametrize("columns", [20, 60])
def test_it_fits_into_a_narrow_terminal(folder: Path, columns: int) -> None:
    """A longer line would be two, of which the next one replaces only the second."""
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace('"mine"', f'"{"mine" * 25}"'))
    command, environment = _called(folder)
    written = _on_a_terminal(command, folder, environment, columns).split("\r")
    first = next(at for at, line in enumerate(written) if line.startswith("building"))
    line, *after = (text.partition("\n")[0] for text in written[first:])
    assert len(line) == columns - 1
    assert " " * (columns - 1) in after, "it is wiped out"
