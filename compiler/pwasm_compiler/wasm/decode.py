"""Decode a core module (core spec §5.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import DecodeError, UnsupportedError
from .module import (
    EXTERNREF,
    F32,
    F64,
    FUNCREF,
    I32,
    I64,
    MAGIC,
    VERSION,
    Body,
    ConstExpr,
    CustomSection,
    DataSegment,
    ElementSegment,
    Export,
    FuncType,
    Global,
    GlobalType,
    Import,
    Kind,
    Limits,
    Module,
    Section,
    SectionSpan,
    TableType,
)
from .reader import Reader

T = TypeVar("T")

_ORDER = {
    section: rank
    for rank, section in enumerate(
        [
            Section.TYPE,
            Section.IMPORT,
            Section.FUNCTION,
            Section.TABLE,
            Section.MEMORY,
            Section.TAG,
            Section.GLOBAL,
            Section.EXPORT,
            Section.START,
            Section.ELEMENT,
            Section.DATA_COUNT,
            Section.CODE,
            Section.DATA,
        ]
    )
}


_MOST_SECTIONS = 10_000
"""More than any compiler writes; each costs far more to decode than the two bytes that it can be."""


def decode_module(data: memoryview, start: int = 0, end: int | None = None) -> Module:
    """Decode the module in `data[start:end]`; offsets in errors count from the start of `data`.

    Raises:
        DecodeError: the bytes are not a core module.
        UnsupportedError: a feature outside the subset (see the package's docstring).
    """
    reader = Reader(data, start, end)
    _preamble(reader)
    fields: dict[str, Any] = {}
    customs: list[CustomSection] = []
    spans: list[SectionSpan] = []
    rank = -1
    while not reader.at_end():
        at = reader.position
        if len(spans) == _MOST_SECTIONS:
            raise DecodeError(f"more than {_MOST_SECTIONS:,} sections", offset=at)
        identifier, contents = reader.section()
        if identifier not in Section.__members__.values():
            raise DecodeError(f"unknown section id {identifier}", offset=at)
        section = Section(identifier)
        begin, size = contents.position, contents.end - contents.position
        if section is Section.CUSTOM:
            custom = CustomSection(contents.name(), contents.take(contents.end - contents.position))
            customs.append(custom)
            spans.append(SectionSpan(f'custom "{custom.name}"', begin, size))
            continue
        if _ORDER[section] <= rank:
            raise DecodeError(f"{section.name.lower()} section is out of order", offset=at)
        rank = _ORDER[section]
        spans.append(SectionSpan(section.name.lower(), begin, size))
        _SECTIONS[section](contents, fields)
        contents.finish(f"{section.name.lower()} section")
    _check_functions(fields, reader.position)
    return Module(source=data, offset=start, customs=tuple(customs), sections=tuple(spans), **fields)


def _preamble(reader: Reader) -> None:
    at = reader.position
    if bytes(reader.take(4)) != MAGIC:
        raise DecodeError("not a Wasm binary: the magic number is missing", offset=at)
    version = bytes(reader.take(4))
    if version == b"\x0d\0\x01\0":
        raise DecodeError("this is a component, not a core module", offset=at + 4)
    if version != VERSION:
        raise DecodeError(f"unknown version {version.hex()}", offset=at + 4)


def _check_functions(fields: dict[str, Any], at: int) -> None:
    declared, bodies = len(fields.get("functions", ())), len(fields.get("bodies", ()))
    if declared != bodies:
        raise DecodeError(f"{declared} functions declared, but {bodies} bodies given", offset=at)


def _vector(reader: Reader, item: Callable[[Reader], T]) -> tuple[T, ...]:
    return tuple(item(reader) for _ in range(reader.count()))


def _value_type(reader: Reader) -> int:
    at, byte = reader.position, reader.byte()
    if byte not in (I32, I64, F32, F64, FUNCREF, EXTERNREF):
        raise UnsupportedError(f"unsupported value type {byte:#x}", offset=at)
    return byte


def _func_type(reader: Reader) -> FuncType:
    at = reader.position
    if reader.byte() != 0x60:
        raise UnsupportedError("only function types are supported", offset=at)
    return FuncType(bytes(_vector(reader, _value_type)), bytes(_vector(reader, _value_type)))


def _limits(reader: Reader) -> Limits:
    at, flag = reader.position, reader.byte()
    if flag not in (0, 1):
        raise UnsupportedError(f"unsupported limits flags {flag:#x} (shared or 64-bit)", offset=at)
    return Limits(reader.u32(), reader.u32() if flag else None)


def _table_type(reader: Reader) -> TableType:
    return TableType(_value_type(reader), _limits(reader))


def _global_type(reader: Reader) -> GlobalType:
    value, at, flag = _value_type(reader), reader.position, reader.byte()
    if flag not in (0, 1):
        raise DecodeError(f"invalid mutability {flag:#x}", offset=at)
    return GlobalType(value, bool(flag))


def _kind(reader: Reader) -> Kind:
    at, byte = reader.position, reader.byte()
    if byte > Kind.TAG:
        raise DecodeError(f"unknown import or export kind {byte:#x}", offset=at)
    return Kind(byte)


def _tag_type(reader: Reader) -> int:
    reader.byte()
    return reader.u32()


_IMPORT_TYPES: dict[Kind, Callable[[Reader], Any]] = {
    Kind.FUNC: Reader.u32,
    Kind.TABLE: _table_type,
    Kind.MEMORY: _limits,
    Kind.GLOBAL: _global_type,
    Kind.TAG: _tag_type,
}


def _import(reader: Reader) -> Import:
    at, module, name, kind = reader.position, reader.name(), reader.name(), _kind(reader)
    return Import(module, name, kind, _IMPORT_TYPES[kind](reader), at)


def _export(reader: Reader) -> Export:
    return Export(reader.name(), _kind(reader), reader.u32())


def _const_expr(reader: Reader) -> ConstExpr:
    """`t.const c | global.get x | global.get x, i32.const c, i32.add`, then `end`; floats as their bits."""
    at, opcode = reader.position, reader.byte()
    if opcode == 0x41:
        expr = ConstExpr(I32, reader.signed(32))
    elif opcode == 0x42:
        expr = ConstExpr(I64, reader.signed(64))
    elif opcode == 0x43:
        expr = ConstExpr(F32, int.from_bytes(reader.take(4), "little"))
    elif opcode == 0x44:
        expr = ConstExpr(F64, int.from_bytes(reader.take(8), "little"))
    elif opcode == 0x23:
        expr = ConstExpr(I32, 0, reader.u32())
        if reader.peek() == 0x41:
            reader.byte()
            expr = ConstExpr(I32, reader.signed(32), expr.global_index)
            if reader.byte() != 0x6A:
                raise UnsupportedError("unsupported constant expression", offset=at)
    else:
        raise UnsupportedError(f"unsupported constant expression opcode {opcode:#x}", offset=at)
    if reader.byte() != 0x0B:
        raise UnsupportedError("unsupported constant expression", offset=at)
    return expr


def _global(reader: Reader) -> Global:
    return Global(_global_type(reader), _const_expr(reader))


def _element(reader: Reader) -> ElementSegment:
    """Bit 0: not active; bit 1: a table index (active) or declarative; bit 2: expressions instead of indices."""
    at, flags = reader.position, reader.u32()
    if flags > 7:
        raise DecodeError(f"invalid element segment flags {flags}", offset=at)
    active, explicit, expressions = not flags & 1, bool(flags & 2), bool(flags & 4)
    table = (reader.u32() if explicit else 0) if active else None
    offset = _const_expr(reader) if active else None
    if flags & 3:
        reader.byte()  # element kind or reference type
    functions = _vector(reader, _reference if expressions else Reader.u32)
    return ElementSegment(table, offset, functions)


def _reference(reader: Reader) -> int | None:
    """`ref.func x | ref.null t`, then `end`."""
    at, opcode = reader.position, reader.byte()
    if opcode not in (0xD2, 0xD0):
        raise UnsupportedError(f"unsupported element expression opcode {opcode:#x}", offset=at)
    index = reader.u32() if opcode == 0xD2 else None
    if opcode == 0xD0:
        reader.byte()
    if reader.byte() != 0x0B:
        raise UnsupportedError("unsupported element expression", offset=at)
    return index


def _data(reader: Reader) -> DataSegment:
    at, flags = reader.position, reader.u32()
    if flags > 2:
        raise DecodeError(f"invalid data segment flags {flags}", offset=at)
    if flags == 2 and reader.u32() != 0:
        raise UnsupportedError("data segment of a second memory", offset=at)
    offset = None if flags == 1 else _const_expr(reader)
    return DataSegment(offset, reader.take(reader.u32()))


def _body(reader: Reader) -> Body:
    size = reader.u32()
    start = reader.position
    reader.take(size)
    return Body(start, start + size)


def _into(name: str, item: Callable[[Reader], Any]) -> Callable[[Reader, dict[str, Any]], None]:
    def decode(reader: Reader, fields: dict[str, Any]) -> None:
        fields[name] = _vector(reader, item)

    return decode


def _start(reader: Reader, fields: dict[str, Any]) -> None:
    fields["start"] = reader.u32()


def _data_count(reader: Reader, _fields: dict[str, Any]) -> None:
    reader.u32()


def _tags(reader: Reader, _fields: dict[str, Any]) -> None:
    raise UnsupportedError("tag section (exceptions)", offset=reader.position)


_SECTIONS: dict[Section, Callable[[Reader, dict[str, Any]], None]] = {
    Section.TYPE: _into("types", _func_type),
    Section.IMPORT: _into("imports", _import),
    Section.FUNCTION: _into("functions", Reader.u32),
    Section.TABLE: _into("tables", _table_type),
    Section.MEMORY: _into("memories", _limits),
    Section.GLOBAL: _into("globals", _global),
    Section.EXPORT: _into("exports", _export),
    Section.START: _start,
    Section.ELEMENT: _into("elements", _element),
    Section.DATA_COUNT: _data_count,
    Section.CODE: _into("bodies", _body),
    Section.DATA: _into("data", _data),
    Section.TAG: _tags,
}
