"""Make CPython's own stack guard fire before V8's.

CPython compares the C stack pointer with a limit in its thread state. In Wasm that pointer is the *shadow* stack in
linear memory, 1 MiB here, of which CPython would use nearly all; V8 gives the native stack about 984 kB and kills the
VM when it is full. Recursion through C (`sorted(key=…)`, `map`, `__repr__`, `__getattr__`) takes several times as much
native stack as shadow stack, so the guard must fire earlier: the soft limit is raised in the snapshot.

Recursion that takes no shadow stack at all (the C accelerators of json, pickle, repr of nested containers, nested
deallocation) is not seen by the guard; that needs code to be rewritten, and is not done yet. The SDK limits the depth
of JSON instead (`pwasm._guest`).

Source: CPython 3.14, `_PyThreadStateImpl`: `c_stack_top`, `c_stack_soft_limit`, `c_stack_hard_limit` follow each other.
"""

from __future__ import annotations

import dataclasses
import struct

from ...errors import LinkError
from ..layout import Layout, Placed

_TOP, _SOFT, _HARD = 0x100000, 0x4000, 0x2000
"""What CPython 3.14.0 has computed for a stack of 1 MiB that ends at `_TOP`."""
USABLE = 128 * 1024
"""Bytes of shadow stack before RecursionError: recursion through C ends V8's stack only after several times as many."""


def limit_stack(layout: Layout) -> Layout:
    """`layout` with the soft limit raised.

    Raises:
        LinkError: the three words are not there exactly once; then this is not the CPython that is known here.
    """
    wanted = struct.pack("<III", _TOP, _SOFT, _HARD)
    found = [(number, at) for number, placed in enumerate(layout.data) if (at := bytes(placed.data).find(wanted)) >= 0]
    if len(found) != 1:
        raise LinkError(f"the thread state's stack limits are in the snapshot {len(found)} times, not once")
    number, at = found[0]
    placed = layout.data[number]
    patched = bytearray(placed.data)
    patched[at : at + len(wanted)] = struct.pack("<III", _TOP, _TOP - USABLE, _HARD)
    data = list(layout.data)
    data[number] = Placed(placed.address, memoryview(bytes(patched)))
    return dataclasses.replace(layout, data=tuple(data))
