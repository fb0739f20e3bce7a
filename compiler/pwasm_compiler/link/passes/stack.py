"""Make CPython's own stack guard trigger before V8's.

CPython compares the C stack pointer with a limit in its thread state. In Wasm that pointer is the *shadow* stack in
linear memory, 1 MiB here, while V8 gives the native stack about 984 kB and kills the VM when it is full. The guard
watches the wrong stack: a C function that keeps its variables in Wasm locals uses none of the shadow stack, however
deep it recurses. Three changes make the shadow stack tell the truth:

1. *The limit* is raised as soon as the interpreter runs, so that only `USABLE` bytes may be used (`stack_limit`).
2. *Frames*: every function that compares the stack pointer, itself or through `Py_EnterRecursiveCall`, takes `FRAME`
   bytes of shadow stack. Any recursion through one of CPython's checks then moves the pointer that is checked:
   `_Py_Dealloc`, the C accelerators of json and pickle, `repr`, comparisons, calls.
3. *Guards*: many functions of CPython recurse with no check at all (the hash of nested tuples, an iterator around an
   iterator around …). Those that `guards` finds get a frame and a check in front, and return what they return for any
   other exception.

`USABLE` and `FRAME` come from measurement; RATIONALE "How does recursion end before the stack does?" has the table.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...component.graph import Item, ModuleInstance
from ...cpython314 import (
    LARGE_FRAMES,
    RAISES_RECURSION_ERROR,
    RECURSION_CHECKS,
    STACK_HARD,
    STACK_LIMITS,
    STACK_POINTER,
    STACK_SOFT,
    STACK_TOP,
)
from ...errors import LinkError
from ...wasm.instructions import Site, Space, skip_locals
from ...wasm.leb128 import encode_signed, encode_unsigned
from ...wasm.module import FuncType, Kind, Module
from ..layout import Layout, global_item
from .functions import places
from .guards import find_guards
from .reachable import Reachable
from .references import Library, libraries

USABLE = 768 * 1024
"""Bytes of shadow stack before RecursionError."""
FRAME = 512
"""Bytes of shadow stack that a function with a check takes; a multiple of 16."""

_EMPTY_TEXT = 0
"""The lowest byte of the stack, which the limit keeps unused: an empty C string."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame around a function; with `raises`, also a check in front that returns this result."""

    size: int  # bytes of shadow stack
    pointer: Item  # the global that is the stack pointer
    check: Item  # the function that raises RecursionError when the limit is passed
    raises: int | None


def stack_limit(memory: bytes) -> tuple[int, bytes]:
    """What to write to the memory of a freshly started interpreter, and at which address.

    Raises:
        LinkError: the three words do not occur exactly once; then this is an unknown CPython.
    """
    known = STACK_LIMITS.pack(STACK_TOP, STACK_SOFT, STACK_HARD)
    found = memory.count(known)
    if found != 1:
        raise LinkError(f"the thread state's stack limits occur {found} times in memory, not once")
    return memory.find(known) + 4, (STACK_TOP - USABLE).to_bytes(4, "little")


def find_frames(layout: Layout, kept: Reachable) -> dict[Item, Frame]:
    """The functions of CPython that get a frame. Empty if no library of the component is CPython.

    Raises:
        LinkError: a function that must be there is missing or duplicated; then this is an unknown CPython.
    """
    for library in libraries(layout):
        found = places(library.instance.module)
        if RAISES_RECURSION_ERROR in found:
            return _Finder(layout, kept, library, found).find()
    return {}


def called_by_frames(layout: Layout) -> tuple[Item, ...]:
    """Functions that the frames call, which must be kept regardless of other callers."""
    for instance in layout.plan.graph.instances:
        for index in places(instance.module).get(RAISES_RECURSION_ERROR, ()):
            return (Item(instance.number, Kind.FUNC, index),)
    return ()


@dataclass(frozen=True, slots=True)
class _Finder:
    layout: Layout
    kept: Reachable
    library: Library
    places: Mapping[str, list[int]]

    def find(self) -> dict[Item, Frame]:
        instance = self.library.instance
        pointer = self._stack_pointer(instance)
        checks = {index for name in RECURSION_CHECKS for index in self.places.get(name, ())}
        imported = len(instance.module.imported(Kind.FUNC))
        larger = self._exactly_one(LARGE_FRAMES)
        check = Item(instance.number, Kind.FUNC, self.places[RAISES_RECURSION_ERROR][0])
        frames = {}
        for item, found in self.kept.functions.items():
            if item.instance != instance.number or item.index in checks:
                continue
            calls_check = any(site.space is Space.FUNC and site.target - imported in checks for site in found)
            if calls_check or item.index in larger or self._only_compares(instance.module, item, found, pointer):
                frames[item] = Frame(larger.get(item.index, FRAME), pointer, check, None)
        for item, raises in find_guards(self.layout, self.kept, self.library, frames).items():
            if item in self.kept.functions:
                frames[item] = Frame(FRAME, pointer, check, raises)
        return frames

    def _stack_pointer(self, instance: ModuleInstance) -> Item:
        for position, item in enumerate(instance.module.imported(Kind.GLOBAL)):
            if item.name == STACK_POINTER:
                return global_item(self.layout.plan, instance.number, position)
        raise LinkError("CPython does not import the stack pointer", offset=instance.module.offset)

    def _exactly_one(self, named: Mapping[str, int]) -> dict[int, int]:
        """`named`, by index instead of by name."""
        found = {}
        for name, value in named.items():
            indices = self.places.get(name, [])
            if len(indices) != 1:
                raise LinkError(f"CPython has {len(indices)} functions {name}, not one")
            found[indices[0]] = value
        return found

    def _only_compares(self, module: Module, item: Item, found: list[Site], pointer: Item) -> bool:
        """Whether the function starts by reading the stack pointer without subtracting from it.

        Clang compiles `__builtin_frame_address(0)` in a function without variables in memory to `global.get` and
        `local.set`; a function with some subtracts their size in between.
        """
        start = skip_locals(self.layout.code, module.bodies[item.index])
        if not found or found[0].space is not Space.GLOBAL_GET or found[0].start != start:
            return False
        reads = global_item(self.layout.plan, item.instance, found[0].target) == pointer
        return reads and self.layout.code[found[0].end] in _LOCAL_SET_OR_TEE


_CONSTANTS: Mapping[bytes, Callable[[int], bytes]] = {
    # how a constant of a type is written: the result of a guard
    b"\x7f": lambda value: b"\x41" + encode_signed(value),
    b"\x7e": lambda value: b"\x42" + encode_signed(value),
    b"\x7c": lambda value: b"\x44" + struct.pack("<d", value),
}
_GLOBAL_GET, _GLOBAL_SET, _LOCAL_SET_OR_TEE = b"\x23", b"\x24", (0x21, 0x22)
_I32_CONST, _I32_ADD, _I32_SUB, _I32_LT_U = b"\x41", b"\x6a", b"\x6b", b"\x49"
_CALL, _BLOCK, _IF, _BR, _END, _NO_RESULT = b"\x10", b"\x02", b"\x04", b"\x0c", b"\x0b", b"\x40"


def with_frame(code: bytes, frame: Frame, pointer: int, check: int, signature: FuncType) -> bytes:
    """`code`, the instructions of a body, with `frame` around it.

    It becomes a block, so that a branch out of it reaches the end of the frame; `return` must already be such a branch.

    Args:
        pointer, check: indices of the stack pointer and of the check in the finished module.
    """
    read, write = _GLOBAL_GET + encode_unsigned(pointer), _GLOBAL_SET + encode_unsigned(pointer)
    size = _I32_CONST + encode_signed(frame.size)
    begin = read + size + _I32_SUB + write + _BLOCK + (signature.results or _NO_RESULT)
    if frame.raises is not None:
        begin += (
            read + _I32_CONST + encode_signed(STACK_TOP - USABLE) + _I32_LT_U + _IF + _NO_RESULT
            + _I32_CONST + encode_signed(_EMPTY_TEXT) + _CALL + encode_unsigned(check) + _IF + _NO_RESULT
            + _CONSTANTS[signature.results](frame.raises) + _BR + b"\x02" + _END + _END
        )  # fmt: skip
    return begin + code + read + size + _I32_ADD + write + _END
