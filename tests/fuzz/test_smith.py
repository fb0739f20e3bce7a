"""Linked modules do what the same modules do unlinked: modules of `wasm-tools smith`, and what they found before.

`PWASM_SMITH_CASES=2000 pytest tests/fuzz/test_smith.py` looks longer. A case that fails is kept as
tests/fuzz/linked/<number>.wasm and replayed from then on.
"""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from pwasm_compiler.component.graph import Item
from pwasm_compiler.link import merge
from pwasm_compiler.link.layout import global_item, lay_out
from pwasm_compiler.wasm.instructions import Site, Space
from pwasm_compiler.wasm.leb128 import encode_unsigned

from . import smith

pytestmark = pytest.mark.wasm

CASES = int(os.environ.get("PWASM_SMITH_CASES", "100"))
KEPT = Path(__file__).with_name("linked")


@pytest.mark.parametrize("number", range(CASES))
def test_linked_as_unlinked(number: int) -> None:
    data, expected = smith.case(number)
    try:
        for framed in (False, True):
            assert smith.run(data, framed) == expected
    except Exception:
        KEPT.joinpath(f"{number}.wasm").write_bytes(data)
        raise


def test_what_was_found_before() -> None:
    kept = sorted(KEPT.glob("*.wasm"))
    assert kept
    for path in kept:
        data = path.read_bytes()
        assert smith.run(data) == smith.unlinked(data), path.name


MAIN = """(memory (export "memory") 1 4) (table (export "table") 4 funcref)
  (global (export "main-g0") i32 (i32.const -5)) (global (export "main-g1") f64 (f64.const -0.1))
  (global (export "main-g2") i64 (i64.const -5000000000))"""
FOUND = {
    "a reference to a function that is in no table": """
      (func (export "bulk0") (result i32) ref.func $f ref.is_null) (func $f) (elem declare func $f)""",
    "negative": """(import "main" "main-g0" (global $g i32)) (global $h (export "bulk-g0") (mut i32) (global.get $g))
      (func (export "bulk0") (result i32) global.get $h global.get $g global.set $h)""",
    "f32": """(global $g (export "bulk-g0") (mut f32) (f32.const 1.5)) (global $h (export "bulk-g1") f32 (f32.const -2))
      (func (export "bulk0") (result f32) global.get $g global.get $h global.set $g)""",
    "f64": """(import "main" "main-g1" (global $g f64)) (global $h (export "bulk-g0") (mut f64) (global.get $g))
      (func (export "bulk0") (result f64) global.get $g f64.const 3 global.set $h)""",
    "i64": """(import "main" "main-g2" (global $g i64)) (global $h (export "bulk-g0") (mut i64) (global.get $g))
      (func (export "bulk0") (result i64) global.get $h i64.const 3 global.set $h)""",
}


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_found_and_made_small(text: str) -> None:
    modules = [bytes(wasmtime.wat2wasm(f"(module {source})")) for source in (MAIN, "", text)]
    data = smith.wrapped(*modules)
    expected = smith.unlinked(data)
    assert [outcome.function for outcome in expected] == ["bulk0", smith.MARKER, "check"]
    assert not any("trap" in call for outcome in expected for call in outcome.calls)
    assert smith.run(data) == expected


def test_the_cases_are_worth_running() -> None:
    """Many calls return, globals and memory change, and every kind of index is renumbered."""
    returned, trapped, spaces, memories = 0, 0, collections.Counter[Space](), set()
    moved = 0
    for number in range(20):
        data, expected = smith.case(number)
        calls = [call for outcome in expected for call in outcome.calls]
        trapped += sum(call.startswith("trap") for call in calls)
        returned += sum(not call.startswith("trap") for call in calls)
        memories |= {outcome.memory for outcome in expected}
        moved += len({outcome.globals for outcome in expected}) > 1
        _, _, kept = smith.linked(data)
        spaces.update(site.space for sites in kept.functions.values() for site in sites)
    assert returned > 200
    assert trapped > 200
    assert len(memories) > 10
    assert moved > 5
    assert set(spaces) == {Space.TYPE, Space.FUNC, Space.GLOBAL_GET, Space.GLOBAL_SET, Space.TABLE}
    assert min(spaces.values()) > 50, spaces


def _another_function(merger: Any, instance: int, site: Site) -> bytes:
    """One of the same type, so that the module stays valid."""
    wanted = merger.layout.target(instance, site.target)
    same = [item for item in merger.kept.functions if merger._type(item) == merger._type(wanted)]
    return encode_unsigned(merger.function(same[(same.index(wanted) + 1) % len(same)]))


def _another_variable(merger: Any, instance: int, site: Site) -> bytes:
    """Another variable of the same type; or the last byte of a constant is changed."""
    right: bytes = merger._get(instance, site.target)
    types = merger.layout.global_types
    place = global_item(merger.layout.plan, instance, site.target)
    if place not in merger.variables:
        return right[:1] + b"\0" if right[:1] in (b"\x41", b"\x42") else right[:-1] + b"\x3e"
    same = [item for item in merger.variables if types[item] == types[place]]
    return right[:1] + encode_unsigned(merger.variables[same[(same.index(place) + 1) % len(same)]])


WRONG = {
    Space.FUNC: _another_function,
    Space.GLOBAL_GET: _another_variable,
    Space.GLOBAL_SET: lambda *_: b"\x1a",
}


@pytest.mark.parametrize("space", WRONG, ids=lambda space: space.name)
def test_a_wrong_index_is_noticed(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    right: Callable[[Any, int, Site], bytes] = merge._Merger._renumbered

    def wrong(merger: Any, instance: int, site: Site) -> bytes:
        if site.space is space:
            return WRONG[space](merger, instance, site)
        return right(merger, instance, site)

    monkeypatch.setattr(merge._Merger, "_renumbered", wrong)
    noticed = 0
    for number in range(10):
        data, expected = smith.case(number)
        try:
            noticed += smith.run(data) != expected
        except wasmtime.WasmtimeError:
            continue  # not valid any more; that is noticed without running it
    assert noticed


def test_a_wrong_slot_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(plan: Any, code: bytes) -> Any:
        layout = lay_out(plan, code)
        functions = [target for target in layout.slots.values() if isinstance(target, Item)]
        return dataclasses.replace(layout, slots=dict(zip(layout.slots, functions[::-1], strict=True)))

    monkeypatch.setattr(smith, "lay_out", wrong)
    assert any(smith.run(data) != expected for data, expected in map(smith.case, range(10)))
