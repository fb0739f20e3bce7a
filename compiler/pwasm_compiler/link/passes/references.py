"""What the code and static data of the libraries refer to: functions to call, table slots, addresses of data.

The libraries are position-independent, so an address is written as `__memory_base` plus a constant, a function pointer
as `__table_base` plus a constant, or either comes from the global offset table. In static data they are filled in by
each library's `__wasm_apply_data_relocs`, a plain list of stores: what it does not store is not a pointer.

Objects in static data have neither names nor sizes left. But code refers to an object by its start: in
position-independent code, clang adds offsets afterwards (LLVM, TargetLowering::isOffsetFoldingLegal). So every place
that some code refers to is the start of an object, and everything up to the next such place is reached from it.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...component.graph import Item, ModuleInstance
from ...cpython314 import RELOCATORS
from ...errors import LinkError
from ...wasm.instructions import Space, long_constants, skip_locals
from ...wasm.leb128 import decode_unsigned
from ...wasm.module import Kind
from ...wasm.reader import Reader
from ..layout import Layout
from ..resolve import Target

_MEMORY_INFO = 1

Pointer = tuple[Kind, int]
"""A slot of the table (`Kind.TABLE`) or an address in memory (`Kind.MEMORY`)."""


@dataclass(frozen=True, slots=True)
class Library:
    """A module that was linked as a dynamic library; with the ranges of its static data and its part of the table."""

    instance: ModuleInstance
    memory: range
    table: range
    memory_base: int
    table_base: int


@dataclass(frozen=True, slots=True)
class References:
    """What a function refers to in its body."""

    calls: frozenset[Target]
    pointers: frozenset[Pointer]


_NOTHING = References(frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """What every function of the libraries refers to, and what is in static data."""

    functions: Mapping[Item, References]
    memory: tuple[range, ...]  # the static data of each library
    starts: tuple[int, ...]  # of objects, sorted
    pointers: Mapping[int, tuple[Pointer, ...]]  # by the start of the object that holds them

    def start_of(self, address: int) -> int:
        """The start of the object at `address`; -1 below all of them."""
        place = bisect.bisect_right(self.starts, address)
        return self.starts[place - 1] if place else -1


def find_references(layout: Layout) -> ReferenceTable:
    """Analyse all libraries.

    Raises:
        LinkError: a library relocates its data in an unknown way.
    """
    reader = _Finder(layout)
    functions = dict(reader.functions())
    starts = tuple(sorted({*reader.known_starts(), *_addresses(functions.values())}))
    stored: dict[int, list[Pointer]] = {}
    for library in reader.libraries:
        for address, pointer in reader.stored(library):
            stored.setdefault(starts[bisect.bisect_right(starts, address) - 1], []).append(pointer)
    memory = tuple(library.memory for library in reader.libraries)
    return ReferenceTable(functions, memory, starts, {start: tuple(pointers) for start, pointers in stored.items()})


def stored_pointers(layout: Layout, library: Library) -> Iterator[tuple[int, Pointer]]:
    """(place, pointer) of every pointer in the static data of `library`, in no particular order.

    Raises:
        LinkError: it relocates its data in an unknown way.
    """
    return _Finder(layout).stored(library)


def _addresses(functions: Iterable[References]) -> Iterator[int]:
    for names in functions:
        yield from (value for space, value in names.pointers if space is Kind.MEMORY)


# i32.const place; global.get base; i32.add; global.get base or entry; perhaps i32.const and i32.add; i32.store.
# Or without the first and the third, and the place as the offset of the store.
_LEB = rb"([\x80-\xff]{0,4}[\x00-\x7f])"
_STORE = re.compile(
    rb"(?:\x41" + _LEB + rb"\x23" + _LEB + rb"\x6a|\x23" + _LEB + rb")"
    rb"\x23" + _LEB + rb"(?:\x41" + _LEB + rb"\x6a)?\x36\x02" + _LEB
)


class _Finder:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.libraries = libraries(layout)
        self.targets: dict[tuple[int, int], Target] = {}

    def functions(self) -> Iterator[tuple[Item, References]]:
        for library in self.libraries:
            relocator = self._relocator(library)  # its references belong to the data it fills in
            for index in range(len(library.instance.module.bodies)):
                names = _NOTHING if index == relocator else self._function(library, index)
                yield Item(library.instance.number, Kind.FUNC, index), names

    def _function(self, library: Library, index: int) -> References:
        body, number = library.instance.module.bodies[index], library.instance.number
        called, got = set(), set()
        for site in self.layout.walks.sites(body):
            if site.space is Space.FUNC:
                called.add(site.target)
            elif site.space is Space.GLOBAL_GET:
                got.add(site.target)
            elif site.space is Space.REF:
                called.add(site.target)
        pointers = {pointer for entry in got if (pointer := self._entry(library, entry))}
        slots, addresses = library.table_base in got, library.memory_base in got
        for constant in long_constants(self.layout.code, body) if slots or addresses else ():
            if slots and constant < len(library.table):
                pointers.add((Kind.TABLE, library.table.start + constant))
            if addresses and constant < len(library.memory):
                pointers.add((Kind.MEMORY, library.memory.start + constant))
        return References(frozenset(self._target(number, target) for target in called), frozenset(pointers))

    def _target(self, instance: int, index: int) -> Target:
        found = self.targets.get((instance, index))
        if found is None:
            found = self.targets[instance, index] = self.layout.target(instance, index)
        return found

    def _entry(self, library: Library, index: int) -> Pointer | None:
        """What global `index` holds when it is an entry of the global offset table."""
        module, number = library.instance.module, library.instance.number
        imported = module.imported(Kind.GLOBAL)
        if index < len(imported):
            space = {"GOT.func": Kind.TABLE, "GOT.mem": Kind.MEMORY}.get(imported[index].module)
            item = self.layout.plan.imported_globals[number][index]
        else:
            item = Item(number, Kind.GLOBAL, index - len(imported))
            base = module.globals[item.index].init.global_index
            space = {library.table_base: Kind.TABLE, library.memory_base: Kind.MEMORY}.get(-1 if base is None else base)
        return None if space is None else (space, self.layout.values[item])

    def known_starts(self) -> Iterator[int]:
        """Starts of libraries and of named objects."""
        for library in self.libraries:
            module, number = library.instance.module, library.instance.number
            yield from (library.memory.start, library.memory.stop)
            for index in range(len(module.imported(Kind.GLOBAL)) + len(module.globals)):
                entry = self._entry(library, index)
                if entry is not None and entry[0] is Kind.MEMORY:
                    yield entry[1]
            for export in module.exports:
                if export.kind is Kind.GLOBAL and export.index >= len(module.imported(Kind.GLOBAL)):
                    own = Item(number, Kind.GLOBAL, export.index - len(module.imported(Kind.GLOBAL)))
                    yield library.memory.start + self.layout.values[own]  # exported as an offset

    def stored(self, library: Library) -> Iterator[tuple[int, Pointer]]:
        """(address, pointer) of every pointer in the static data of `library`."""
        index = self._relocator(library)
        if index is not None:
            yield from self._stores(library, index)

    def _relocator(self, library: Library) -> int | None:
        exports = library.instance.exports
        for name in RELOCATORS:
            if name in exports:
                return exports[name].index - len(library.instance.module.imported(Kind.FUNC))
        return None

    def _stores(self, library: Library, index: int) -> Iterator[tuple[int, Pointer]]:
        code, body = self.layout.code, library.instance.module.bodies[index]
        position = skip_locals(code, body)
        while position < body.end - 1:
            found = _STORE.match(code, position, body.end)
            if found is None or decode_unsigned(found[2] or found[3]) != library.memory_base:
                raise LinkError("a library relocates its data in an unknown way", offset=position)
            base, offset = decode_unsigned(found[4]), decode_unsigned(found[6])
            place, added = (_signed(text) if text else 0 for text in (found[1], found[5]))
            if base == library.table_base:
                pointer: Pointer | None = (Kind.TABLE, library.table.start + added)
            elif base == library.memory_base:
                pointer = (Kind.MEMORY, library.memory.start + added)
            else:
                entry = self._entry(library, base)
                pointer = None if entry is None else (entry[0], entry[1] + added)
            if pointer is None:
                raise LinkError("a library relocates its data with an unknown global", offset=position)
            yield library.memory.start + place + offset, pointer
            position = found.end()


def _signed(encoded: bytes) -> int:
    return Reader(memoryview(encoded)).signed(32)


def libraries(layout: Layout) -> list[Library]:
    """The dynamic libraries of the component."""
    return [library for item in layout.plan.graph.instances if (library := _library(layout, item))]


def _library(layout: Layout, instance: ModuleInstance) -> Library | None:
    """`instance` as a library, if it has the corresponding section (tool-conventions, DynamicLinking.md)."""
    bases = {item.name: n for n, item in enumerate(instance.module.imported(Kind.GLOBAL)) if item.module == "env"}
    section = next((custom for custom in instance.module.customs if custom.name == "dylink.0"), None)
    if section is None or not {"__memory_base", "__table_base"} <= bases.keys():
        return None
    memory_base, table_base = bases["__memory_base"], bases["__table_base"]
    reader, memory_size, table_size = Reader(section.data), 0, 0
    while not reader.at_end():
        identifier, contents = reader.section()
        if identifier == _MEMORY_INFO:
            memory_size, _, table_size = contents.u32(), contents.u32(), contents.u32()
    items = layout.plan.imported_globals[instance.number]
    memory, table = layout.values[items[memory_base]], layout.values[items[table_base]]
    sizes = range(memory, memory + memory_size), range(table, table + table_size)
    return Library(instance, *sizes, memory_base, table_base)
