"""Decoding real bytes, and real bytes that were damaged."""

from __future__ import annotations

import pytest
import wasmtime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pwasm_compiler.component.decode import decode_component
from pwasm_compiler.component.graph import instance_graph
from pwasm_compiler.errors import BinaryError, DecodeError, UnsupportedError
from pwasm_compiler.link.layout import lay_out
from pwasm_compiler.link.merge import merge
from pwasm_compiler.link.passes.reachable import reachable
from pwasm_compiler.link.resolve import resolve
from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.leb128 import decode_unsigned, encode_signed, encode_unsigned
from pwasm_compiler.wasm.module import Kind, Module
from pwasm_compiler.wasm.reader import Reader

DAMAGE = settings(  # no database: the component is another one in each session
    database=None,
    deadline=None,
    max_examples=70,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(st.integers(0, 2**64))
def test_unsigned_integers_round_trip(value: int) -> None:
    assert decode_unsigned(encode_unsigned(value)) == value


@given(st.integers(-(2**31), 2**31 - 1))
def test_signed_integers_round_trip(value: int) -> None:
    assert Reader(memoryview(encode_signed(value))).signed(32) == value


@pytest.mark.parametrize("encoded", [b"\x80\x80\x80\x80\x10", b"\xff\xff\xff\xff\xff\x00", b"\x80"])
def test_integers_that_do_not_fit_are_refused(encoded: bytes) -> None:
    with pytest.raises(DecodeError):
        Reader(memoryview(encoded)).u32()


def test_decodes_every_section() -> None:
    wasm = wasmtime.wat2wasm(
        """(module
            (import "env" "f" (func (param i32)))
            (memory (export "memory") 1 2) (table 2 funcref)
            (global (export "g") (mut i32) (i32.const -3))
            (func (export "run") (result i64) i64.const 1)
            (elem (i32.const 0) 0 1) (data (i32.const 8) "hi"))"""
    )
    module = decode_module(memoryview(bytes(wasm)))
    assert [(item.module, item.name, item.kind) for item in module.imports] == [("env", "f", Kind.FUNC)]
    assert {item.name: item.index for item in module.exports} == {"memory": 0, "g": 0, "run": 1}
    assert module.globals[0].init.value == -3
    assert (module.memories[0].minimum, module.memories[0].maximum) == (1, 2)
    assert module.elements[0].functions == (0, 1)
    assert bytes(module.data[0].data) == b"hi"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "8 bytes expected|4 bytes expected"),
        (b"#!/bin/sh\n", "magic number is missing"),
        (b"\0asm\x02\0\0\0", "unknown version"),
        (b"\0asm\x0d\0\x01\0", "this is a component"),
        (b"\0asm\x01\0\0\0\x63\x00", "unknown section id 99"),
        (b"\0asm\x01\0\0\0\x01\x7f", "127 bytes expected, 0 left"),
        (b"\0asm\x01\0\0\0\x01\x05\xff\xff\xff\xff\x0f", "4294967295 elements declared"),
        (b"\0asm\x01\0\0\0\x03\x01\0\x01\x01\0", "out of order"),
        (b"\0asm\x01\0\0\0\x03\x02\x01\0", "1 functions declared, but 0 bodies"),
        (b"\0asm\x01\0\0\0\x01\x02\0\0", "1 bytes too many"),
    ],
)
def test_a_broken_module_is_a_decode_error_with_its_offset(data: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message) as caught:
        decode_module(memoryview(data))
    assert caught.value.offset is not None
    assert "(at offset 0x" in str(caught.value)


def test_what_is_outside_the_subset_says_so() -> None:
    wasm = wasmtime.wat2wasm("(module (memory i64 1))")
    with pytest.raises(UnsupportedError, match="limits flags"):
        decode_module(memoryview(bytes(wasm)))


def test_a_core_module_is_not_a_component() -> None:
    with pytest.raises(DecodeError, match="not a component"):
        decode_component(bytes(wasmtime.wat2wasm("(module)")))


@DAMAGE
@given(data=st.data())
def test_a_truncated_component_is_a_decode_error(component: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.one_of(st.integers(0, 20_000), st.integers(0, len(component) - 1)))
    with pytest.raises(DecodeError) as caught:
        decode_component(component[:cut])
    assert caught.value.offset is not None
    assert caught.value.offset <= cut


@pytest.fixture(scope="module")
def modules(component: bytes) -> tuple[Module, ...]:
    """The core modules of the component."""
    return tuple(decode_component(component).modules)


@pytest.mark.slow
@DAMAGE
@given(data=st.data())
def test_a_flipped_bit_never_gives_another_exception(
    component: bytes, modules: tuple[Module, ...], data: st.DataObject
) -> None:
    # The parts with structure: the head, the start of every core module, and the tail with the instances.
    starts = [module.offset for module in modules]
    tail = [len(component) - size for size in (60_000, 20_000, 5_000)]
    damaged = bytearray(component)
    near = data.draw(st.sampled_from([0, *starts, *tail]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = min(len(damaged) - 1, near + data.draw(st.integers(0, 4000)))
        damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        decode_component(bytes(damaged))
    except DecodeError as error:
        assert error.offset is not None  # noqa: PT017  most damage is in data, and decodes


@pytest.mark.slow
@settings(DAMAGE, max_examples=15)
@given(data=st.data())
def test_damage_behind_the_decoder_is_a_binary_error_too(
    component: bytes, modules: tuple[Module, ...], data: st.DataObject
) -> None:
    """Indices and bodies are looked at while linking; nothing but our errors may come out of that either."""
    damaged = bytearray(component)
    bodies = [body for module in modules for body in module.bodies[:50]]
    body = data.draw(st.sampled_from(bodies))
    damaged[data.draw(st.integers(body.start, body.end - 1))] ^= 1 << data.draw(st.integers(0, 7))
    tail = data.draw(st.integers(len(component) - 60_000, len(component) - 1))
    damaged[tail] ^= 1 << data.draw(st.integers(0, 7))
    try:
        plan = resolve(instance_graph(decode_component(bytes(damaged))), "proxy_abi_version_0_2_1")
        layout = lay_out(plan, bytes(damaged))
        exports = {"malloc": layout.target(plan.shim.number, 0)}
        merge(layout, reachable(layout, exports.values()), exports)
    except BinaryError:
        pass
