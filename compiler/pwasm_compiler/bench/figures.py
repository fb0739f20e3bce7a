"""The arithmetic of the benchmark. Rounds are paired: measurements that are compared directly followed one another."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of the rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of `values`, or None when there are none."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def added_microseconds(requests_per_second: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """The time a filter adds to a request in each round, at saturation: 1/rps − 1/rps without a filter."""
    pairs = zip(requests_per_second, baseline, strict=True)
    return [1e6 * (1 / with_filter - 1 / without) for with_filter, without in pairs]


def best_added_microseconds(requests_per_second: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """The same for the fastest round of each: not paired, but unaffected by slowdowns from others on the host."""
    return added_microseconds([max(requests_per_second)], [max(baseline)])


def added(values: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """Each round minus the baseline of the same round."""
    return [value - without for value, without in zip(values, baseline, strict=True)]


def best_added(values: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """The lowest round minus the lowest baseline round."""
    return [min(values) - min(baseline)]


def ratios(values: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Each round divided by the reference's; rounds whose reference is lost in noise (not positive) are omitted."""
    return [value / other for value, other in zip(values, reference, strict=True) if other > 0]
