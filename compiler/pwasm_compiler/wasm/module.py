"""A core module as frozen dataclasses, in the terms and order of the spec (core spec §2.5).

Differences from the specification:
- function bodies stay slices of the file until they are renumbered (`instructions`), nothing is validated;
- constant expressions have only the two forms that occur: a number, or a `global.get` (see `ConstExpr`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from enum import IntEnum

from ..errors import DecodeError
from .reader import Reader

MAGIC = b"\0asm"
VERSION = b"\x01\0\0\0"
PAGE = 65536
"""Bytes in a page of linear memory."""


class Section(IntEnum):
    """Section ids (core spec §5.5.2)."""

    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12
    TAG = 13


class Kind(IntEnum):
    """Kinds of imports and exports (core spec §5.5.5); also the kinds of index spaces."""

    FUNC = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3
    TAG = 4


I32, I64, F32, F64, FUNCREF, EXTERNREF = 0x7F, 0x7E, 0x7D, 0x7C, 0x70, 0x6F
VALUE_TYPE_NAMES = {I32: "i32", I64: "i64", F32: "f32", F64: "f64", FUNCREF: "funcref", EXTERNREF: "externref"}


@dataclass(frozen=True, slots=True)
class FuncType:
    """Value types as bytes, so that equal types are equal and hashable."""

    params: bytes
    results: bytes

    def __str__(self) -> str:
        params, results = (
            " ".join(VALUE_TYPE_NAMES.get(byte, hex(byte)) for byte in side) for side in (self.params, self.results)
        )
        return f"({params}) → ({results})"


@dataclass(frozen=True, slots=True)
class Limits:
    """In pages for a memory, in elements for a table."""

    minimum: int
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class TableType:
    element: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class GlobalType:
    value: int
    mutable: bool


@dataclass(frozen=True, slots=True)
class Import:
    """`type` is a type index for functions, else the type itself."""

    module: str
    name: str
    kind: Kind
    type: int | TableType | Limits | GlobalType
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ConstExpr:
    """`global.get` of `global_index` when it is not None, plus `value`; a float's value is its bits.

    PIC libraries place segments at `global.get $__memory_base` (plus a constant with extended-const).
    """

    type: int
    value: int
    global_index: int | None = None


@dataclass(frozen=True, slots=True)
class Global:
    type: GlobalType
    init: ConstExpr


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    kind: Kind
    index: int


@dataclass(frozen=True, slots=True)
class ElementSegment:
    """Function indices (None for a null reference); `table` and `offset` are None unless the segment is active."""

    table: int | None
    offset: ConstExpr | None
    functions: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class DataSegment:
    """`offset` is None for a passive segment; `data` is a slice of the file."""

    offset: ConstExpr | None
    data: memoryview


@dataclass(frozen=True, slots=True)
class Body:
    """A function body: bytes `start:end` of the file, locals included, size prefix excluded."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CustomSection:
    name: str
    data: memoryview


@dataclass(frozen=True, slots=True)
class SectionSpan:
    """The location of a section's contents: `size` bytes from `start`, relative to the start of the file."""

    name: str
    start: int
    size: int


@dataclass(frozen=True)  # no slots: `cached_property` needs a dict
class Module:
    """One decoded module. Index spaces start with the imports of their kind, as in the spec."""

    source: memoryview
    offset: int = 0
    types: tuple[FuncType, ...] = ()
    imports: tuple[Import, ...] = ()
    functions: tuple[int, ...] = ()
    tables: tuple[TableType, ...] = ()
    memories: tuple[Limits, ...] = ()
    globals: tuple[Global, ...] = ()
    exports: tuple[Export, ...] = ()
    start: int | None = None
    elements: tuple[ElementSegment, ...] = ()
    bodies: tuple[Body, ...] = ()
    data: tuple[DataSegment, ...] = ()
    customs: tuple[CustomSection, ...] = ()
    sections: tuple[SectionSpan, ...] = ()

    def imported(self, kind: Kind) -> tuple[Import, ...]:
        return self._by_kind[kind]

    @functools.cached_property
    def _by_kind(self) -> dict[Kind, tuple[Import, ...]]:
        return {kind: tuple(item for item in self.imports if item.kind is kind) for kind in Kind}


def function_names(module: Module) -> dict[int, str]:
    """Names of the functions from the name section (core spec §7.4.1); a malformed name section gives no names."""
    for custom in module.customs:
        if custom.name != "name":
            continue
        reader = Reader(custom.data)
        try:
            while not reader.at_end():
                identifier, contents = reader.section()
                if identifier == 1:
                    return {contents.u32(): contents.name() for _ in range(contents.count())}
        except DecodeError:
            break
    return {}
