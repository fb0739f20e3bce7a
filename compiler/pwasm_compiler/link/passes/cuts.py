"""Which functions of CPython are cut, so that what only they reach can be removed: see `trim`.

A built-in module is initialised by its `PyInit_…`, which passes its definition to `PyModuleDef_Init`, and that assigns
the definition an index. A definition without one was never used: nothing imported the module. An `import` at run time
then finds the stub in place of `PyInit_…`, which raises ModuleNotFoundError.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ...component.graph import Item
from ...cpython314 import COMPILER, COMPILER_CALLBACKS, MODULE_DEFINITION, MODULE_INIT, MODULE_REGISTER
from ...errors import LinkError
from ...wasm.instructions import Space, long_constants
from ...wasm.module import Kind, function_names
from ..layout import Layout
from ..memory import read_memory
from .references import Library, libraries
from .trim import Cut

_CALLBACK = re.compile("|".join(COMPILER_CALLBACKS))


@dataclass(frozen=True, slots=True)
class CPython:
    """The library that defines CPython, and the names of its own functions: index among those it defines → name."""

    library: Library
    names: Mapping[int, str]


def find_cpython(layout: Layout) -> CPython:
    """The library with `PyModuleDef_Init`.

    Raises:
        LinkError: there is none.
    """
    for library in libraries(layout):
        if MODULE_REGISTER in library.instance.exports:
            imported = len(library.instance.module.imported(Kind.FUNC))
            names = function_names(library.instance.module)
            return CPython(library, {n - imported: name for n, name in sorted(names.items()) if n >= imported})
    raise LinkError(f"no library of the component exports {MODULE_REGISTER}")


def compiler(layout: Layout, cpython: CPython) -> dict[Item, Cut]:
    """The compiler: `eval`, `exec` and `compile` of anything but a code object then raise an exception.

    Raises:
        LinkError: a function of `COMPILER` is missing or duplicated; then this is an unknown CPython.
    """
    in_table = set(layout.slots.values())
    found: dict[Item, Cut] = {}
    seen: set[str] = set()
    for index, name in cpython.names.items():
        item = Item(cpython.library.instance.number, Kind.FUNC, index)
        if name not in COMPILER and not (_CALLBACK.fullmatch(name) and item in in_table):
            continue
        if name in seen:
            raise LinkError(f"CPython has two functions {name}")
        seen.add(name)
        found[item] = Cut("pwasm_removed_compiler", 0, COMPILER.get(name, 0), ran=True)
    if missing := COMPILER.keys() - seen:
        raise LinkError(f"CPython has no function {min(missing)}")
    return found


def unused_modules(layout: Layout, cpython: CPython, kept: Collection[str] = ()) -> dict[str, tuple[Item, Cut]]:
    """Built-in modules that were never initialised and that `kept` does not name: name → (its `PyInit_…`, the cut)."""
    modules = list(built_in_modules(layout, cpython))
    if not modules:
        return {}
    first, last = (edge(definition for _, _, definition in modules) for edge in (min, max))
    # All at once, because there are thousands of segments.
    memory = read_memory(layout, first, last - first + MODULE_DEFINITION.size)
    found = {}
    for name, item, definition in modules:
        index, text = MODULE_DEFINITION.unpack_from(memory, definition - first)
        if index == 0 and name not in kept:
            found[name] = item, Cut("pwasm_removed_module", text)
    return found


def built_in_modules(layout: Layout, cpython: CPython) -> Iterator[tuple[str, Item, int]]:
    """(name, `PyInit_…`, address of the definition) of every built-in module whose `PyInit_…` does nothing else."""
    library = cpython.library
    module, number = library.instance.module, library.instance.number
    register = layout.target(number, library.instance.exports[MODULE_REGISTER].index)
    for index, name in cpython.names.items():
        if not name.startswith(MODULE_INIT):
            continue
        body = module.bodies[index]
        calls = [site.target for site in layout.walks.sites(body) if site.space is Space.FUNC]
        constants = list(long_constants(layout.code, body))
        if [layout.target(number, call) for call in calls] == [register] and len(constants) == 1:
            definition = library.memory.start + constants[0]
            yield name.removeprefix(MODULE_INIT), Item(number, Kind.FUNC, index), definition
