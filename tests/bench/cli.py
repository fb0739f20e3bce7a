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

from . import publish
from .chart import chart
from .machine import this_machine
from .marks import marks_table
from .measure import QUICK, Row, Settings, measure
from .peers import BASELINE, PEERS, Peer
from .report import report
from .scenarios import SCENARIOS
from .summary import Summary, short_table, spread_table, summarise

_PROGRAM = "tests/bench/run.py"


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; returns 1 if something failed to run. A missing tool is not a failure: the tables name it."""
    options = _options(arguments)
    if options.read is not None:
        return _show(options, publish.read(options.read))
    settings = QUICK if options.quick else Settings(rounds=options.rounds, seconds=options.seconds)
    machine = this_machine()
    print("# pwasm benchmark\n")
    print(f"Machine: {machine}  ")
    print(f"Command: {shlex.join(['python', _PROGRAM, *arguments])}  ")
    print(
        f"Load: wrk, 1 thread, {CONNECTIONS} connections, 1 Envoy worker; {settings.rounds} alternations of "
        f"{settings.seconds} s; {settings.starts} starts; {settings.idle_seconds} idle seconds\n",
        flush=True,
    )
    results: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory(prefix="pwasm-bench-") as scratch:
        for scenario in SCENARIOS:
            rows = measure(scenario, _chosen(options.only), settings, Path(scratch), _say)
            results[scenario.name] = rows
            versions = [f"{row.peer}: {row.prepared.version}" for row in rows if row.prepared.version]
            print(report(scenario.name, scenario.about, rows), "\nPeers: " + "; ".join(versions) + "\n", sep="\n")
    run = publish.Run(summarise(results), machine, settings)
    failed = any(row.failed for rows in results.values() for row in rows)
    if options.json is not None:
        raw = {
            **publish.as_json(run),
            "arguments": list(arguments),
            "scenarios": {name: [dataclasses.asdict(row) for row in rows] for name, rows in results.items()},
        }
        options.json.write_text(json.dumps(raw, indent=2, default=str) + "\n", encoding="utf-8")
    if failed and options.publish:
        _say("something failed, so nothing is published")
        options.publish = False
    return _show(options, run) or int(failed)


def _show(options: argparse.Namespace, run: publish.Run) -> int:
    """Print what the run comes to, and write what was asked for."""
    print(closing(run.summary))
    if options.chart is not None:
        options.chart.write_text(chart(run.summary, publish.subtitle(run)), encoding="utf-8")
    if options.publish:
        for file in publish.publish(run):
            _say(f"written: {file}")
    return 0


def _chosen(names: Sequence[str]) -> Sequence[Peer]:
    return [peer for peer in PEERS if not names or peer.name in (BASELINE, *names)]


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
    parser.add_argument("--publish", action="store_true", help="write the figures and the chart into the documents")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing, take what --json has written")
    names = [peer.name for peer in PEERS[1:]]
    parser.add_argument(
        "--only",
        action="append",
        choices=names,
        default=[],
        metavar="PEER",
        help=f"measure this one and no filter; may be repeated: {', '.join(names)}",
    )
    options = parser.parse_args(arguments)
    if options.publish and (options.quick or options.only):
        parser.error("--publish wants a whole run: leave --quick and --only out")
    return options


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a positive number")
    return value


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
