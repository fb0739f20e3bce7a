"""Functions by name: those of a library, and those of the shim."""

from __future__ import annotations

from ...component.graph import Item
from ...errors import LinkError
from ...wasm.module import Kind, Module, function_names
from ..layout import Layout
from ..memory import STALE_SHIM


def places(module: Module) -> dict[str, list[int]]:
    """Name → indices of the functions that `module` defines with it."""
    imported = len(module.imported(Kind.FUNC))
    found: dict[str, list[int]] = {}
    for index, name in function_names(module).items():
        if index >= imported:
            found.setdefault(name, []).append(index - imported)
    return found


def shim_function(layout: Layout, name: str) -> Item:
    """The function that the shim exports as `name`.

    Raises:
        LinkError: there is none.
    """
    shim = layout.plan.shim
    target = layout.target(shim.number, shim.exports[name].index) if name in shim.exports else None
    if not isinstance(target, Item):
        raise LinkError(f"the runtime shim has no function {name}", offset=shim.module.offset, hint=STALE_SHIM)
    return target
