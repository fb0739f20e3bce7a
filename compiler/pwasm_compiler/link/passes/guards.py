"""Which functions of CPython get a check, so that every recursion passes one.

By the types of indirect calls alone, one cycle holds nearly all of CPython. But each cycle has a call through the
table, or is one of few cycles of direct calls:

1. *Through the table*: every function that calls through it is guarded, if its result with an exception set is known;
   otherwise those that call it, up to the functions in the table, whose roles say it (`roles`).
2. *Direct*: `ALWAYS_GUARDED`.

Functions that check on their own need nothing, and neither do those whose recursion ends (`BOUNDED`, with reasons).
A function in the table that is neither stops the build: then this is an unknown CPython.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from ...component.graph import Item
from ...cpython314_calls import ALWAYS_GUARDED, BOUNDED, CALLS_BACK, FAILS, LIBRARIES_BEGIN
from ...errors import LinkError
from ...wasm.instructions import Space
from ...wasm.module import Kind, function_names
from ..layout import Layout
from .functions import places
from .reachable import Reachable
from .references import Library
from .roles import failures


def find_guards(layout: Layout, kept: Reachable, library: Library, checked: Collection[Item]) -> dict[Item, int]:
    """Function of CPython → what it returns when its guard has raised. `checked` are those that check on their own.

    Raises:
        LinkError: a function is missing, or nothing says how one fails: then this is an unknown CPython.
    """
    return _Finder(layout, kept, library).guards(checked)


def is_bounded(name: str) -> bool:
    """Whether the recursion of function `name` ends without a check."""
    return any(pattern.fullmatch(name) for family in BOUNDED for pattern in family.patterns)


class _Finder:
    def __init__(self, layout: Layout, kept: Reachable, library: Library) -> None:
        module, number = library.instance.module, library.instance.number
        self.places, self.layout, self.library = places(module), layout, library
        imported = len(module.imported(Kind.FUNC))
        self.names: Mapping[Item, str] = {
            Item(number, Kind.FUNC, index - imported): name
            for index, name in function_names(module).items()
            if index >= imported
        }
        self.end = self._index(LIBRARIES_BEGIN)
        self.callers: dict[Item, list[Item]] = defaultdict(list)
        self.sources: list[Item] = []
        for item, sites in kept.functions.items():
            if item.instance == number and item.index < self.end:
                self._read(item, [site.target for site in sites if site.space is Space.FUNC])
                if any(site.space is Space.TABLE for site in sites):
                    self.sources.append(item)

    def _read(self, item: Item, called: list[int]) -> None:
        """Remember who calls whom; a call of a library that may call back is as one through the table."""
        for index in set(called):
            target = self.layout.target(item.instance, index)
            if not isinstance(target, Item) or target.instance != item.instance:
                continue
            self.callers[target].append(item)
            if target.index >= self.end and CALLS_BACK.fullmatch(self.names.get(target, "")):
                self.sources.append(item)

    def _unique(self, name: str) -> str:
        found = self.places.get(name, [])
        if len(found) != 1:
            raise LinkError(f"CPython has {len(found)} functions {name}, not one")
        return name

    def _index(self, name: str) -> int:
        return self.places[self._unique(name)][0]

    def guards(self, checked: Collection[Item]) -> dict[Item, int]:
        in_table = {item for item in self.layout.slots.values() if isinstance(item, Item)}
        roles = failures(self.layout, self.library)
        always = {Item(self.library.instance.number, Kind.FUNC, self._index(name)) for name in ALWAYS_GUARDED}
        found = {item: FAILS[self.names[item]] for item in sorted(always, key=_place)}
        seen: set[Item] = set()
        unknown: list[str] = []
        pending = [item for item in self.sources if not is_bounded(self.names.get(item, ""))]
        while pending:
            item = pending.pop()
            if item in seen or item in found or (item in checked and item not in always):
                continue
            seen.add(item)
            name = self.names.get(item, "")
            result = FAILS[self._unique(name)] if name in FAILS else roles.get(item)
            if result is not None:
                found[item] = result
                continue
            if item in in_table and item not in roles and not is_bounded(name):
                unknown.append(name or str(item.index))
            pending += self.callers[item]
        if unknown:
            raise LinkError(f"nothing says what these functions of CPython return when they fail: {', '.join(unknown)}")
        return found


def _place(item: Item) -> int:
    return item.index
