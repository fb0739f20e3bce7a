"""Progress output: on a terminal one line that is replaced, elsewhere a line for each long step."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from tests.support.paths import HELLO_WORLD

pytestmark = pytest.mark.programs

COLUMNS = 60
_SEQUENCE = re.compile(r"\x1b\[[0-9;]*[mK]|\r\n|\r|[^\r\x1b]+")
SCRIPT = """
import time
from pwasm_compiler import progress
from pwasm_compiler.console import note, say
progress._PATIENCE_SECONDS, progress._PATIENCE_AT_A_TERMINAL_SECONDS = 0.8, 0.4
with progress.Progress() as outer:
    outer("outer, first")
    with progress.Progress() as inner:
        inner("inner, " + "long " * 30)
    say("a result")
    note("a note")
    outer("outer, second")
    time.sleep(SLEEP)
say("the end")
outer("nobody sees this")
"""


def on_a_terminal(command: list[str], folder: Path, **environment: str) -> str:
    """All that `command` writes to a terminal of `COLUMNS` columns."""
    terminal, other_end = os.openpty()
    fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    known |= {"TERM": "xterm"} | environment
    written = bytearray()

    def read() -> None:
        try:
            while data := os.read(terminal, 1 << 16):
                written.extend(data)
        except OSError:
            pass  # the other end is closed, and all is read

    with subprocess.Popen(command, cwd=folder, env=known, stdout=other_end, stderr=other_end) as process:
        os.close(other_end)
        reader = threading.Thread(target=read)
        reader.start()
        process.wait(120)
        reader.join()
    os.close(terminal)
    assert process.returncode == 0, written.decode()
    return written.decode()


def screen(written: str) -> tuple[list[str], list[str]]:
    """The lines that stay, and every state that the line being written was in."""
    lines: list[str] = []
    seen: list[str] = []
    line = ""
    for piece in _SEQUENCE.findall(written):
        if piece == "\r\n":
            lines, line = [*lines, line], ""
        elif piece in ("\r", "\x1b[K"):
            line = ""
        elif not piece.startswith("\x1b"):
            line += piece
            seen.append(line)
    return [*lines, line], seen


def script(sleep: float) -> list[str]:
    return [sys.executable, "-c", SCRIPT.replace("SLEEP", str(sleep))]


def test_on_a_terminal_it_is_one_line_that_goes(tmp_path: Path) -> None:
    written = on_a_terminal(script(1.3), tmp_path)
    stays, seen = screen(written)
    assert stays == ["a result", "a note", "the end", ""]
    assert max(map(len, seen)) < COLUMNS, "a line that is wrapped cannot be written over"
    assert ("outer, first" in seen, "outer, second" in seen, "outer, second, 1 s" in seen) == (True, True, True)
    assert any(line.startswith("inner, long long") and line.endswith("…") for line in seen)
    assert not [line for line in seen if "nobody" in line]
    assert "\x1b[2m" in written


def test_no_color_leaves_the_line_and_takes_the_colours(tmp_path: Path) -> None:
    written = on_a_terminal(script(0), tmp_path, NO_COLOR="1")
    assert set(re.findall(r"\x1b\[[0-9;]*[A-Za-z]", written)) == {"\x1b[K"}
    assert screen(written)[0] == ["a result", "a note", "the end", ""]


def test_a_terminal_that_cannot_write_over_a_line(tmp_path: Path) -> None:
    written = on_a_terminal(script(1.0), tmp_path, TERM="dumb", NO_COLOR="1")
    assert "\x1b" not in written
    lines = [line.partition(", 1 s")[0] for line in written.splitlines()]
    assert list(dict.fromkeys(lines)) == ["a result", "a note", "outer, second", "the end"]


@pytest.mark.parametrize(("sleep", "said"), [(0.0, []), (1.0, ["outer, second"])])
def test_elsewhere_only_what_takes_long_is_said(tmp_path: Path, sleep: float, said: list[str]) -> None:
    done = subprocess.run(script(sleep), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["a result", "the end"]
    assert [line.partition(", 1 s")[0] for line in done.stderr.splitlines()] == ["a note", *said]


@pytest.mark.wasm
def test_a_build_says_what_it_does(tmp_path: Path) -> None:
    """The command itself: which step of how many, and the summary alone stays."""
    shutil.copyfile(HELLO_WORLD / "filter.py", tmp_path / "filter.py")
    written = on_a_terminal([sys.executable, "-m", "pwasm", "build"], tmp_path)
    stays, seen = screen(written)
    assert "".join(stays).startswith("main.wasm: ")
    steps = [line for line in seen if line.startswith("[")]
    assert [f"[{number}/6]" for number in range(1, 7)] == list(dict.fromkeys(line.split()[0] for line in steps))
    assert any(line.startswith("[4/6] linking") for line in steps)
