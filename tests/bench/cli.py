"""The command line: measure every scenario, print the tables and the marks, write the raw figures and the chart."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pwasm_compiler.bench.load import CONNECTIONS

from .chart import chart
from .machine import this_machine
from .marks import marks_table
from .measure import QUICK, Row, Settings, measure
from .peers import PEERS
from .report import report
from .scenarios import SCENARIOS
from .summary import Summary, short_table, spread_table, summarise

_PROGRAM = "tests/bench/run.py"


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; returns 1 if something failed to run. A missing tool is not a failure: the tables name it."""
    options = _options(arguments)
    settings = QUICK if options.quick else Settings(rounds=options.rounds, seconds=options.seconds)
    machine = this_machine()
    print("# pwasm benchmark\n")
    print(f"Machine: {machine}  ")
    print(f"Command: {shlex.join(['python', _PROGRAM, *arguments])}  ")
    print(
        f"Load: wrk, 1 thread, {CONNECTIONS} connections, 1 Envoy worker; {settings.rounds} alternations of "
        f"{settings.seconds} s; {settings.starts} starts\n",
        flush=True,
    )
    results: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory(prefix="pwasm-bench-") as scratch:
        for scenario in SCENARIOS:
            rows = measure(scenario, PEERS, settings, Path(scratch), _say)
            results[scenario.name] = rows
            versions = [f"{row.peer}: {row.prepared.version}" for row in rows if row.prepared.version]
            print(report(scenario.name, scenario.about, rows), "\nPeers: " + "; ".join(versions) + "\n", sep="\n")
    summary = summarise(results)
    print(closing(summary))
    if options.chart is not None:
        subtitle = f"{machine.cores} cores of {machine.processor}, Envoy {machine.envoy}, {machine.date}"
        options.chart.write_text(chart(summary, subtitle), encoding="utf-8")
    if options.json is not None:
        raw = {
            "machine": dataclasses.asdict(machine),
            "arguments": list(arguments),
            "settings": dataclasses.asdict(settings),
            "summary": summary.rounds,
            "scenarios": {name: [dataclasses.asdict(row) for row in rows] for name, rows in results.items()},
        }
        options.json.write_text(json.dumps(raw, indent=2, default=str) + "\n", encoding="utf-8")
    return int(any(row.failed for rows in results.values() for row in rows))


def closing(summary: Summary) -> str:
    """The summary of the run."""
    parts = (
        "## All peers",
        short_table(summary),
        "## pwasm, with the spread of its rounds",
        spread_table(summary),
        "## Marks",
        marks_table(summary),
    )
    return "\n\n".join(parts)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of everything: a test, not a measurement")
    parser.add_argument("--rounds", type=_positive, default=Settings.rounds, help="alternations (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=_positive, default=Settings.seconds, help="of load in each (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all raw figures there")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="write the chart there, as SVG")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a positive number")
    return value


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
