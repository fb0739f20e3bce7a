"""Constants, the table's contents, and the placement of data: everything instantiation would compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..component.graph import Item
from ..errors import DecodeError, LinkError, UnsupportedError
from ..wasm.instructions import Walks
from ..wasm.module import ConstExpr, DataSegment, GlobalType, Kind, Limits, Module
from .resolve import LinkPlan, Target, trampoline


@dataclass(frozen=True, slots=True)
class Placed:
    """A data segment at its address."""

    address: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known before any code runs."""

    plan: LinkPlan
    code: bytes
    walks: Walks  # of `code`
    values: Mapping[Item, int]  # of every global at instantiation
    global_types: Mapping[Item, GlobalType]
    slots: Mapping[int, Target]  # of the one live table
    table_size: int
    memory: Limits
    data: tuple[Placed, ...]

    def target(self, instance: int, index: int) -> Target:
        """What function `index` of `instance` (its own index space) resolves to, following trampolines."""
        imported = self.plan.imported_functions[instance]
        target: Target = imported[index] if index < len(imported) else Item(instance, Kind.FUNC, index - len(imported))
        for _ in range(8):
            if not isinstance(target, Item):
                break
            module = self.plan.graph.instances[target.instance].module
            if target.index >= len(module.bodies):
                raise DecodeError(f"function {index} is not defined", offset=module.offset)
            jump = trampoline(self.code, module, target.index)
            if jump is None or table_of(self.plan, target.instance, jump.table) != self.plan.table:
                break
            if jump.slot not in self.slots:
                break
            target = self.slots[jump.slot]
        return target


def lay_out(plan: LinkPlan, code: bytes, walks: Walks | None = None) -> Layout:
    """Evaluate what instantiation of the component would. `walks` may come from another layout of the same `code`.

    Raises:
        LinkError: data or table elements at an address that is not known.
    """
    values, types = _globals(plan)
    slots: dict[int, Target] = {}
    data: list[Placed] = []
    for instance in plan.graph.instances:
        module = instance.module
        for segment in module.elements:
            if segment.table is None or segment.offset is None:
                continue  # only `table.init` reads it, and instructions that modify tables are rejected
            if table_of(plan, instance.number, segment.table) == plan.table:
                start = _evaluate(plan, values, instance.number, segment.offset)
                for position, function in enumerate(segment.functions):
                    if function is not None:
                        slots[start + position] = _function(plan, instance.number, function)
        data += [_place(plan, values, instance.number, segment) for segment in module.data]
    memory, table = _defined(plan, plan.memory).memories[plan.memory.index], _table(plan)
    size = max(table.minimum, max(slots, default=-1) + 1)
    return Layout(plan, code, walks or Walks(code), values, types, slots, size, memory, tuple(data))


def _defined(plan: LinkPlan, item: Item) -> Module:
    return plan.graph.instances[item.instance].module


def _table(plan: LinkPlan) -> Limits:
    return _defined(plan, plan.table).tables[plan.table.index].limits


def _function(plan: LinkPlan, instance: int, index: int) -> Target:
    imported = plan.imported_functions[instance]
    return imported[index] if index < len(imported) else Item(instance, Kind.FUNC, index - len(imported))


def table_of(plan: LinkPlan, instance: int, index: int) -> Item | None:
    """The table that `index` of `instance` resolves to."""
    module = plan.graph.instances[instance]
    imported = module.module.imported(Kind.TABLE)
    if index >= len(imported):
        return Item(instance, Kind.TABLE, index - len(imported))
    provider = module.providers[module.module.imports.index(imported[index])]
    return provider if isinstance(provider, Item) else None


def _globals(plan: LinkPlan) -> tuple[dict[Item, int], dict[Item, GlobalType]]:
    values: dict[Item, int] = {}
    types: dict[Item, GlobalType] = {}
    for instance in plan.graph.instances:
        for index, definition in enumerate(instance.module.globals):
            item = Item(instance.number, Kind.GLOBAL, index)
            values[item] = _evaluate(plan, values, instance.number, definition.init)
            types[item] = definition.type
    return values, types


def global_item(plan: LinkPlan, instance: int, index: int) -> Item:
    """The global that `index` of `instance` resolves to."""
    imported = plan.imported_globals[instance]
    return imported[index] if index < len(imported) else Item(instance, Kind.GLOBAL, index - len(imported))


def _evaluate(plan: LinkPlan, values: Mapping[Item, int], instance: int, expr: ConstExpr) -> int:
    if expr.global_index is None:
        return expr.value
    item = global_item(plan, instance, expr.global_index)
    if item not in values:
        raise LinkError(
            f"global {expr.global_index} has no value yet", offset=plan.graph.instances[instance].module.offset
        )
    if expr.value == 0:
        return values[item]  # of any type
    return values[item] + expr.value & 0xFFFFFFFF


def _place(plan: LinkPlan, values: Mapping[Item, int], instance: int, segment: DataSegment) -> Placed:
    if segment.offset is None:
        raise UnsupportedError("passive data segment", offset=plan.graph.instances[instance].module.offset)
    return Placed(_evaluate(plan, values, instance, segment.offset) & 0xFFFFFFFF, segment.data)
