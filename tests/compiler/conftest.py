"""A real component, read once a session, and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pwasm_compiler.guest.base import load_base
from tests.support.command_line import Pwasm, caller


@pytest.fixture(scope="session")
def component() -> bytes:
    """The component that componentize-py produces."""
    return load_base().component


@pytest.fixture
def pwasm(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pwasm:
    """`pwasm("build", …)` in an empty folder, through the real entry point."""
    return caller(capfd, tmp_path, monkeypatch)
