"""Frames on the shadow stack: the function still computes the same, and leaves the stack as it was."""

from __future__ import annotations

import pytest
import wasmtime

from pwasm_compiler.component.graph import Item
from pwasm_compiler.link.passes.stack import USABLE, Frame, with_frame
from pwasm_compiler.wasm import encode
from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.instructions import returns, skip_locals
from pwasm_compiler.wasm.leb128 import encode_unsigned
from pwasm_compiler.wasm.module import Kind, Section
from tests.support import wasm_tools

pytestmark = pytest.mark.wasm

TOP = 0x100000
MODULE = """(module
  (global $stack (export "stack") (mut i32) (i32.const 0x100000))
  (global $checks (export "checks") (mut i32) (i32.const 0))
  (func $check (param i32) (result i32)
    global.get $checks i32.const 1 i32.add global.set $checks
    i32.const 1)
  (func $f (export "f") (param $n i32) (result i32) (local $x i64)
    (if (i32.eqz (local.get $n)) (then (return (i32.const 100))))
    (block $a (block $b (block $c
      (br_table $a $b $c (i32.sub (local.get $n) (i32.const 1))))
      (return (i32.const 300)))
      (loop (if (i32.eq (local.get $n) (i32.const 2)) (then (return (i32.const 200)))))
      (br 1 (i32.const 400)))
    i32.const 500)
  (func $deep (export "deep") (param $n i32) (result i32)
    (if (i32.eqz (local.get $n)) (then (return (i32.const 0))))
    (call $deep (i32.sub (local.get $n) (i32.const 1))))
  (func $nothing (export "nothing") (param $n i32)
    (br_if 0 (local.get $n)) (return)))
"""
CHECK, F, DEEP, NOTHING = range(4)


def framed(frames: dict[int, Frame]) -> wasmtime.Instance:
    raw = wasm_tools.assemble(MODULE)
    module = decode_module(memoryview(raw))
    bodies = []
    for index, body in enumerate(module.bodies):
        code = raw[body.start : body.end]
        if index in frames:
            start = skip_locals(raw, body)
            pieces, position = [], start
            for site in returns(raw, body):
                pieces += [raw[position : site.start], b"\x0c" + encode_unsigned(site.target)]
                position = site.end
            pieces.append(raw[position : body.end])
            signature = module.types[module.functions[index]]
            code = raw[body.start : start] + with_frame(b"".join(pieces), frames[index], 0, CHECK, signature)
        bodies.append(encode_unsigned(len(code)) + code)
    (span,) = [span for span in module.sections if span.name == "code"]
    header = raw.rindex(bytes([Section.CODE]), 0, span.start)
    return wasmtime.Instance(
        STORE,
        wasmtime.Module(
            STORE.engine,
            raw[:header] + encode.section(Section.CODE, bodies) + raw[span.start + span.size :],
        ),
        [],
    )


STORE = wasmtime.Store()
PLACES = (Item(0, Kind.GLOBAL, 0), Item(0, Kind.FUNC, CHECK))


def value(instance: wasmtime.Instance, name: str) -> int:
    number = instance.exports(STORE)[name].value(STORE)  # type: ignore[union-attr]
    assert isinstance(number, int)
    return number


@pytest.mark.parametrize("raises", [None, -1])
def test_every_way_out_restores_the_stack(raises: int | None) -> None:
    plain = framed({})
    instance = framed({number: Frame(512, *PLACES, raises) for number in (F, DEEP)})
    for argument in range(6):
        expected = plain.exports(STORE)["f"](STORE, argument)  # type: ignore[operator]
        assert instance.exports(STORE)["f"](STORE, argument) == expected  # type: ignore[operator]
        assert value(instance, "stack") == TOP
    assert instance.exports(STORE)["deep"](STORE, 100) == 0  # type: ignore[operator]
    assert value(instance, "stack") == TOP
    assert value(instance, "checks") == 0


def test_a_function_without_result() -> None:
    instance = framed({NOTHING: Frame(4096, *PLACES, None)})
    for argument in (0, 1):
        assert instance.exports(STORE)["nothing"](STORE, argument) is None  # type: ignore[operator]
        assert value(instance, "stack") == TOP


def test_a_guarded_function_ends_at_the_limit() -> None:
    instance = framed({DEEP: Frame(512, *PLACES, -1)})
    assert instance.exports(STORE)["deep"](STORE, USABLE // 512 - 1) == 0  # type: ignore[operator]
    assert value(instance, "checks") == 0
    assert instance.exports(STORE)["deep"](STORE, USABLE // 512) == -1  # type: ignore[operator]
    assert (value(instance, "checks"), value(instance, "stack")) == (1, TOP)
