"""The figures of one run in the documents: each stands between two marks, so that no figure is ever copied by hand."""

from __future__ import annotations

import dataclasses
import json
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .chart import chart
from .machine import Machine
from .marks import marks_table
from .measure import Settings
from .peers import BASELINE
from .problems import BenchError
from .report import steadiness
from .summary import ALLOCATOR, README, README_PEERS, Summary, figure_table, peers_of, short_table, spread_table

ROOT = Path(__file__).parents[2]
CHART = Path("tests/bench/chart.svg")
_WIDTH = 120


@dataclass(frozen=True)
class Run:
    """What the documents say of a run."""

    summary: Summary
    machine: Machine
    settings: Settings


def _readme(run: Run) -> str:
    return f"{_where(run)}:\n\n{figure_table(run.summary, README, README_PEERS)}"


def _all(run: Run) -> str:
    settings = run.settings
    return "\n\n".join(
        (
            f"{_where(run)}, {settings.starts} starts, idle for {settings.idle_seconds} s. "
            f"{steadiness(run.summary.loops)}",
            short_table(run.summary),
            "pwasm with the spread of its rounds:",
            spread_table(run.summary),
            "What pwasm is measured against:",
            marks_table(run.summary),
        )
    )


def _allocator(run: Run) -> str:
    peers = [BASELINE, *(peer for peer in peers_of(run.summary) if run.summary.median(ALLOCATOR[0], peer) is not None)]
    return figure_table(run.summary, ALLOCATOR, peers)


def _where(run: Run) -> str:
    machine, date = run.machine, run.machine.date.partition(" ")[0]
    where = f"{machine.cores} cores of {machine.processor}, Envoy {machine.envoy}"
    return f"On {where}, {date}, {run.settings.rounds} rounds"


BLOCKS: Mapping[tuple[str, str], Callable[[Run], str]] = {
    ("README.md", "figures"): _readme,
    ("docs/performance.md", "all"): _all,
    ("docs/performance.md", "allocator"): _allocator,
}
"""In which file, under which name → what stands there."""


def publish(run: Run, root: Path = ROOT) -> list[Path]:
    """Replace every block and the chart; returns the files. Nothing is written when a block is missing."""
    texts: dict[Path, str] = {}
    for (name, block), content in BLOCKS.items():
        file = root / name
        text = texts.get(file) or file.read_text(encoding="utf-8")
        texts[file] = replaced(text, name, block, _wrapped(content(run)))
    texts[root / CHART] = chart(run.summary, subtitle(run))
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
    return list(texts)


def replaced(text: str, name: str, block: str, content: str) -> str:
    """The page with other content in one block."""
    begin, end = f"<!-- make bench: {block} -->\n", "\n<!-- make bench: end -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise BenchError(f"{name} has no block {begin.strip()} … {end.strip()}")
    return pattern.sub(lambda _: f"{begin}{content}{end}", text)


def _wrapped(text: str) -> str:
    """With lines as long as those of the documents; a table stays as it is."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(part if part.startswith("|") else textwrap.fill(part, _WIDTH) for part in paragraphs)


def subtitle(run: Run) -> str:
    """Where and when, for the chart."""
    machine = run.machine
    return f"{machine.cores} cores of {machine.processor}, Envoy {machine.envoy}, {machine.date}"


def as_json(run: Run) -> dict[str, Any]:
    """What `read` reads."""
    summary = run.summary
    return {
        "machine": dataclasses.asdict(run.machine),
        "settings": dataclasses.asdict(run.settings),
        "summary": summary.rounds,
        "problems": summary.problems,
        "loops": summary.loops,
    }


def read(file: Path) -> Run:
    """The run whose figures are in a file."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        summary = Summary(raw["summary"], raw["problems"], raw["loops"])
        return Run(summary, Machine(**raw["machine"]), Settings(**raw["settings"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{file} holds no figures of this benchmark: {error}") from error
