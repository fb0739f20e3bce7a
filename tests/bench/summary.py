"""What the whole run comes to: one figure per peer in each row of the table that the project is measured against.

From here come the short table, the chart and the marks.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pwasm_compiler.bench.figures import ratios, spread

from . import report
from .measure import OLDER, Row
from .peers import BASELINE, FLOOR, OPTIMISED, PEERS, PRODUCT, REFERENCE
from .scenarios import DETAILED
from .tables import number, table, with_range

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
_ADDED, _WHOLE = report.added_against_previous, report.request_against_previous
FIGURES = (
    Figure("small", _SMALL, "µs", ".1f", "headers", report.added_time),
    Figure("json", "added to a request: 10 reads, 3 writes, 2 kB of JSON", "µs", ".0f", _JSON, report.added_time),
    Figure("small before", "added to the small request, as before = 1", "×", ".3f", "headers", _ADDED),
    Figure("json before", "added to the JSON request, as before = 1", "×", ".3f", _JSON, _ADDED),
    Figure("small whole", "the whole small request, as before = 1", "×", ".3f", "headers", _WHOLE),
    Figure("json whole", "the whole JSON request, as before = 1", "×", ".3f", _JSON, _WHOLE),
    Figure("load", "load into Envoy", "s", ".2f", "headers", report.added_start),
    Figure("cpu", "processor time until Envoy is ready", "s", ".2f", "headers", report.start_cpu),
    Figure("older cpu", f"processor time until Envoy {OLDER} is ready", "s", ".2f", DETAILED, report.older_cpu),
    Figure("code", "machine code", "MB", ".1f", "headers", report.start_code),
    Figure("older code", f"machine code, Envoy {OLDER}", "MB", ".1f", DETAILED, report.older_code),
    Figure("memory", "memory added, 1 worker", "MB", ".0f", "headers", report.added_memory),
    Figure("idle", "memory added, after idling", "MB", ".0f", DETAILED, report.added_idle),
    Figure("released", "memory added, memory_allocator_manager", "MB", ".0f", DETAILED, report.added_released),
    Figure("idle envoy", "memory of Envoy, after idling", "MB", ".0f", DETAILED, _of_rows(report.idle_memory)),
    Figure("released envoy", "with memory_allocator_manager", "MB", ".0f", DETAILED, _of_rows(report.released_memory)),
    Figure("worker", "memory added, each further worker", "MB", ".1f", "headers", report.added_memory_per_worker),
    Figure("module", "module", "MB", ".1f", "headers", _of_rows(_module)),
    Figure("first build", "first build, empty caches", "s", ".1f", "headers", _of_rows(_first_build)),
    Figure("build", "build after an edit", "s", ".2f", "headers", _of_rows(_next_builds)),
    Figure("dependency", "build after a new dependency", "s", ".2f", "headers", _of_rows(_dependency)),
    Figure("reload", "new VM after a trap", "ms", ".1f", DETAILED, _of_rows(lambda row: row.reloads)),
    Figure("growth", "memory grown under the load, small filter", "MB", ".1f", "headers", _of_rows(_growth)),
    Figure("json growth", "memory grown under the load, JSON", "MB", ".1f", _JSON, _of_rows(_growth)),
)

SHORT = ("small", "json", "load", "cpu", "older cpu", "code", "idle", "worker", "module", "reload")
"""What the table of docs/performance.md and the chart show."""
README = ("small", "json", "load", "cpu", "code", "idle", "module")
"""And the table of README.md, of these peers."""
README_PEERS = (PRODUCT, REFERENCE, OPTIMISED)
ALLOCATOR = ("idle envoy", "released envoy")
"""What memory_allocator_manager changes: of the whole Envoy, also of one without a filter."""
NOTE = (
    "Go is as `go build` makes it; optimised, after `pwasm optimize`. pwasm before is pwasm at the first commit of "
    "this round of work. The floor parses no JSON. ext_proc is Envoy and a Python process: its memory is that of both, "
    "and its processor time Envoy's. The last column is the median of the ratios, round by round."
)


@dataclass(frozen=True)
class Summary:
    """The rounds of each peer, by the key of the figure; a peer that has no such figure is missing there."""

    rounds: Mapping[str, report.Figures]
    problems: Mapping[str, str]
    """Peers that have no figure at all, and why."""
    loops: Sequence[float] = ()
    """How long the same loop took before each round of load, in milliseconds."""

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
    measured = {peer for figures in rounds.values() for peer in figures}
    problems = {
        row.peer: next(iter(row.problems.values()))
        for rows in results.values()
        for row in rows
        if row.problems and row.peer not in measured
    }
    return Summary(rounds, problems, [loop for rows in results.values() for loop in report.loops(rows)])


def peers_of(summary: Summary) -> list[str]:
    """Those with any figure, in their order, the product last."""
    names = [peer.name for peer in PEERS if peer.name != BASELINE]
    return [name for name in names if any(name in figures for figures in summary.rounds.values())]


def short_table(summary: Summary) -> str:
    """The table of docs/performance.md: one column per peer, and the ratio to Go."""
    lines = [f"{peer}: {why}." for peer, why in summary.problems.items()]
    return "\n\n".join([figure_table(summary, SHORT, peers_of(summary), ratio=True), *lines, NOTE])


def figure_table(summary: Summary, keys: Sequence[str], peers: Sequence[str], *, ratio: bool = False) -> str:
    """Medians: a row for each figure that anyone has, a column for each peer."""
    rows = []
    for figure in (figure for key in keys for figure in FIGURES if figure.key == key):
        medians = [summary.median(figure.key, peer) for peer in peers]
        if any(value is not None for value in medians):
            vs_go = [number(summary.ratio(figure.key, PRODUCT), ".2f")] if ratio else []
            rows.append((f"{figure.title}, {figure.unit}", *(number(value, figure.form) for value in medians), *vs_go))
    names = [f"**{peer}**" if peer == PRODUCT else peer for peer in peers]
    return table(("", *names, *([f"{PRODUCT} ÷ Go"] if ratio else [])), rows)


def spread_table(summary: Summary) -> str:
    """The figures of the product with their spread, and the ratios to Go and to the floor."""
    rows = []
    for figure in FIGURES:
        values = summary.rounds[figure.key].get(PRODUCT, [])
        floor = summary.ratio(figure.key, PRODUCT, FLOOR) if figure.key in _HAVE_A_FLOOR else None
        cells = [number(value, ".2f") for value in (summary.ratio(figure.key, PRODUCT), floor)]
        rows.append((f"{figure.title}, {figure.unit}", with_range(spread(values), figure.form), *cells))
    return table(("pwasm", "median (lowest … highest)", "vs Go", "vs floor"), rows)
