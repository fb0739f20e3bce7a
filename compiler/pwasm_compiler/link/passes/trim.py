"""Leave out code that cannot run once the memory is frozen.

1. *What ever ran, or can*: everything reachable from the entry points of the build and of the finished module, with
   `references` as edges, and without entering the built-in modules that were never initialised. What is not reached
   cannot have left a pointer to itself anywhere, so the frozen memory need not be searched.
2. *What still can run*: from the exports alone, and from the table slots that something in 1 refers to, through calls.

All other functions are removed. Slots that held one get a stub of the same type that raises, so that a mistake in this
reasoning would be an exception and not a dead VM. RATIONALE "Why may code be left out?" has the argument in full.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...component.graph import Item
from ...cpython314 import STARTS
from ...errors import LinkError
from ...wasm.module import Kind
from ..dead_data import Range
from ..layout import Layout
from ..resolve import Target, func_type
from .docs import find_docs
from .functions import shim_function
from .loops import called_by_interruptions
from .reachable import Reachable, Stub, reachable
from .references import Pointer, ReferenceTable, find_references
from .stack import called_by_frames

RAISER = "pwasm_removed_function"
_WORTH = 64
"""Bytes of dead data worth splitting a data segment for."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A function that raises instead: the shim's export `raiser` is called with `argument`, then `result` is returned.

    `argument` is 0 or the address of static data; `ran` means that the build called it.
    """

    raiser: str
    argument: int
    result: int = 0
    ran: bool = False


def trim(layout: Layout, exports: Collection[Target], cuts: Mapping[Item, Cut]) -> Reachable:
    """The functions that `exports` can reach when `cuts` are cut.

    Raises:
        LinkError: the component has an unknown shape.
    """
    references = find_references(layout)
    idle = {item for item, cut in cuts.items() if not cut.ran}
    arguments = [(Kind.MEMORY, cut.argument) for cut in cuts.values() if cut.argument]
    named = _named(layout, references, [*exports, *_entries(layout), *arguments], idle)
    slots = {value for kind, value in named if kind is Kind.TABLE}
    raisers = {name: shim_function(layout, name) for name in {RAISER, *(cut.raiser for cut in cuts.values())}}
    called = (*raisers.values(), *called_by_frames(layout), *called_by_interruptions(layout))
    kept = reachable(layout, [*exports, *called], slots, cuts)
    stubs = {item: _stub(layout, item, raisers[cut.raiser], cut) for item, cut in sorted(cuts.items(), key=_place)}
    for _, target in sorted(layout.slots.items()):
        if isinstance(target, Item) and target not in kept.functions and target not in stubs:
            stubs[target] = _stub(layout, target, raisers[RAISER], Cut(RAISER, 0))
    read = {value for kind, value in named if kind is Kind.MEMORY}
    return dataclasses.replace(
        kept, stubs=stubs, dead_data=tuple(_dead_data(references, read)), docs=tuple(find_docs(layout, references))
    )


def _place(entry: tuple[Item, Cut]) -> tuple[int, int]:
    return entry[0].instance, entry[0].index


def _stub(layout: Layout, item: Item, raiser: Item, cut: Cut) -> Stub:
    module = layout.plan.graph.instances[item.instance].module
    return Stub(func_type(module, module.functions[item.index], module.offset), raiser, cut.argument, cut.result)


def _entries(layout: Layout) -> Iterable[Target]:
    """A superset of what the build calls: all of the shim's exports, and what initialises the libraries."""
    shim = layout.plan.shim
    for instance in layout.plan.graph.instances:
        for name, export in instance.exports.items():
            if export.kind is Kind.FUNC and (instance is shim or name in STARTS):
                yield layout.target(instance.number, export.index)


def _dead_data(references: ReferenceTable, read: Collection[int]) -> Iterator[Range]:
    """Static data without an object in `read`, in ranges that are large enough to be worth it."""
    for memory in references.memory:
        first, last = (bisect.bisect_left(references.starts, edge) for edge in (memory.start, memory.stop))
        edges = [*references.starts[first:last], memory.stop]
        begin = None
        for start in edges:
            dead = start not in read and start != memory.stop
            if dead and begin is None:
                begin = start
            elif not dead and begin is not None:
                if start - begin >= _WORTH:
                    yield begin, start
                begin = None


def _named(
    layout: Layout, references: ReferenceTable, roots: Iterable[Target | Pointer], idle: Collection[Item]
) -> set[Pointer]:
    """Table slots and starts of objects referenced by code or data that `roots` reach without entering `idle`."""
    functions: set[Target] = set(idle)
    pointers: set[Pointer] = set()
    pending: list[Target | Pointer] = list(roots)
    while pending:
        found = pending.pop()
        if not isinstance(found, tuple):
            if found not in functions:
                functions.add(found)
                pending += _names(references, found)
            continue
        kind, value = found
        pointer = (kind, references.start_of(value) if kind is Kind.MEMORY else value)
        if pointer in pointers:
            continue
        pointers.add(pointer)
        if kind is Kind.MEMORY:
            pending += references.pointers.get(pointer[1], ())
        elif value in layout.slots:
            pending.append(layout.slots[value])
    return pointers


def _names(references: ReferenceTable, function: Target) -> Iterator[Target | Pointer]:
    if isinstance(function, Item):
        names = references.functions.get(function)
        if names is None:
            raise LinkError(
                f"function {function.index} of instance {function.instance}, which is not a library, is reachable"
            )
        yield from names.calls
        yield from names.pointers
