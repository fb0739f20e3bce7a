"""Streams whose filter does anything, in any order: nothing of it ends Envoy, traps a VM, or stops it from serving.

A failure is shrunk to few and small scripts that repeat it, which `python tests/soak/run.py --script FILE` runs again.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pwasm_compiler.envoy.process import EnvoyError

from .operations_corpus import CORPUS, RARE
from .operations_script import Script, made, simpler
from .operations_world import WORKERS, OperationsWorld, operations_world
from .outcome import Outcome

_THREADS = 48
_WAVE = 240
_TRIES = 48
"""How often a script is run that may have ended Envoy: whether a use after free does depends on the allocator."""
_WAVES = 2
"""How often a wave is repeated, to see whether it fails again."""
_LOG_SECONDS = 0.3
_SHRINKING_SECONDS = 600


def run(streams: int = 0, *, seconds: float = 0, seed: int | None = None, executable: Path | None = None) -> Outcome:
    """Run so many scripts, or for so long, or until one has failed; `seed` is that of the first (default: any)."""
    first = random.randrange(1_000_000) * 1_000_000 if seed is None else seed
    wanted = f"{streams} random streams" if streams else f"{seconds / 60:g} minutes of random streams"
    outcome = Outcome("operations", f"{wanted}, from seed {first}")
    end, count = time.monotonic() + seconds, 0
    why = known(executable)
    failed = [*CORPUS, *itertools.chain(*RARE)] if why else []
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


def replay(scripts: list[Script], executable: Path | None = None) -> Outcome:
    """Run a few scripts many times."""
    outcome = Outcome("scripts", json.dumps(scripts))
    with operations_world(executable) as world:
        why = _problem(world, scripts * _TRIES)
    outcome.require(not why, why)
    return outcome


def known(executable: Path | None, *, workers: int = WORKERS) -> str:
    """Run the scripts that once ended Envoy; what went wrong, or ""."""
    waves = [
        [script for script in CORPUS for _ in range(_TRIES // 4)],
        *(group * (_WAVE // len(group)) for group in RARE),
    ]
    with operations_world(executable, workers=workers) as world:
        return next((why for wave in waves if (why := _problem(world, wave))), "")


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
    """The scripts that it takes, as few and as small as can be."""
    end = time.monotonic() + _SHRINKING_SECONDS
    few = _fewer(scripts, executable, end)
    if len(few) == len(scripts) and not _repeats(few, executable):
        return f"not repeated; seeds {scripts[0].get('seed')} to {scripts[-1].get('seed')}"
    smaller: list[Script] | None = few
    while smaller is not None and time.monotonic() < end:
        few = smaller
        candidates = ([*few[:at], one, *few[at + 1 :]] for at, script in enumerate(few) for one in simpler(script))
        smaller = next((found for found in candidates if time.monotonic() < end and _repeats(found, executable)), None)
    return f"seeds {[script.get('seed') for script in few]}, smaller: {json.dumps(few)}"


def _fewer(scripts: list[Script], executable: Path | None, end: float) -> list[Script]:
    """Those without which it does not fail: halves, quarters, and so on are left out."""
    parts = 2
    while len(scripts) > 1 and time.monotonic() < end:
        size = -(-len(scripts) // parts)
        rests = [scripts[:at] + scripts[at + size :] for at in range(0, len(scripts), size)]
        found = next((rest for rest in rests if time.monotonic() < end and _repeats(rest, executable)), None)
        if found is not None:
            scripts, parts = found, max(parts - 1, 2)
        elif size == 1:
            break
        else:
            parts = min(2 * parts, len(scripts))
    return scripts


def _repeats(scripts: list[Script], executable: Path | None) -> bool:
    """Whether the scripts fail together; few are run often."""
    waves = scripts * max(1, _WAVE // len(scripts))
    with operations_world(executable) as world:
        return any(_problem(world, waves) for _ in range(_WAVES))
