"""Zero the free parts of the heap: memory freed before the snapshot is unused, and zeros are not shipped.

The allocator is wasi-libc's dlmalloc. Its heap is a chain of chunks from the symbol `__heap_base` on: two words, the
size of the previous chunk (if that is free) and its own size with flags, then the user's bytes, or in a free chunk the
links of its bin. The last chunk is the "top", after which a chunk without flags marks the end of memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..cpython314 import (
    CHUNK_ALIGNMENT,
    CHUNK_FLAGS,
    CHUNK_HEAD,
    HEAP_BASE,
    IN_USE,
    PREVIOUS_IN_USE,
    TREE_CHUNK,
)
from .layout import Layout
from .memory import symbol_value


def without_free_memory(layout: Layout, memory: bytes) -> bytes:
    """`memory` with zeros in everything that the heap's allocator could hand out.

    Raises:
        LinkError: the start of the heap is unknown.
    """
    cleared = bytearray(memory)
    for start, end in free_ranges(memoryview(memory).cast("I"), symbol_value(layout, HEAP_BASE)):
        cleared[start:end] = bytes(end - start)
    return bytes(cleared)


def free_ranges(words: memoryview[int], heap: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the free ranges, found by walking the chunks from address `heap` on.

    A chunk counts as free only if the next one agrees. The walk ends where this is no longer a chain of chunks.
    """
    chunk, end = -(-(heap + CHUNK_HEAD) // CHUNK_ALIGNMENT) * CHUNK_ALIGNMENT - CHUNK_HEAD, len(words) * 4
    while chunk + CHUNK_HEAD <= end:
        head = words[chunk // 4 + 1]
        size = head & ~CHUNK_FLAGS
        behind = chunk + size
        if size < 2 * CHUNK_HEAD or size % CHUNK_HEAD or behind + CHUNK_HEAD > end:
            return
        if not head & IN_USE:
            next_head = words[behind // 4 + 1]
            if next_head & CHUNK_FLAGS == 0:  # this is the top
                yield chunk + CHUNK_HEAD, behind
                return
            if next_head & PREVIOUS_IN_USE or words[behind // 4] != size:
                return
            yield chunk + 2 * CHUNK_HEAD + (2 * CHUNK_HEAD if size >= TREE_CHUNK else 0), behind
        chunk = behind
