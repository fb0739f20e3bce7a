"""Convert a memory to the data of a layout and back: how a run of the interpreter gets into a module."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from ..component.graph import Item
from ..cpython314 import FROZEN, FROZEN_TABLES, LIBPYTHON, STACK_LOW, STACK_POINTER
from ..wasm.module import PAGE, Kind, Limits
from .layout import Layout, Placed
from .memory import symbol_item, symbol_value

_GAP = 24
"""The run of zeros worth splitting a data segment for: one costs about 10 bytes. `segments` bounds their number."""
_ZEROS = re.compile(rb"\0{%d,}" % _GAP)


def without_dead_stack(layout: Layout, memory: bytes, values: Mapping[str, int]) -> bytes:
    """`memory` with zeros below the stack pointer, where functions that returned have left their variables.

    Raises:
        LinkError: the location of the stack is unknown.
    """
    start, pointer = symbol_value(layout, STACK_LOW), symbol_item(layout, STACK_POINTER)
    end = values.get(f"{pointer.instance}:{pointer.index}", layout.values[pointer])
    return memory[:start] + bytes(end - start) + memory[end:]


def without_frozen_modules(layout: Layout, memory: bytes) -> bytes:
    """`memory` without the modules that are frozen into CPython itself: those that are needed have been imported.

    Raises:
        LinkError: CPython has no such table.
    """
    cleared = bytearray(memory)
    for table in FROZEN_TABLES:
        start = int.from_bytes(memory[(at := symbol_value(layout, f"{LIBPYTHON}:{table}")) : at + 4], "little")
        for entry in range(start, len(memory), FROZEN.size):
            name, code, size, _package = FROZEN.unpack_from(memory, entry)
            cleared[entry : entry + FROZEN.size] = bytes(FROZEN.size)  # the first is now the end of the table
            if name == 0:
                break
            cleared[code : code + size] = bytes(size)
    return bytes(cleared)


def with_memory(layout: Layout, memory: bytes, values: Mapping[str, int] | None = None) -> Layout:
    """`layout` with `memory` as its data, and the globals that `values` names "<instance>:<index>" set."""
    changed = {_item(name): value for name, value in (values or {}).items()}
    return dataclasses.replace(
        layout,
        values={**layout.values, **changed},
        memory=Limits(len(memory) // PAGE),
        data=tuple(_segments(memory)),
    )


def _item(name: str) -> Item:
    instance, _, index = name.partition(":")
    return Item(int(instance), Kind.GLOBAL, int(index))


def _segments(memory: bytes) -> list[Placed]:
    view = memoryview(memory)
    found, start = [], 0
    for zeros in _ZEROS.finditer(memory):
        if zeros.start() > start:
            found.append(Placed(start, view[start : zeros.start()]))
        start = zeros.end()
    if start < len(memory):
        found.append(Placed(start, view[start:]))
    return found
