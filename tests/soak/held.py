"""Random streams through a filter that holds bodies, in every chain: nothing passes unseen, and nothing is lost.

What must hold, whatever is decided and in whatever order things happen: each byte that upstream (for a response: the
client) gets has been turned over once, is in its place, and came after the filter had let it pass; and all of them come
in the end.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .held_script import MESSAGES, Script, body, made, simpler, turned
from .held_world import SECONDS, Exchange, HeldWorld, held_world
from .outcome import Outcome

_THREADS = 48
_WAVE = 240
"""How many scripts are run before their streams are looked at."""
_FAILURES = 5
"""After so many a run ends."""
_TRIES = 16
"""How often a script is run that failed once."""
_OFTEN = 4
"""How often of these one must fail to count as the same failure."""
_TRAILERS = b"a request with trailers cannot be held after its headers have left"
_LOG_SECONDS = 0.5
"""How long the filter's log may take to this process."""


def run(streams: int, *, seed: int | None = None, executable: Path | None = None) -> Outcome:
    """Run so many scripts, or until a few have failed; `seed` is that of the first (default: any)."""
    first = random.randrange(1_000_000) * 1_000_000 if seed is None else seed
    outcome = Outcome("held", f"{streams} random streams, from seed {first}")
    statuses: Counter[str] = Counter()
    count = 0
    with held_world(executable) as world:
        while count < streams and len(outcome.problems) < _FAILURES:
            scripts = [made(first + count + number) for number in range(min(_WAVE, streams - count))]
            count += len(scripts)
            for script, why in tried(world, scripts, statuses)[:_FAILURES]:
                smallest = json.dumps(smaller(world, script))
                outcome.problems.append(f"seed {script['seed']}: {why}\n    smaller: {smallest}")
        world.envoy.check_alive()
        outcome.figure("streams", count)
        outcome.figure("statuses", ", ".join(f"{number} × {status}" for status, number in sorted(statuses.items())))
        outcome.problems += world.problems[:_FAILURES]
    return outcome


def tried(world: HeldWorld, scripts: list[Script], statuses: Counter[str]) -> list[tuple[Script, str]]:
    """Run scripts at once; those that failed, and why."""
    with ThreadPoolExecutor(_THREADS) as pool:
        exchanges = list(pool.map(world.run, scripts))
    time.sleep(_LOG_SECONDS)
    statuses.update(str(exchange.response.status) for exchange in exchanges)
    found = [(exchange.script, "; ".join(wrong(exchange))) for exchange in exchanges]
    return [(script, why) for script, why in found if why]


def smaller(world: HeldWorld, script: Script) -> Script:
    """A smaller script that still fails, or this one if it fails rarely."""
    while True:
        for candidate in simpler(script):
            if len(tried(world, [candidate] * _TRIES, Counter())) >= _OFTEN:
                script = candidate
                break
        else:
            return script


def wrong(exchange: Exchange) -> list[str]:
    """What was not as it must be."""
    found = []
    script = exchange.script
    for message in MESSAGES:
        received = exchange.request if message == "request" else exchange.response
        if message == "response" and received.status != 200:
            break
        whole = turned(body(script, message))
        if not whole.startswith(received.body):
            found.append(f"{message}: {_difference(received.body, whole)}")
        elif early := _too_early(exchange, message):
            found.append(f"{message}: {early}")
    status = exchange.response.status
    if status == 500 and _may_be_refused(exchange):
        pass
    elif status != 200:
        found.append(f"status {status}" if status else f"no response within {SECONDS:g} s, or none at all")
    elif not found:
        found += [text for text in _missing(exchange) if not _known(exchange, text)]
    found += [f"{message}: {' '.join(rest)}" for kind, message, *rest in exchange.log if kind == "E"]
    if found:
        found.append("log: " + ", ".join(" ".join(part) for part in exchange.log[:20]))
    return found


def _difference(got: bytes, whole: bytes) -> str:
    at = next((at for at, (one, other) in enumerate(zip(got, whole, strict=False)) if one != other), len(whole))
    return (
        f"{len(got)} bytes, not as they must be from {at} on: {got[at : at + 20].hex()} for {whole[at : at + 20].hex()}"
    )


def _too_early(exchange: Exchange, message: str) -> str:
    """Whether something came before the filter let it pass."""
    passed = [(int(part[3].split()[0]), int(part[2])) for part in exchange.log if part[:2] == ["P", message]]
    received = exchange.request if message == "request" else exchange.response
    for when, size in received.times:
        if max((most for at, most in passed if at <= when), default=0) < size:
            return f"{size} bytes came before they had been let pass"
    return ""


def _may_be_refused(exchange: Exchange) -> bool:
    """A request whose trailers came while the filter held its body, after the headers had left."""
    told = exchange.script["request"]
    waits = told.get("awaits") or told.get("headers") or any(kind != "c" for kind, _ in told["decisions"])
    return bool(waits) and told["framing"] == "trailers" and exchange.response.body.startswith(_TRAILERS)


def _known(exchange: Exchange, text: str) -> bool:
    """What draining cannot hold: the end, which another filter releases while a coroutine waits with the bytes.

    The trailers of a request do not wait, see `_may_be_refused`.
    """
    chain, mode, kind = exchange.script["listener"].split("|")
    message = text.partition(":")[0]
    told = exchange.script[message]
    held = (mode, kind) == ("headers", "whole") or (message == "request" and told["framing"] == "trailers")
    return chain != "alone" and not held and told.get("awaits", False)


def _missing(exchange: Exchange) -> list[str]:
    found = []
    for message in MESSAGES:
        received = exchange.request if message == "request" else exchange.response
        size = sum(exchange.script[message]["sizes"])
        if not received.complete or len(received.body) != size:
            found.append(f"{message}: {len(received.body)} of {size} bytes, complete: {received.complete}")
        elif received.trailers != (exchange.script[message]["framing"] == "trailers" and bool(size)):
            found.append(f"{message}: trailers: {received.trailers}")
    return found
