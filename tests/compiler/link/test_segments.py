"""The number of data segments has a bound, and the memory they describe stays the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwasm_compiler.errors import LinkError
from pwasm_compiler.link.layout import Placed
from pwasm_compiler.link.segments import MOST, at_most
from pwasm_compiler.wasm.limits import DATA_SEGMENTS


def placed(*segments: tuple[int, bytes]) -> list[Placed]:
    return [Placed(address, memoryview(data)) for address, data in segments]


def memory(data: Sequence[Placed]) -> bytes:
    found = bytearray(4096)
    for segment in data:
        found[segment.address : segment.address + len(segment.data)] = segment.data
    return bytes(found)


def test_the_bound_is_well_below_the_limit_of_engines() -> None:
    assert MOST * 2 <= DATA_SEGMENTS


def test_as_many_as_are_allowed_stay_as_they_are() -> None:
    data = placed((0, b"a"), (9, b"b"))
    assert at_most(data, 2) is data


def test_the_shortest_gaps_are_filled_and_the_lowest_of_equal_ones() -> None:
    data = placed((0, b"a"), (31, b"b"), (62, b"c"), (90, b"d"), (200, b"e"))  # gaps: 30, 30, 27, 109
    assert [(one.address, len(one.data)) for one in at_most(data, 3)] == [(0, 32), (62, 29), (200, 1)]
    assert [(one.address, len(one.data)) for one in at_most(data, 1)] == [(0, 201)]


@given(st.lists(st.tuples(st.integers(0, 40), st.binary(min_size=1, max_size=5)), max_size=60), st.integers(1, 70))
def test_the_memory_is_the_same(pieces: list[tuple[int, bytes]], most: int) -> None:
    address, segments = 0, []
    for gap, data in pieces:
        segments.append((address + gap, data))
        address += gap + len(data)
    found = at_most(placed(*reversed(segments)), most)
    assert len(found) == min(most, len(segments))
    assert memory(found) == memory(placed(*segments))


def test_segments_that_overlap_are_not_joined() -> None:
    """Zeros behind the second would overwrite the end of the first."""
    with pytest.raises(LinkError, match="overlap"):
        at_most(placed((0, b"abcdef"), (3, b"xx"), (20, b"y")), 2)
