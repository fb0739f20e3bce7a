"""Cached files of tests are verified by digest before they are used: damaged machine code would simply run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pwasm.testing import wasm
from pwasm.testing.worlds import filters

pytestmark = pytest.mark.wasm
FILTER = "import pwasm\n\npwasm.set_http_context(pwasm.HttpContext)\n"


def damage(file: Path, how: str) -> None:
    contents = bytearray(file.read_bytes())
    if how == "a bit":
        contents[len(contents) // 2] ^= 1
    file.write_bytes(contents if how == "a bit" else contents[: len(contents) // 2] if how == "half" else b"")


@pytest.fixture
def folder(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A filter in a folder, and nothing kept or remembered."""
    monkeypatch.setattr(filters, "_built", set())
    monkeypatch.setattr(wasm, "_modules", {})
    filters._kept_modules.cache_clear()
    (tmp_path / "filter").mkdir()
    (tmp_path / "filter" / "filter.py").write_text(FILTER)
    return tmp_path / "filter"


def test_a_damaged_module_is_made_again(folder: Path, empty_cache: Path) -> None:
    module = filters.built_module(folder)
    right = hashlib.sha256(module.read_bytes()).hexdigest()
    (code,) = (empty_cache / "wasmtime").glob("*.cwasm") if (empty_cache / "wasmtime").exists() else (None,)
    assert code is None
    filters.compiled_module(module)
    (code,) = (empty_cache / "wasmtime").glob("*.cwasm")
    kept = code.read_bytes()
    for how in ("a bit", "half", "nothing"):
        damage(module, how)
        damage(code, how)
        filters._built.clear()
        wasm._modules.clear()
        assert wasm._kept(code) is None
        assert filters.built_module(folder) == module
        assert hashlib.sha256(module.read_bytes()).hexdigest() == right
        filters.compiled_module(module)
        assert code.read_bytes() == kept
    assert wasm._kept(code) is not None


def test_a_module_that_another_process_has_removed(folder: Path) -> None:
    module = filters.built_module(folder)
    module.unlink()
    assert filters.built_module(folder).is_file()
