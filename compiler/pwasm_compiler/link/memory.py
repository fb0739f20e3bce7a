"""Read the snapshot's memory: the linker knows its contents before any code runs."""

from __future__ import annotations

from ..component.graph import Item
from ..errors import LinkError
from ..wasm.module import Kind
from .layout import Layout

STALE_SHIM = "it is older than its sources: rebuild it with `make setup`, or `python runtime-shim/build_shim.py`"
"""Hint for a shim that lacks a name: in a checkout, the C sources may be newer than the library."""


def global_address(layout: Layout, symbol: str) -> int:
    """Address of the data `symbol` that the shim defines.

    The shim reaches it through the global offset table, so its import `GOT.mem.<symbol>` holds the address.

    Raises:
        LinkError: the shim has no such import.
    """
    shim = layout.plan.shim
    for position, item in enumerate(shim.module.imported(Kind.GLOBAL)):
        if item.module == "GOT.mem" and item.name == symbol:
            return layout.values[layout.plan.imported_globals[shim.number][position]]
    raise LinkError(f"the runtime shim has no data symbol {symbol}", offset=shim.module.offset, hint=STALE_SHIM)


def symbol_item(layout: Layout, name: str) -> Item:
    """The global that is exported as `name`.

    Raises:
        LinkError: no module of the component exports it.
    """
    graph = layout.plan.graph
    owner = graph.exporter_of(name)
    item = graph.export(owner, name) if owner is not None else None
    if not isinstance(item, Item) or item not in layout.values:
        raise LinkError(f"no module of the component defines the global {name}")
    return item


def symbol_value(layout: Layout, name: str) -> int:
    """The value of the global that is exported as `name`: for data of a library, "<library>:<symbol>", its address.

    Raises:
        LinkError: no module of the component exports it.
    """
    return layout.values[symbol_item(layout, name)]


def read_memory(layout: Layout, address: int, size: int) -> bytes:
    """`size` bytes at `address`; memory that no segment fills is zero.

    Raises:
        LinkError: the range lies outside the memory.
    """
    if address + size > layout.memory.minimum * 65536:
        raise LinkError(f"{size} bytes at address {address:#x} are outside the memory")
    found = bytearray(size)
    for placed in layout.data:
        start, end = max(address, placed.address), min(address + size, placed.address + len(placed.data))
        if start < end:
            found[start - address : end - address] = placed.data[start - placed.address : end - placed.address]
    return bytes(found)
