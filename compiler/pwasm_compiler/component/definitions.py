"""What a component's binary defines in its *core* index spaces, in the order of definition."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ..wasm.module import Module, SectionSpan


class Sort(IntEnum):
    """Core sorts (Binary.md: core:sort)."""

    FUNC = 0x00
    TABLE = 0x01
    MEMORY = 0x02
    GLOBAL = 0x03
    TAG = 0x04
    TYPE = 0x10
    MODULE = 0x11
    INSTANCE = 0x12


@dataclass(frozen=True, slots=True)
class CoreExport:
    """`core export` alias: the item `name` of a core instance."""

    instance: int
    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Canonical:
    """A core function made by a `canon` definition: it leaves the component, so the linker must bind it elsewhere."""

    what: str
    offset: int


@dataclass(frozen=True, slots=True)
class Instantiate:
    """`(instantiate module (with name instance)…)`."""

    module: int
    arguments: dict[str, int]
    offset: int


@dataclass(frozen=True, slots=True)
class InlineExports:
    """An instance that only names items of the index spaces: name → (sort, index)."""

    exports: dict[str, tuple[Sort, int]]
    offset: int


@dataclass(frozen=True, slots=True)
class Component:
    """The core index spaces of one component; functions are either aliases or canonical definitions."""

    modules: tuple[Module, ...]
    instances: tuple[Instantiate | InlineExports, ...]
    functions: tuple[CoreExport | Canonical, ...]
    tables: tuple[CoreExport, ...]
    memories: tuple[CoreExport, ...]
    globals: tuple[CoreExport, ...]
    wiring: tuple[SectionSpan, ...]  # the sections that define all this, except modules and names

    def space(self, sort: Sort) -> tuple[CoreExport | Canonical, ...]:
        return {
            Sort.FUNC: self.functions,
            Sort.TABLE: self.tables,
            Sort.MEMORY: self.memories,
            Sort.GLOBAL: self.globals,
        }[sort]
