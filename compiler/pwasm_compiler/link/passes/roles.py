"""What functions of CPython return with an exception set, from where static data holds a pointer to them.

A type object, a table of slots, a method and a getter each say what a function is for, and every role fails in one way
(`cpython314_calls.ROLES`). Static data has no types, so the objects are recognised by the places of their pointers: in
a PyTypeObject everything that must be a function, data or 0 is one. A function that is found in roles that fail
differently has none.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping

from ...component.graph import Item
from ...cpython314_calls import (
    ARGUMENTS,
    HEAP_TYPE,
    METHOD_FLAGS,
    MODULE_FUNCTIONS,
    MODULE_NAME,
    MODULE_NUMBERS,
    MODULE_POINTERS,
    MODULE_SIZE,
    MODULE_SLOTS,
    NULL,
    ROLES,
    SLOTS,
    TYPE_BASIC_SIZE,
    TYPE_FUNCTIONS,
    TYPE_NAME,
    TYPE_POINTERS,
    TYPE_SIZE,
    TYPE_SUITES,
)
from ...wasm.module import FuncType, Kind
from ..layout import Layout
from ..memory import read_memory
from ..resolve import func_type
from .references import Library, Pointer, stored_pointers

_WORD = struct.Struct("<i")
_BASIC_SIZES = range(100_000)
_HIGHEST_OFFSET = max(HEAP_TYPE)
_BUFFER_ARGUMENTS = 3


def failures(layout: Layout, library: Library) -> dict[Item, int | None]:
    """Function in the table → what it returns with an exception set, or None if it cannot fail."""
    results: dict[Item, set[int | None]] = defaultdict(set)
    for item, role in _Finder(layout, library).roles():
        signature = signature_of(layout, item)
        if role not in ARGUMENTS or (
            len(signature.params) in ARGUMENTS[role] and (signature.results or ROLES.get(role, 0) is None)
        ):
            results[item].add(ROLES.get(role, NULL))
    return {item: found.pop() for item, found in results.items() if len(found) == 1}


def signature_of(layout: Layout, item: Item) -> FuncType:
    """The type of a function."""
    module = layout.plan.graph.instances[item.instance].module
    return func_type(module, module.functions[item.index], module.offset)


class _Finder:
    def __init__(self, layout: Layout, library: Library) -> None:
        self.layout = layout
        self.range = library.memory
        self.memory = read_memory(layout, self.range.start, len(self.range))
        self.stored: Mapping[int, Pointer] = dict(stored_pointers(layout, library))

    def roles(self) -> Iterator[tuple[Item, str]]:
        """(function, role) in the order of their places."""
        types = [place - TYPE_NAME for place in self.stored if self._is_type(place - TYPE_NAME)]
        for start in types:
            yield from self._in_type(start)
        inside = {place for start in types for place in range(start, start + TYPE_SIZE, 4)}
        for place in self.stored:
            if place in inside:
                continue
            item = self._function(place)
            if item is None:
                yield from self._in_module(place - MODULE_NAME)
            elif (role := self._role(place, item)) is not None:
                yield item, role
                if role == "wrapper":  # the slot's own function comes before it in `slotdefs`
                    yield from self._in_slotdefs(place - 4)

    def _is_type(self, start: int) -> bool:
        if not (self.range.start <= start and start + TYPE_SIZE <= self.range.stop and self._text(start + TYPE_NAME)):
            return False
        # What is not stored may have been written by PyType_Ready: the memory is that of a run.
        kinds = {offset: self._kind(start + offset) for offset in range(0, TYPE_SIZE, 4)}
        return (
            self._word(start + TYPE_BASIC_SIZE) in _BASIC_SIZES
            and Kind.TABLE in kinds.values()
            and all(
                kind is None
                or (kind is Kind.TABLE and offset in TYPE_FUNCTIONS)
                or (kind is Kind.MEMORY and offset in TYPE_POINTERS)
                for offset, kind in kinds.items()
            )
        )

    def _in_type(self, start: int) -> Iterator[tuple[Item, str]]:
        yield from self._in_table(start, TYPE_FUNCTIONS)
        for offset, roles in TYPE_SUITES.items():
            if (suite := self._pointer(start + offset)) is not None:
                yield from self._in_table(suite, dict(zip(range(0, 4 * len(roles), 4), roles, strict=True)))

    def _in_module(self, start: int) -> Iterator[tuple[Item, str]]:
        """Those of a PyModuleDef, which has a name, a size, perhaps methods, and these functions."""
        if self.range.start <= start and start + max(MODULE_FUNCTIONS) + 4 <= self.range.stop:
            (size,) = MODULE_SIZE.unpack_from(self.memory, start - self.range.start)
            functions = [self._kind(start + offset) for offset in MODULE_FUNCTIONS]
            if (
                self._text(start + MODULE_NAME)
                and size >= -1
                and all(self._is_or_null(start + offset, Kind.TABLE) for offset in MODULE_FUNCTIONS)
                and Kind.TABLE in functions
                and all(self._is_or_null(start + offset, Kind.MEMORY) for offset in MODULE_POINTERS)
                and not any(start + offset in self.stored for offset in MODULE_NUMBERS)
            ):
                yield from self._in_table(start, MODULE_FUNCTIONS)

    def _in_slotdefs(self, place: int) -> Iterator[tuple[Item, str]]:
        """The function of an entry of `slotdefs`: name, offset in a type, function, wrapper."""
        item, offset = self._function(place), self._word(place - 4)
        role = HEAP_TYPE.get(offset) or TYPE_FUNCTIONS.get(offset)
        if item is not None and role is not None:
            yield item, role

    def _in_table(self, start: int, roles: Mapping[int, str]) -> Iterator[tuple[Item, str]]:
        for offset, role in roles.items():
            if (item := self._function(start + offset)) is not None:
                yield item, role

    def _role(self, place: int, item: Item) -> str | None:
        """The role of the pointer to a function at `place`, by what is around it."""
        if self._named(place - 4):
            if place + 4 not in self.stored and self._word(place + 4) in METHOD_FLAGS:
                return "method" if self._entry_or_end(place + 12) else None
            if self._is_or_null(place + 4, Kind.TABLE) and self._is_or_null(place + 8, Kind.MEMORY):
                return "getter" if self._entry_or_end(place + 16) else None
        if self._named(place - 12) and place - 8 not in self.stored and 0 < self._word(place - 8) <= _HIGHEST_OFFSET:
            return "wrapper" if self._is_or_null(place - 4, Kind.TABLE) and self._entry_or_end(place + 16) else None
        if (
            self._named(place - 8)
            and self._is_or_null(place - 4, Kind.TABLE)
            and self._is_or_null(place + 4, Kind.MEMORY)
        ):
            return "setter" if self._entry_or_end(place + 12) else None
        if self._in_slots(place - 4):
            return self._slot(self._word(place - 4), item)
        return None

    def _named(self, place: int) -> bool:
        return self._text(place).replace(".", "_").isidentifier()

    def _entry_or_end(self, place: int) -> bool:
        """Whether the next entry begins at `place`, with a name, or an end: all these arrays end with zeros."""
        return self._named(place) or (place not in self.stored and self._word(place) == 0)

    def _in_slots(self, place: int) -> bool:
        """Whether pairs of a number and a value begin at `place`, up to the number 0."""
        first = place
        while place not in self.stored and self._word(place) in SLOTS:
            place += 8
        return place > first and place not in self.stored and self._word(place) == 0

    def _slot(self, number: int, item: Item) -> str:
        """PyType_Slot and PyModuleDef_Slot look alike: what the function takes tells their lowest numbers apart."""
        signature = signature_of(self.layout, item)
        takes_buffer = len(signature.params) == _BUFFER_ARGUMENTS or not signature.results
        return MODULE_SLOTS[number] if number in MODULE_SLOTS and not takes_buffer else SLOTS[number]

    def _function(self, place: int) -> Item | None:
        kind, slot = self.stored.get(place, (None, 0))
        target = self.layout.slots.get(slot) if kind is Kind.TABLE else None
        return target if isinstance(target, Item) else None

    def _pointer(self, place: int) -> int | None:
        kind, address = self.stored.get(place, (None, 0))
        return address if kind is Kind.MEMORY and address in self.range else None

    def _kind(self, place: int) -> Kind | None:
        return self.stored[place][0] if place in self.stored else None

    def _is_or_null(self, place: int, kind: Kind) -> bool:
        return self._kind(place) is kind or (place not in self.stored and self._word(place) == 0)

    def _word(self, place: int) -> int:
        """-1 outside of static data."""
        inside = self.range.start <= place <= self.range.stop - 4
        return _WORD.unpack_from(self.memory, place - self.range.start)[0] if inside else -1

    def _text(self, place: int) -> str:
        """The text that the pointer at `place` refers to, or ""."""
        address = self._pointer(place)
        if address is None:
            return ""
        start = address - self.range.start
        text = self.memory[start : self.memory.find(b"\0", start)].decode("latin-1")
        return text if text.isascii() and text.isprintable() else ""
