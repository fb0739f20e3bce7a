"""The targets for each figure, initial and final. Missing one is not a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .peers import FLOOR, REFERENCE
from .summary import FIGURES, Figure, Summary
from .tables import NONE, number, table

Aim = Callable[[Summary, str], float | None]
"""The highest value that meets the mark, in the figure's unit; None when what it is relative to was not measured."""


@dataclass(frozen=True)
class Limit:
    """One mark, in words and as a number."""

    words: str
    of: Aim
    relative: bool = False


@dataclass(frozen=True)
class Mark:
    """The two marks of a figure."""

    key: str
    first: Limit
    goal: Limit


def _fixed(value: float, unit: str) -> Limit:
    return Limit(f"≤ {value:g} {unit}", lambda _summary, _key: value)


def _relative(words: str, peer: str, factor: float = 1, more: float = 0) -> Limit:
    def limit(summary: Summary, key: str) -> float | None:
        median = summary.median(key, peer)
        return None if median is None else factor * median + more

    return Limit(f"≤ {words}", limit, relative=True)


_GO = _relative("Go", REFERENCE)
_GROWTH = _fixed(1, "MB")
_NO_GROWTH = _fixed(0.1, "MB")

MARKS = (
    Mark("small", _GO, _relative("floor + 0.5 µs", FLOOR, more=0.5)),
    Mark("json", _relative("3 × Go", REFERENCE, 3), _GO),
    Mark("load", _fixed(3, "s"), _GO),
    Mark("memory", _fixed(160, "MB"), _GO),
    Mark("worker", _fixed(16, "MB"), _fixed(8, "MB")),
    Mark("module", _fixed(12, "MB"), _fixed(6, "MB")),
    Mark("first build", _fixed(15, "s"), _fixed(15, "s")),
    Mark("build", _fixed(2, "s"), _fixed(1, "s")),
    Mark("reload", _fixed(25, "ms"), _fixed(10, "ms")),
    Mark("growth", _GROWTH, _NO_GROWTH),
    Mark("json growth", _GROWTH, _NO_GROWTH),
)


def marks_table(summary: Summary) -> str:
    """Every mark, and whether this run met it."""
    figures = {figure.key: figure for figure in FIGURES}
    rows = []
    for mark in MARKS:
        figure, value = figures[mark.key], summary.median(mark.key)
        shown = NONE if value is None else f"{number(value, figure.form)} {figure.unit}"
        rows.append((figure.title, shown, *(_verdict(summary, figure, limit) for limit in (mark.first, mark.goal))))
    return table(("pwasm", "measured", "first mark", "goal"), rows)


def met(summary: Summary, key: str, limit: Limit) -> bool | None:
    """Whether the product meets a mark; None when that was not measured."""
    value, highest = summary.median(key), limit.of(summary, key)
    return None if value is None or highest is None else value <= highest


def _verdict(summary: Summary, figure: Figure, limit: Limit) -> str:
    words = {True: "met", False: "missed", None: "not measured"}[met(summary, figure.key, limit)]
    highest = limit.of(summary, figure.key)
    shown = f" = {number(highest, figure.form)}" if limit.relative and highest is not None else ""
    return f"{limit.words}{shown}: {words}"
