"""The core-instance graph: the item of a module instance that each import refers to.

Only indices are followed. componentize-py strips the names of the modules it synthesises and guarantees no order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import LinkError
from ..wasm.module import Export, Import, Kind, Module, SectionSpan
from .definitions import Canonical, Component, CoreExport, InlineExports, Instantiate, Sort

_SORT_OF = {Kind.FUNC: Sort.FUNC, Kind.TABLE: Sort.TABLE, Kind.MEMORY: Sort.MEMORY, Kind.GLOBAL: Sort.GLOBAL}


@dataclass(frozen=True, slots=True)
class Item:
    """An item that a module *defines*: `index` counts from 0 after the imports of its kind."""

    instance: int
    kind: Kind
    index: int


@dataclass(frozen=True, slots=True)
class ModuleInstance:
    """A module and, for each of its imports in order, what provides it."""

    number: int
    module: Module
    providers: tuple[Item | Canonical, ...]
    exports: Mapping[str, Export]


@dataclass(frozen=True, slots=True)
class InstanceGraph:
    """Module instances in the order of instantiation; inline-export instances are resolved away."""

    instances: tuple[ModuleInstance, ...]
    wiring: tuple[SectionSpan, ...] = ()

    def exporter_of(self, name: str) -> ModuleInstance | None:
        """The instance that exports `name`, or None."""
        return next((item for item in self.instances if name in item.exports), None)

    def export(self, instance: ModuleInstance, name: str) -> Item | Canonical:
        """What `instance` exports as `name`, traced to its definition."""
        exported = instance.exports[name]
        imported = instance.module.imported(exported.kind)
        if exported.index >= len(imported):
            return Item(instance.number, exported.kind, exported.index - len(imported))
        position = instance.module.imports.index(imported[exported.index])
        return instance.providers[position]


def instance_graph(component: Component) -> InstanceGraph:
    """Resolve every import of every core module instance of `component`.

    Raises:
        LinkError: an unresolved import, or one of another kind; with the offset of the import.
    """
    return InstanceGraph(tuple(_Resolver(component).instances), component.wiring)


class _Resolver:
    def __init__(self, component: Component) -> None:
        self.component = component
        self.instances: list[ModuleInstance] = []
        self.number_of: dict[int, int] = {}  # core instance index → position among the module instances
        for index, definition in enumerate(component.instances):
            if isinstance(definition, Instantiate):
                self._instantiate(index, definition)

    def _instantiate(self, index: int, definition: Instantiate) -> None:
        module = self.component.modules[definition.module]
        providers = tuple(self._provider(definition, item) for item in module.imports)
        exports = {item.name: item for item in module.exports}
        self.number_of[index] = len(self.instances)
        self.instances.append(ModuleInstance(len(self.instances), module, providers, exports))

    def _provider(self, definition: Instantiate, item: Import) -> Item | Canonical:
        argument = definition.arguments.get(item.module)
        if argument is None:
            raise LinkError(f"unresolved import {item.module}.{item.name}", offset=item.offset)
        if item.kind not in _SORT_OF:
            raise LinkError(
                f"unsupported import {item.module}.{item.name} of kind {item.kind.name.lower()}", offset=item.offset
            )
        return self._export(argument, item.name, item.kind, item.offset)

    def _export(self, instance: int, name: str, kind: Kind, offset: int) -> Item | Canonical:
        definition = self.component.instances[instance]
        if isinstance(definition, InlineExports):
            sort_and_index = definition.exports.get(name)
            if sort_and_index is None or sort_and_index[0] is not _SORT_OF[kind]:
                raise LinkError(f"no {kind.name.lower()} is exported as {name!r}", offset=offset)
            target = self.component.space(sort_and_index[0])[sort_and_index[1]]
            if isinstance(target, Canonical):
                return target
            return self._alias(target, kind)
        owner = self.instances[self.number_of[instance]]
        exported = owner.exports.get(name)
        if exported is None or exported.kind is not kind:
            raise LinkError(f"no {kind.name.lower()} is exported as {name!r}", offset=offset)
        return InstanceGraph(()).export(owner, name)

    def _alias(self, target: CoreExport, kind: Kind) -> Item | Canonical:
        return self._export(target.instance, target.name, kind, target.offset)
