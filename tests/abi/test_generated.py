"""The files generated from the ABI table are up to date."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from pwasm import _abi

ROOT = Path(__file__).parents[2]
TOOL: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "abi_views.py"))
SHIM: Path = TOOL["SHIM"]


def test_the_generated_files_are_current() -> None:
    assert TOOL["stale"]() == [], "run: python tools/abi_views.py"


def test_a_new_row_makes_every_file_but_the_callbacks_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_abi, "HOSTCALLS", (*_abi.HOSTCALLS, _abi.Hostcall("proxy_new", "name:text", "value:u64")))
    assert [path.name for path in TOOL["stale"]()] == ["abi.h", "hostcalls.inc", "_protocols.py"]
    texts = {path.name: text for path, text in TOOL["views"]().items()}
    assert "WEAK uint32_t proxy_new(const char *name, size_t name_size, uint64_t *value);\n" in texts["abi.h"]
    assert "    def proxy_new(self, name: str | bytes, /) -> tuple[int, int]: ...\n" in texts["_protocols.py"]


def test_a_callback_is_generated_or_written_by_hand() -> None:
    by_hand = SHIM.joinpath("callbacks.c").read_text(encoding="utf-8")
    generated = SHIM.joinpath("callbacks.inc").read_text(encoding="utf-8")
    for row in _abi.CALLBACKS:
        places = [f'EXPORT("{row.name}")' in text for text in (by_hand, generated)]
        assert places == [row.name in TOOL["WRITTEN_BY_HAND"], row.name not in TOOL["WRITTEN_BY_HAND"]], row.name


def test_a_hostcall_with_more_results_than_c_can_take_is_refused() -> None:
    with pytest.raises(ValueError, match="proxy_new has more results"):
        TOOL["hostcall"](_abi.Hostcall("proxy_new", "", "a:u32 b:u32 c:u32"))


def test_what_the_emulator_lacks_is_printed_as_it_is_to_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TOOL["not_emulated"]() == []
    monkeypatch.setattr(_abi, "HOSTCALLS", (*_abi.HOSTCALLS, _abi.Hostcall("proxy_new", "name:text", "value:bytes")))
    assert TOOL["not_emulated"]() == ["    def proxy_new(self, name: str | bytes, /) -> tuple[int, bytes]: ..."]
