"""A memory as the data of a layout, and back: how a run of the interpreter gets into a module."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from ..component.graph import Item
from ..errors import LinkError
from ..wasm.module import PAGE, Kind, Limits
from .layout import Layout, Placed
from .memory import global_address, read_memory

_GAP = 64
"""Zeros that are worth a new data segment; one costs about 10 bytes, and V8 takes 100,000 of them."""
_ZEROS = re.compile(rb"\0{%d,}" % _GAP)


def pristine_memory(layout: Layout) -> bytes:
    """The memory before any code of a library ran, which the shim has kept (runtime-shim/…/src/build.c).

    Raises:
        LinkError: it is not there.
    """
    place = global_address(layout, "pwasm_pristine")
    address, pages = (int.from_bytes(read_memory(layout, place + at, 4), "little") for at in (0, 4))
    if pages == 0:
        raise LinkError("the runtime shim has kept no copy of the memory", offset=layout.plan.shim.module.offset)
    return read_memory(layout, address, pages * PAGE)


def without_dead_stack(layout: Layout, memory: bytes, values: Mapping[str, int]) -> bytes:
    """`memory` with zeros where returned functions have left their variables: below the stack pointer.

    Raises:
        LinkError: nobody says where the stack lies.
    """
    low, pointer = (_global_named(layout, name) for name in ("__stack_low", "__stack_pointer"))
    start = layout.values[low]
    end = values.get(f"{pointer.instance}:{pointer.index}", layout.values[pointer])
    return memory[:start] + bytes(end - start) + memory[end:]


def _global_named(layout: Layout, name: str) -> Item:
    graph = layout.plan.graph
    owner = graph.exporter_of(name)
    item = graph.export(owner, name) if owner is not None else None
    if not isinstance(item, Item) or item not in layout.values:
        raise LinkError(f"no module of the component defines the global {name}")
    return item


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
