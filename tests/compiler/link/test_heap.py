"""Free memory of the heap becomes zero, and nothing else."""

from __future__ import annotations

from array import array

import pytest

from pwasm_compiler.link.heap import free_ranges

HEAP = 16
PREVIOUS_IN_USE, IN_USE = 1, 2
END = 56
Chunk = tuple[int, bool]


def memory(*chunks: Chunk, top: int = 128) -> array[int]:
    """A heap of (size, in use) chunks, as dlmalloc has them, full of the word 7; then the top, and the end's mark."""
    words = array("I", [7] * ((HEAP + 8 + sum(size for size, _ in chunks) + top + END) // 4))
    position, before = HEAP + 8, (16, True)
    for size, used in [*chunks, (top, False)]:
        words[position // 4] = before[0] if not before[1] else 7
        words[position // 4 + 1] = size | (IN_USE if used else 0) | (PREVIOUS_IN_USE if before[1] else 0)
        position, before = position + size, (size, used)
    words[position // 4 + 1] = END
    return words


def ranges(words: array[int]) -> list[tuple[int, int]]:
    return list(free_ranges(memoryview(words), HEAP))


def test_what_is_in_use_stays_and_the_top_is_free() -> None:
    assert ranges(memory((32, True), (64, True), top=128)) == [(HEAP + 8 + 96 + 8, HEAP + 8 + 96 + 128)]


def test_a_free_chunk_keeps_its_links() -> None:
    found = ranges(memory((32, True), (64, False), (32, True)))
    assert found[0] == (HEAP + 8 + 32 + 16, HEAP + 8 + 32 + 64)


def test_a_large_one_keeps_those_of_the_tree() -> None:
    found = ranges(memory((32, True), (256, False), (32, True)))
    assert found[0] == (HEAP + 8 + 32 + 32, HEAP + 8 + 32 + 256)


@pytest.mark.parametrize("damage", [0, 12, 1 << 20])
def test_a_chain_that_breaks_ends_the_walk(damage: int) -> None:
    words = memory((32, True), (64, False), (32, True), (64, False), (32, True))
    words[(HEAP + 8 + 32 + 64) // 4 + 1] = damage
    assert len(ranges(words)) <= 1


def test_a_chunk_is_free_only_when_its_neighbour_says_so() -> None:
    words = memory((32, True), (64, False), (32, True))
    words[(HEAP + 8 + 32 + 64) // 4 + 1] |= PREVIOUS_IN_USE
    assert ranges(words) == []
