"""Which functions can be called: from the exports, through calls, and through the table.

Every function in the table counts as called, because a `call_indirect` may pick any slot, unless the caller (see
`trim`) knows which slots can be picked and which functions are cut.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ...component.graph import Item
from ...errors import DecodeError, LinkError
from ...wasm.instructions import Site, Space
from ...wasm.module import FuncType
from ..dead_data import Range
from ..layout import Layout, global_item, table_of
from ..resolve import HostFunction, Target, Unbound


@dataclass(frozen=True, slots=True)
class Stub:
    """The replacement for removed functions: `raiser` is called with `argument`, and `result` is returned."""

    type: FuncType
    raiser: Item
    argument: int
    result: int


@dataclass(frozen=True, slots=True)
class Reachable:
    """Functions to keep, with the sites in their bodies, in the order of instances and definition."""

    functions: dict[Item, list[Site]]
    host_functions: tuple[HostFunction, ...]
    written: frozenset[Item]  # globals that some function sets; all others are constants
    stubs: Mapping[Item, Stub] = field(default_factory=dict)  # for removed functions that a call or a slot refers to
    docs: tuple[Range, ...] = ()  # addresses of docstrings in static data
    dead_data: tuple[Range, ...] = ()  # addresses of static data that nothing reads


def reachable(
    layout: Layout,
    roots: Iterable[Target],
    slots: Collection[int] | None = None,
    cut: Collection[Item] = (),
) -> Reachable:
    """Everything that `roots` and the table can reach, without entering the functions in `cut`.

    With `slots`, only these slots of the table count, and those that hold functions of the host.

    Raises:
        LinkError: a WASI function that the shim does not implement is reachable.
        UnsupportedError: an instruction outside the subset.
    """
    walk = _Walk(layout, cut)
    for target in roots:
        walk.visit(target)
    for slot, target in layout.slots.items():
        if slots is None or slot in slots or not isinstance(target, Item):
            walk.visit(target)
    while walk.pending:
        walk.scan(walk.pending.pop())
    functions = dict(sorted(walk.found.items(), key=lambda entry: (entry[0].instance, entry[0].index)))
    hosts = tuple(sorted(walk.hosts, key=lambda host: (host.module, host.name)))
    return Reachable(functions, hosts, frozenset(walk.written))


class _Walk:
    def __init__(self, layout: Layout, cut: Collection[Item]) -> None:
        self.layout = layout
        self.cut = cut
        self.found: dict[Item, list[Site]] = {}
        self.pending: list[Item] = []
        self.hosts: set[HostFunction] = set()
        self.written: set[Item] = set()
        self.seen: list[set[int]] = [set() for _ in layout.plan.graph.instances]

    def visit(self, target: Target) -> None:
        if isinstance(target, HostFunction):
            self.hosts.add(target)
        elif isinstance(target, Unbound):
            raise LinkError(
                f"{target.name} is reachable, but the runtime shim does not implement it", offset=target.offset
            )
        elif target not in self.found and target not in self.cut:
            self.found[target] = []
            self.pending.append(target)

    def scan(self, item: Item) -> None:
        module = self.layout.plan.graph.instances[item.instance].module
        if item.index >= len(module.bodies):
            raise DecodeError(f"function {item.index} is not defined", offset=module.offset)
        found = self.layout.walks.sites(module.bodies[item.index])
        self.found[item] = found
        seen = self.seen[item.instance]
        for site in found:
            if site.space is Space.FUNC:
                if site.target not in seen:
                    seen.add(site.target)
                    self.visit(self.layout.target(item.instance, site.target))
            elif site.space is Space.GLOBAL_SET:
                self.written.add(self._global(item, site))
            elif site.space is Space.GLOBAL_GET:
                self._global(item, site)
            elif site.space is Space.TABLE:
                self._table(item, site)
            elif site.space is Space.REF:
                self.visit(self.layout.target(item.instance, site.target))
            elif site.target >= len(module.types):
                raise DecodeError(f"type {site.target} is not defined", offset=site.start)

    def _global(self, item: Item, site: Site) -> Item:
        target = global_item(self.layout.plan, item.instance, site.target)
        if target not in self.layout.values:
            raise DecodeError(f"global {site.target} is not defined", offset=site.start)
        return target

    def _table(self, item: Item, site: Site) -> None:
        if table_of(self.layout.plan, item.instance, site.target) != self.layout.plan.table:
            raise LinkError("a second table is in use", offset=site.start)
