"""The command line: run the requested parts and print the findings; returns 1 if a run failed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pwasm_compiler.envoy import programs

from . import bodies, callouts, headers, held, host, operations, packages, towers, traps, updates
from .outcome import Outcome

_PROGRAM = "tests/soak/run.py"
LONG: Mapping[str, Callable[[], Outcome]] = {
    "headers": lambda: headers.run(1800),
    "callouts": lambda: callouts.run(600),
    "bodies": lambda: bodies.run(20),
    "held": lambda: held.run(100_000),
    "operations": lambda: operations.run(seconds=600),
    "packages": lambda: packages.run(500),
    "towers": towers.run,
    "traps": lambda: traps.run(1000),
    "updates": lambda: updates.run(500),
    "wasmtime": lambda: host.run(100_000),
}
"""What `make soak` runs: more than an hour."""
SHORT: Mapping[str, Callable[[], Outcome]] = {
    "headers": lambda: headers.run(15, maximum_seconds=2),
    "callouts": lambda: callouts.run(5),
    "bodies": lambda: bodies.run(8),
    "held": lambda: held.run(1000, seed=1),
    "operations": lambda: operations.run(2400, seed=1),
    "packages": lambda: packages.run(50, seed=20_261_130),
    "towers": lambda: towers.run(step=100),
    "traps": lambda: traps.run(50),
    "updates": lambda: updates.run(20),
    "wasmtime": lambda: host.run(2_000),
}
"""What `make test` runs: about a minute."""


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = _options(arguments)
    runs = dict(SHORT if options.short else LONG)
    if options.minutes or options.rate:
        seconds = 60 * (options.minutes or 30)
        runs["headers"] = lambda: headers.run(seconds, rate=options.rate)
        runs["operations"] = lambda: operations.run(seconds=seconds, seed=options.seed, executable=options.envoy)
    if options.script is not None:
        scripts = json.loads(options.script.read_text(encoding="utf-8"))
        runs = {"operations": lambda: operations.replay(scripts, options.envoy)}
    texts = [f"Command: {shlex.join(['python', _PROGRAM, *arguments])}\nMachine: {_machine()}\n"]
    print(texts[0], flush=True)
    failed = False
    for name in options.only or runs:
        outcome = runs[name]()
        failed = failed or bool(outcome.problems)
        texts.append(outcome.text() + "\n")
        print(texts[-1], flush=True)
    if options.output is not None:
        options.output.write_text("\n".join(texts), encoding="utf-8")
    return int(failed)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description=__doc__)
    parser.add_argument("--only", action="append", choices=list(LONG), help="this run; may be repeated (default: all)")
    parser.add_argument("--short", action="store_true", help="the short form that the tests run")
    parser.add_argument("--minutes", type=float, help="of the runs `headers` (default: 30) and `operations` (10)")
    parser.add_argument("--seed", type=int, help="the first of `operations` (default: any)")
    parser.add_argument(
        "--script", type=Path, metavar="FILE", help="run only these scripts of `operations`, many times"
    )
    parser.add_argument("--envoy", type=Path, metavar="PROGRAM", help="the Envoy of `operations` (default: the newest)")
    parser.add_argument("--rate", type=float, help="requests per second of it (default: 60 %% of the most reached)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write what is printed there as well")
    return parser.parse_args(arguments)


def _machine() -> str:
    envoy = programs.envoy()
    return (
        f"{os.cpu_count()} × {platform.machine()}, Python {platform.python_version()}, Envoy {envoy and envoy.version}"
    )
