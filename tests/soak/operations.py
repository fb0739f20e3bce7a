"""Streams whose filter does anything, in any order: nothing of it ends Envoy, traps a VM, or stops it from serving.

A failure is shrunk to a script that repeats it, which `python tests/soak/run.py --script FILE` runs again.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pwasm_compiler.envoy.process import EnvoyError

from .operations_corpus import CORPUS
from .operations_script import Script, made, simpler
from .operations_world import OperationsWorld, operations_world
from .outcome import Outcome

_THREADS = 48
_WAVE = 240
_TRIES = 48
"""How often a script is run that may have ended Envoy: whether a use after free does depends on the allocator."""
_LOG_SECONDS = 0.3
_SHRINKING_SECONDS = 600


def run(streams: int = 0, *, seconds: float = 0, seed: int | None = None, executable: Path | None = None) -> Outcome:
    """Run so many scripts, or for so long, or until one has failed; `seed` is that of the first (default: any)."""
    first = random.randrange(1_000_000) * 1_000_000 if seed is None else seed
    wanted = f"{streams} random streams" if streams else f"{seconds / 60:g} minutes of random streams"
    outcome = Outcome("operations", f"{wanted}, from seed {first}")
    end, count = time.monotonic() + seconds, 0
    failed, why = _corpus(executable)
    if not failed:
        with operations_world(executable) as world:
            while not failed and (count < streams if streams else time.monotonic() < end):
                size = min(_WAVE, streams - count) if streams else _WAVE
                scripts = [made(first + count + number) for number in range(size)]
                count += size
                why = _problem(world, scripts)
                failed = scripts if why else []
    outcome.figure("streams", count)
    outcome.figure("last seed", first + count - 1)
    if failed:
        outcome.problems.append(f"{why}\n    {_smallest(failed, executable)}")
    return outcome


def replay(script: Script, executable: Path | None = None) -> Outcome:
    """Run one script many times."""
    outcome = Outcome("script", json.dumps(script))
    why = _fails([script] * _TRIES, executable)
    outcome.require(not why, why)
    return outcome


def _corpus(executable: Path | None) -> tuple[list[Script], str]:
    """The scripts that once ended Envoy; those among which one does, and why."""
    scripts = [script for script in CORPUS for _ in range(_TRIES // 4)]
    why = _fails(scripts, executable)
    return (list(CORPUS), why) if why else ([], "")


def _fails(scripts: Sequence[Script], executable: Path | None) -> str:
    with operations_world(executable) as world:
        return _problem(world, scripts)


def _problem(world: OperationsWorld, scripts: Iterable[Script]) -> str:
    """Run scripts at once; what went wrong, or ""."""
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(world.run, scripts))
    time.sleep(_LOG_SECONDS)
    try:
        world.envoy.check_alive()
        if not world.asks():
            return "the filter no longer serves"
        world.envoy.check_alive()
    except (EnvoyError, OSError) as error:
        return str(error).partition("\n")[0]
    return world.problems.pop() if world.problems else ""


def _smallest(scripts: list[Script], executable: Path | None) -> str:
    """Which of the scripts it was, as small as it can be made."""
    guilty = _guilty(scripts, executable)
    if guilty is None:
        return f"not repeated; seeds {scripts[0].get('seed')} to {scripts[-1].get('seed')}"
    end = time.monotonic() + _SHRINKING_SECONDS
    smaller: Script | None = guilty
    while smaller is not None and time.monotonic() < end:
        guilty = smaller
        smaller = _guilty(list(simpler(guilty)), executable, end)
    return f"seed {guilty.get('seed')}, smaller: {json.dumps(guilty)}"


def _guilty(scripts: list[Script], executable: Path | None, end: float = float("inf")) -> Script | None:
    """The first of the scripts that fails alone."""
    with operations_world(executable) as world:
        for script in scripts:
            if time.monotonic() > end:
                return None
            if _problem(world, [script] * _TRIES):
                return script
    return None
