"""The limits of engines: a module that is valid by the spec, and still refused because it has too much of something.

Sources; all but the size of a module are measured too (tests/compiler/wasm/test_limits.py: the engine takes as much as
stands here, and refuses one more):

    V8          src/wasm/wasm-limits.h. The figures are those of V8 10.7 to 14.6, which Envoy 1.25 to 1.40 have; imports
                and exports may be 1,000,000 each in newer ones of these (in 13.6, measured; not yet in 11.3).
    wasmparser  crates/wasmparser/src/limits.rs of wasm-tools, for wasmtime.
    JS API      https://webassembly.github.io/spec/js-api/#limits agrees with V8 in everything that stands in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..errors import DecodeError
from .instructions import branch_tables
from .module import Module
from .reader import Reader

V8, WASMPARSER = "V8", "wasmparser"
FUNCTIONS, BODY_BYTES, DATA_SEGMENTS, BRANCHES = 1_000_000, 7_654_321, 100_000, 65_520

_REFERENCES = (0x63, 0x64)
"""Value types of more than one byte: (ref null ht) and (ref ht)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of something that each engine takes; None where it has no limit of its own."""

    what: str
    """With `{}` for the figure."""
    section: str
    v8: int | None
    wasmparser: int | None
    figure: Callable[[Module], int]
    """The largest one in a module."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A limit that a module exceeds, and where in the file the section begins in which it does."""

    message: str
    offset: int


def _types_side(side: str) -> Callable[[Module], int]:
    return lambda module: max((len(getattr(item, side)) for item in module.types), default=0)


def _entries(module: Module) -> int:
    return max((len(segment.functions) for segment in module.elements), default=0)


def _table_size(module: Module) -> int:
    return max((table.limits.minimum for table in module.tables), default=0)


def _pages(module: Module) -> int:
    return max((page for item in module.memories for page in (item.minimum, item.maximum or 0)), default=0)


def _name(module: Module) -> int:
    names = [name for item in module.imports for name in (item.module, item.name)]
    names += [*(item.name for item in module.exports), *(custom.name for custom in module.customs)]
    return max((len(name.encode()) for name in names), default=0)


def _body(module: Module) -> int:
    return max((body.end - body.start for body in module.bodies), default=0)


def _locals(module: Module) -> int:
    """The most locals of a function, parameters among them."""
    most = 0
    for type_index, body in zip(module.functions, module.bodies, strict=True):
        count = len(module.types[type_index].params) if type_index < len(module.types) else 0
        reader = Reader(module.source, body.start, body.end)
        try:
            for _ in range(reader.count()):
                count += reader.u32()
                if reader.byte() in _REFERENCES:
                    reader.signed(33)
        except DecodeError:  # not valid, which is for the engine to say
            continue
        most = max(most, count)
    return most


def _branches(module: Module) -> int:
    """The longest `br_table`; bodies with instructions that are unknown here count up to the first of them."""
    most, code = 0, b""
    for body in module.bodies:
        if body.end - body.start > BRANCHES:  # each target takes a byte at least
            code = code or bytes(module.source)
            try:
                for count in branch_tables(code, body):
                    most = max(most, count)
            except DecodeError:
                continue
    return most


LIMITS = (
    Limit("{} types", "type", 1_000_000, 1_000_000, lambda module: len(module.types)),
    Limit("a function of {} parameters", "type", 1_000, 1_000, _types_side("params")),
    Limit("a function of {} results", "type", 1_000, 1_000, _types_side("results")),
    Limit("{} imports", "import", 100_000, 1_000_000, lambda module: len(module.imports)),
    Limit("{} functions", "function", FUNCTIONS, FUNCTIONS, lambda module: len(module.functions)),
    Limit("{} tables", "table", 100_000, 100, lambda module: len(module.tables)),
    Limit("a table of {} elements", "table", 10_000_000, None, _table_size),
    Limit("a memory of {} pages", "memory", 65_536, 65_536, _pages),
    Limit("{} globals", "global", 1_000_000, 1_000_000, lambda module: len(module.globals)),
    Limit("{} exports", "export", 100_000, 1_000_000, lambda module: len(module.exports)),
    Limit("{} element segments", "element", 10_000_000, 100_000, lambda module: len(module.elements)),
    Limit("an element segment of {} functions", "element", 10_000_000, 10_000_000, _entries),
    Limit("a function body of {} bytes", "code", BODY_BYTES, BODY_BYTES, _body),
    Limit("a function of {} locals", "code", 50_000, 50_000, _locals),
    Limit("a br_table of {} targets", "code", BRANCHES, None, _branches),
    Limit("{} data segments", "data", DATA_SEGMENTS, DATA_SEGMENTS, lambda module: len(module.data)),
    Limit("a name of {} bytes", "", None, 100_000, _name),
    Limit("a module of {} bytes", "", 1 << 30, None, lambda module: len(module.source)),
)


def exceeded(module: Module, *engines: str) -> Iterator[Excess]:
    """What makes `module` too large for one of `engines`: `V8`, `WASMPARSER`."""
    starts = {span.name: span.start for span in module.sections}
    for limit in LIMITS:
        most = {V8: limit.v8, WASMPARSER: limit.wasmparser}
        figure = None
        for engine in engines:
            maximum = most[engine]
            if maximum is None:
                continue
            if figure is None:
                figure = limit.figure(module)
            if figure > maximum:
                what = limit.what.format(f"{figure:,}")
                yield Excess(f"{what}; {engine} takes {maximum:,}", starts.get(limit.section, module.offset))
