"""What the whole run comes to: one figure per peer in each row of the table that the project is measured against.

From here come the short table, the chart and the marks.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pwasm_compiler.bench.figures import ratios, spread

from . import report
from .measure import Row
from .peers import BASELINE, FLOOR, PEERS, PRODUCT, REFERENCE
from .scenarios import RELOADED
from .tables import NONE, number, table, with_range

Results = Mapping[str, Sequence[Row]]
"""The rows of each scenario."""
_MB = 1e6
_JSON = "json"
_HAVE_A_FLOOR = ("small", "json", "reload")
"""Figures of which any filter's least is known."""


@dataclass(frozen=True)
class Figure:
    """One row of the table: what is measured, in which scenario, and how its number is written."""

    key: str
    title: str
    unit: str
    form: str
    scenario: str
    values: Callable[[Sequence[Row]], report.Figures]


def _of_rows(values: Callable[[Row], Sequence[float]]) -> Callable[[Sequence[Row]], report.Figures]:
    def figures(rows: Sequence[Row]) -> report.Figures:
        return {row.peer: found for row in rows if (found := list(values(row)))}

    return figures


def _module(row: Row) -> list[float]:
    return [] if row.module_bytes is None else [row.module_bytes / _MB]


def _first_build(row: Row) -> list[float]:
    return [row.prepared.build.first] if row.prepared.build else []


def _next_builds(row: Row) -> Sequence[float]:
    return row.prepared.build.next if row.prepared.build else ()


def _dependency(row: Row) -> list[float]:
    build = row.prepared.build
    return [build.dependency] if build and build.dependency is not None else []


def _growth(row: Row) -> list[float]:
    return [] if row.growth is None else [row.growth.rss_bytes / _MB]


_SMALL = "added to a request: two callbacks, one log call, one header"
FIGURES = (
    Figure("small", _SMALL, "µs", ".1f", "headers", report.added_time),
    Figure("json", "added to a request: 10 reads, 3 writes, 2 kB of JSON", "µs", ".0f", _JSON, report.added_time),
    Figure("load", "load into Envoy", "s", ".2f", "headers", report.added_start),
    Figure("memory", "memory added, 1 worker", "MB", ".0f", "headers", report.added_memory),
    Figure("worker", "memory added, each further worker", "MB", ".1f", "headers", report.added_memory_per_worker),
    Figure("module", "module", "MB", ".1f", "headers", _of_rows(_module)),
    Figure("first build", "first build, empty caches", "s", ".1f", "headers", _of_rows(_first_build)),
    Figure("build", "build after an edit", "s", ".2f", "headers", _of_rows(_next_builds)),
    Figure("dependency", "build after a new dependency", "s", ".2f", "headers", _of_rows(_dependency)),
    Figure("reload", "new VM after a trap", "ms", ".1f", RELOADED, _of_rows(lambda row: row.reloads)),
    Figure("growth", "memory grown under the load, small filter", "MB", ".1f", "headers", _of_rows(_growth)),
    Figure("json growth", "memory grown under the load, JSON", "MB", ".1f", _JSON, _of_rows(_growth)),
)

SHORT = ("small", "json", "load", "memory", "worker", "module", "reload")
"""What the table of docs/performance.md and the chart show."""
NOTE = (
    "The floor parses no JSON. ext_proc is Envoy and a Python process, so its memory is that of both. "
    "In parentheses: the ratio to Go, round by round."
)


@dataclass(frozen=True)
class Summary:
    """The rounds of each peer, by the key of the figure; a peer that has no such figure is missing there."""

    rounds: Mapping[str, report.Figures]
    problems: Mapping[str, str]
    """Peers that have no figure at all, and why."""

    def median(self, key: str, peer: str = PRODUCT) -> float | None:
        """The median of a peer's rounds, or None."""
        values = self.rounds[key].get(peer)
        return statistics.median(values) if values else None

    def ratio(self, key: str, peer: str, reference: str = REFERENCE) -> float | None:
        """The median of the ratios of the rounds, where the rounds are paired, else the ratio of the medians."""
        values, others = self.rounds[key].get(peer), self.rounds[key].get(reference)
        if not values or not others:
            return None
        if len(values) == len(others):
            found = ratios(values, others)
            return statistics.median(found) if found else None
        below = statistics.median(others)
        return statistics.median(values) / below if below > 0 else None


def summarise(results: Results) -> Summary:
    """The figures of a run."""
    rounds = {figure.key: figure.values(results.get(figure.scenario, ())) for figure in FIGURES}
    for figures in rounds.values():
        figures.pop(BASELINE, None)
    measured = {peer for figures in rounds.values() for peer in figures}
    problems = {
        row.peer: next(iter(row.problems.values()))
        for rows in results.values()
        for row in rows
        if row.problems and row.peer not in measured
    }
    return Summary(rounds, problems)


def peers_of(summary: Summary) -> list[str]:
    """Those with any figure, in their order, the product last."""
    names = [peer.name for peer in PEERS if peer.name != BASELINE]
    return [name for name in names if any(name in figures for figures in summary.rounds.values())]


def short_table(summary: Summary) -> str:
    """The table of docs/performance.md: one row per peer."""
    figures = [figure for figure in FIGURES if figure.key in SHORT]
    rows: list[tuple[str, ...]] = [
        (f"**{peer}**" if peer == PRODUCT else peer, *(_cell(summary, figure, peer) for figure in figures))
        for peer in peers_of(summary)
    ]
    rows += [(peer, why) for peer, why in summary.problems.items()]
    return table(("filter", *(f"{figure.title}, {figure.unit}" for figure in figures)), rows) + "\n\n" + NOTE


def spread_table(summary: Summary) -> str:
    """The figures of the product with their spread, and the ratios to Go and to the floor."""
    rows = []
    for figure in FIGURES:
        values = summary.rounds[figure.key].get(PRODUCT, [])
        floor = summary.ratio(figure.key, PRODUCT, FLOOR) if figure.key in _HAVE_A_FLOOR else None
        cells = [number(value, ".2f") for value in (summary.ratio(figure.key, PRODUCT), floor)]
        rows.append((f"{figure.title}, {figure.unit}", with_range(spread(values), figure.form), *cells))
    return table(("pwasm", "median (lowest … highest)", "vs Go", "vs floor"), rows)


def _cell(summary: Summary, figure: Figure, peer: str) -> str:
    value = summary.median(figure.key, peer)
    if value is None:
        return NONE
    ratio = summary.ratio(figure.key, peer) if peer == PRODUCT else None
    return number(value, figure.form) + ("" if ratio is None else f" ({ratio:.1f} × Go)")
