"""Keep the number of data segments within what engines take: V8 refuses a module with more than 100,000.

A segment ends where zeros follow that are worth leaving out. In a large table of small objects, that is nearly
everywhere: a dict or set has free places, a block of memory is rounded up.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ..errors import LinkError, report_a_bug
from .layout import Placed

MOST = 50_000
"""Half of what V8 takes, so that no other tool which divides some is refused. hello_world has 6,700."""


def at_most(data: Sequence[Placed], most: int = MOST) -> Sequence[Placed]:
    """`data` in at most `most` segments: the shortest gaps are filled with zeros, which memory contains there anyway.

    Of gaps that are equal, the lowest are filled.

    Raises:
        LinkError: segments overlap, so that filling a gap could overwrite one; those of a snapshot do not.
    """
    surplus = len(data) - most
    if surplus <= 0:
        return data
    ordered = sorted(data, key=lambda placed: placed.address)
    gaps = [
        (after.address - before.address - len(before.data), place)
        for place, (before, after) in enumerate(itertools.pairwise(ordered), 1)
    ]
    if min(gaps)[0] < 0:
        raise LinkError(f"{len(data):,} data segments, some of which overlap", why=report_a_bug())
    filled = {place for _, place in sorted(gaps)[:surplus]}
    starts = [place for place in range(len(ordered)) if place not in filled]
    return [_joined(ordered[start:end]) for start, end in zip(starts, [*starts[1:], len(ordered)], strict=True)]


def _joined(run: Sequence[Placed]) -> Placed:
    if len(run) == 1:
        return run[0]
    start = run[0].address
    contents = bytearray(run[-1].address + len(run[-1].data) - start)
    for placed in run:
        contents[placed.address - start : placed.address - start + len(placed.data)] = placed.data
    return Placed(start, memoryview(contents))
