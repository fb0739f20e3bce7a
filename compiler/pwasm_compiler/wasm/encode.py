"""Encode sections of a core module (core spec §5.5). The counterpart of `decode`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .leb128 import encode_signed, encode_unsigned
from .module import (
    F32,
    F64,
    I32,
    I64,
    MAGIC,
    VERSION,
    ConstExpr,
    Export,
    FuncType,
    Global,
    Import,
    Kind,
    Limits,
    Section,
    TableType,
)

PREAMBLE = MAGIC + VERSION


def section(identifier: Section, items: Iterable[bytes]) -> bytes:
    """A section that is a vector of `items`."""
    return raw_section(identifier, vector(items))


def vector(items: Iterable[bytes]) -> bytes:
    encoded = list(items)
    return encode_unsigned(len(encoded)) + b"".join(encoded)


def raw_section(identifier: int, contents: bytes) -> bytes:
    return bytes([identifier]) + encode_unsigned(len(contents)) + contents


def custom_section(title: str, contents: bytes) -> bytes:
    return raw_section(Section.CUSTOM, name(title) + contents)


def name(text: str) -> bytes:
    raw = text.encode()
    return encode_unsigned(len(raw)) + raw


def func_type(item: FuncType) -> bytes:
    return b"\x60" + b"".join(encode_unsigned(len(side)) + side for side in (item.params, item.results))


def limits(item: Limits) -> bytes:
    if item.maximum is None:
        return b"\0" + encode_unsigned(item.minimum)
    return b"\1" + encode_unsigned(item.minimum) + encode_unsigned(item.maximum)


def table_type(item: TableType) -> bytes:
    return bytes([item.element]) + limits(item.limits)


def function_import(item: Import) -> bytes:
    assert item.kind is Kind.FUNC
    assert isinstance(item.type, int)
    return name(item.module) + name(item.name) + bytes([item.kind]) + encode_unsigned(item.type)


def const(kind: int, value: int) -> bytes:
    """`<kind>.const value`; a float is given by its bits, an integer signed or unsigned."""
    if kind in _FLOAT_SIZE:
        return _CONST[kind] + value.to_bytes(_FLOAT_SIZE[kind], "little")
    if kind == I32 and value >= 1 << 31:
        value -= 1 << 32
    return _CONST[kind] + encode_signed(value)


_CONST = {I32: b"\x41", I64: b"\x42", F32: b"\x43", F64: b"\x44"}
_FLOAT_SIZE = {F32: 4, F64: 8}


def const_expr(item: ConstExpr) -> bytes:
    """Only constants: every engine accepts these; `global.get` requires a newer one."""
    if item.global_index is not None:
        raise ValueError("constant expressions must be resolved before they are encoded")
    return const(item.type, item.value) + b"\x0b"


def global_(item: Global) -> bytes:
    return bytes([item.type.value, item.type.mutable]) + const_expr(item.init)


def export(item: Export) -> bytes:
    return name(item.name) + bytes([item.kind]) + encode_unsigned(item.index)


def active_element(offset: int, functions: Iterable[int]) -> bytes:
    encoded = [encode_unsigned(index) for index in functions]
    return b"\0" + const_expr(ConstExpr(I32, offset)) + encode_unsigned(len(encoded)) + b"".join(encoded)


def declared_functions(indices: Collection[bytes]) -> bytes:
    """A declarative segment for functions whose references are taken; takes encoded indices."""
    return b"\x03\0" + encode_unsigned(len(indices)) + b"".join(indices)


def active_data(offset: int, contents: memoryview | bytes) -> bytes:
    return b"\0" + const_expr(ConstExpr(I32, offset)) + encode_unsigned(len(contents)) + bytes(contents)
