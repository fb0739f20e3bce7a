"""Leave out static data that no code can reach (`passes.trim`): memory that no segment fills is zero."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

from .layout import Placed

Range = tuple[int, int]
"""Address of the first byte, and of the first byte after the end."""


def without_dead_data(data: Sequence[Placed], dead: Sequence[Range], exact: Sequence[Range] = ()) -> Iterator[Placed]:
    """`data`, sorted by address, without the ranges of addresses in `dead` and `exact`.

    For each range in `dead`, the bytes up to the first zero stay: a linker may let two strings share their tail, so a
    string that is read may continue in one that is not.
    """
    ordered = sorted(data, key=lambda placed: placed.address)
    addresses = [placed.address for placed in ordered]
    found = [found for start, end in dead if (found := _behind_zero(ordered, addresses, start, end))]
    gone = _joined(sorted([*found, *exact]))
    starts = [start for start, _ in gone]
    for placed in ordered:
        position, stop = placed.address, placed.address + len(placed.data)
        for start, end in gone[max(bisect.bisect_right(starts, position) - 1, 0) :]:
            if start >= stop:
                break
            if end <= position:
                continue
            if start > position:
                yield _part(placed, position, start)
            position = end
        if position < stop:
            yield _part(placed, position, stop)


def _joined(ranges: Sequence[Range]) -> list[Range]:
    """Merge ranges that touch or overlap."""
    joined: list[Range] = []
    for start, end in ranges:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _part(placed: Placed, start: int, end: int) -> Placed:
    return Placed(start, placed.data[start - placed.address : end - placed.address])


def _behind_zero(ordered: Sequence[Placed], addresses: Sequence[int], start: int, end: int) -> Range | None:
    place = bisect.bisect_right(addresses, start) - 1
    if place >= 0:
        placed = ordered[place]
        stop = placed.address + len(placed.data)
        if start < stop:
            zero = bytes(_part(placed, start, min(stop, end)).data).find(0)
            start = start + zero + 1 if zero >= 0 else stop
    return (start, end) if start < end else None
