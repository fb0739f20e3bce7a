"""The walk over function bodies finds exactly the indices that a reference disassembler would."""

from __future__ import annotations

import re

import pytest
import wasmtime

from pwasm_compiler.errors import DecodeError, ToolError, UnsupportedError
from pwasm_compiler.wasm import instructions
from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.instructions import Space, self_check, sites
from pwasm_compiler.wasm.module import Body


def found(wat_body: str, fields: str = "") -> list[tuple[Space, int]]:
    module = f"""(module
        (type $t0 (func)) (type $t1 (func (param i32) (result i32)))
        (table 1 funcref) (memory 1)
        (global $g0 i32 (i32.const 7)) (global $g1 (mut i32) (i32.const 8))
        (func $f0 (type $t0) {wat_body}) (func $f1 (type $t1) local.get 0) {fields})"""
    code = bytes(wasmtime.wat2wasm(module))
    decoded = decode_module(memoryview(code))
    return [(site.space, site.target) for site in sites(code, decoded.bodies[0], {})]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("nop", []),
        ("call 0", [(Space.FUNC, 0)]),
        ("i32.const 16 call 1 drop", [(Space.FUNC, 1)]),
        ("global.get 0 global.set 1", [(Space.GLOBAL_GET, 0), (Space.GLOBAL_SET, 1)]),
        ("i32.const 1 i32.const 0 call_indirect (type 1) drop", [(Space.TYPE, 1), (Space.TABLE, 0)]),
        ("block (result i32) i32.const 16 end drop", []),
        ("i32.const 2 block (type 1) end drop", [(Space.TYPE, 1)]),
        ("i32.const 1 if call 0 else nop end", [(Space.FUNC, 0)]),
        ("block block i32.const 0 br_table 0 1 0 end call 0 end", [(Space.FUNC, 0)]),
        ("f32.const 1e10 drop f64.const -1.5 drop call 0", [(Space.FUNC, 0)]),
        ("i64.const -9223372036854775808 drop call 0", [(Space.FUNC, 0)]),
        ("i32.const 0 i32.const 0x10101010 i32.store offset=0x10101010 align=1 call 0", [(Space.FUNC, 0)]),
        ("i32.const 0 i32.const 0 i32.const 0 memory.copy call 0", [(Space.FUNC, 0)]),
        ("i32.const 0 i32.const 0 i32.const 0 memory.fill call 0", [(Space.FUNC, 0)]),
        ("f64.const 0 i32.trunc_sat_f64_s drop call 0", [(Space.FUNC, 0)]),
        ("memory.size memory.grow drop call 0", [(Space.FUNC, 0)]),
        ("ref.null func ref.is_null drop call 0", [(Space.FUNC, 0)]),
        ("(local i64 i32 f64) local.get 1 local.set 1 call 0", [(Space.FUNC, 0)]),
    ],
)
def test_finds_every_index(body: str, expected: list[tuple[Space, int]]) -> None:
    assert found(body) == expected


def test_finds_function_references() -> None:
    assert found("ref.func $f1 drop", "(elem declare func $f1)") == [(Space.REF, 1)]


@pytest.mark.parametrize(
    "body",
    ["i32.const 0 ref.null func table.set 0", "v128.const i32x4 1 2 3 4 drop", "return_call 0"],
)
def test_refuses_what_the_linker_cannot_follow(body: str) -> None:
    with pytest.raises(UnsupportedError, match=r"unknown instruction 0x[0-9a-f]+ \(at offset 0x"):
        found(body)


@pytest.mark.parametrize(
    "cut", [b"\x00\x10", b"\x00\x41\x80", b"\x00\x44\x00", b"\x00\x0e\x05\x00", b"\x00\x10\x00", b"\x00"]
)
def test_a_body_that_stops_in_an_instruction_is_an_error(cut: bytes) -> None:
    with pytest.raises(DecodeError):
        list(sites(cut, Body(0, len(cut)), {}))


def test_the_error_for_an_unknown_instruction_says_what_to_do() -> None:
    with pytest.raises(UnsupportedError) as raised:
        found("v128.const i32x4 1 2 3 4 drop")
    assert raised.value.what == "unknown instruction 0xfd (at offset 0x35)"
    assert "componentize-py" in raised.value.why
    assert "pwasm doctor" in raised.value.hint


def test_the_self_check_passes_here() -> None:
    self_check()


@pytest.mark.parametrize("name", ["_RUN_THEN_INDEX", "_RUN_THEN_CONSTANT"])
def test_the_self_check_finds_a_walk_that_goes_wrong(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As on CPython before 3.11.5 with possessive quantifiers: a match ends in the middle of an instruction."""
    pattern = getattr(instructions, name).pattern.replace(rb"\x43.{4}", rb"\x43.{5}", 1)
    monkeypatch.setattr(instructions, name, re.compile(pattern))
    with pytest.raises(ToolError, match="misreads a known function body"):
        self_check()
