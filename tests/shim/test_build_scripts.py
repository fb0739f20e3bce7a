"""The scripts that build pwasm itself: two concurrent installations of one checkout do not break each other."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import pwasm_shim
from tests.support.paths import ROOT

SCRIPTS = ROOT / "runtime-shim"
IGNORED = [line for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("runtime-shim/")]


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """Both scripts, with minimal output into `tmp_path`, which already contains older files."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    shim, base = importlib.import_module("build_shim"), importlib.import_module("build_base")

    def zig(*arguments: str | Path) -> None:
        Path(arguments[-1]).write_bytes(b"".join(shim._EXCHANGED))

    monkeypatch.setattr(shim, "_zig", zig)
    monkeypatch.setattr(shim, "LIBRARY", tmp_path / shim.LIBRARY.name)
    monkeypatch.setattr(base, "make", lambda: (b"component", b"library"))
    for name in ("component", "standard_library", "origin"):
        path = tmp_path / getattr(pwasm_shim, name)().name
        monkeypatch.setattr(pwasm_shim, name, lambda path=path: path)
        path.write_bytes(b"of before")
    shim.LIBRARY.write_bytes(b"of before")
    return shim, base


def test_files_are_replaced_as_a_whole(
    scripts: tuple[ModuleType, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A concurrent reader gets either the complete old file or the complete new one, and packs no partial file."""
    before = {path: path.open("rb") for path in tmp_path.iterdir()}
    unfinished = []

    def replace(path: Path, target: Path, original: Callable[[Path, Path], Path] = Path.replace) -> Path:
        unfinished.append(path.name)
        return original(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    for script in scripts:
        script.build()
    assert set(tmp_path.iterdir()) == set(before)
    for path, file in before.items():
        with file:
            assert file.read() == b"of before", path.name
        assert path.read_bytes() != b"of before"
    assert len(unfinished) == len(before) == 4
    for name in unfinished:
        assert any(fnmatch.fnmatch(f"runtime-shim/pwasm_shim/{name}", line) for line in IGNORED), name
