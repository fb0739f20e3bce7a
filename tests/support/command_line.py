"""The `pwasm` command called through its real entry point, in this process."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pwasm_compiler import cli


@dataclass(frozen=True)
class Result:
    """The result of a call."""

    code: int
    out: str
    err: str


Pwasm = Callable[..., Result]


def without_progress(err: str) -> str:
    """Standard error without progress lines, which appear on a slow machine."""
    return re.sub(r"^(\[\d/\d\]|start|load|callbacks|\d+ workers).*, \d+ s\n", "", err, flags=re.MULTILINE)


def caller(
    capfd: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch, *, may_have_bugs: bool = False
) -> Pwasm:
    """`pwasm("manifest", …)` in `folder`; a traceback is always wrong."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PWASM_TRACEBACK", raising=False)

    def call(*arguments: str | Path) -> Result:
        with pytest.raises(SystemExit) as exited:
            cli.main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        assert may_have_bugs or "bug in pwasm" not in err
        assert isinstance(exited.value.code, int)
        return Result(exited.value.code, out, err)

    return call
