"""Zeros where the heap is free: what was freed before the snapshot is nobody's any more, and zeros are not shipped.

The allocator is wasi-libc's dlmalloc. Its heap is a chain of chunks from the symbol `__heap_base` on: two words, the
size of the chunk before (while that one is free) and the own size with flags, then the user's bytes, or in a free
chunk the links of its bin. The last chunk is the "top", behind which a chunk without flags marks the end of memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from .layout import Layout
from .memory import symbol_value

_PREVIOUS_IN_USE, _IN_USE, _FLAGS = 1, 2, 7
_HEAD = 8
_ALIGNMENT = 16
_TREE = 256
"""Free chunks of this size and more are in trees, and have two more pairs of links."""


def without_free_memory(layout: Layout, memory: bytes) -> bytes:
    """`memory` with zeros in all that the heap's allocator could hand out.

    Raises:
        LinkError: nobody says where the heap begins.
    """
    cleared = bytearray(memory)
    for start, end in free_ranges(memoryview(memory).cast("I"), symbol_value(layout, "__heap_base")):
        cleared[start:end] = bytes(end - start)
    return bytes(cleared)


def free_ranges(words: memoryview[int], heap: int) -> Iterator[tuple[int, int]]:
    """(start, end) of what nobody reads, by a walk over the chunks from address `heap` on.

    A chunk counts as free only when the one behind it says so, too. The walk ends where this is not a chain of chunks.
    """
    chunk, end = -(-(heap + _HEAD) // _ALIGNMENT) * _ALIGNMENT - _HEAD, len(words) * 4
    while chunk + _HEAD <= end:
        head = words[chunk // 4 + 1]
        size = head & ~_FLAGS
        behind = chunk + size
        if size < 2 * _HEAD or size % _HEAD or behind + _HEAD > end:
            return
        if not head & _IN_USE:
            next_head = words[behind // 4 + 1]
            if next_head & _FLAGS == 0:  # this is the top
                yield chunk + _HEAD, behind
                return
            if next_head & _PREVIOUS_IN_USE or words[behind // 4] != size:
                return
            yield chunk + 2 * _HEAD + (2 * _HEAD if size >= _TREE else 0), behind
        chunk = behind
