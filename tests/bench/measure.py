"""The order of a run: build all peers, start each alone, then keep all Envoys running and alternate the load.

Alternation (A B C D, A B C D, …) makes drift of the machine hit all peers alike. Only one Envoy is under load at a
time; an idle Envoy uses no processor time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pwasm_compiler.bench.load import find_wrk, run_wrk
from pwasm_compiler.bench.report import Callback as CallbackTime
from pwasm_compiler.envoy.process import Envoy, EnvoyError, EnvoyNotFoundError
from pwasm_compiler.errors import PwasmError

from .peers import BASELINE, Peer, Prepared, Workplace
from .problems import BenchError, NotMeasuredError
from .scenarios import RELOADED, Scenario
from .servers import (
    Start,
    check_answer,
    envoy_for,
    loop_milliseconds,
    measure_callbacks,
    measure_reload,
    measure_start,
    resident_bytes,
    used_seconds,
)

TOPICS = ("build", "start", "reload", "load", "callbacks")
_ALONE = ("reload", "callbacks")
"""What says nothing of the rest when it fails."""
MORE_WORKERS = 3


@dataclass(frozen=True)
class Settings:
    """How much is measured. Many short rounds: the two of a pair then see the same machine more often."""

    rounds: int = 15
    seconds: int = 1
    warm_up_seconds: int = 2
    starts: int = 3
    next_builds: int = 3
    traps: int = 20


QUICK = Settings(rounds=1, seconds=1, warm_up_seconds=1, starts=1, next_builds=1, traps=3)


@dataclass(frozen=True)
class Sample:
    """One peer in one round; latencies and Envoy's processor time per request in microseconds.

    `loop` is how many milliseconds a fixed loop took just before, which shows the speed of the processor.
    """

    requests_per_second: float
    p50: float
    p99: float
    cpu: float
    loop: float


@dataclass(frozen=True)
class Growth:
    """Resident memory after all rounds above that after the warm-up, and how many requests were served between."""

    requests: int
    rss_bytes: int


@dataclass
class Row:
    """All that was measured of one peer in one scenario; `problems` says for a topic why it has no figures."""

    peer: str
    prepared: Prepared = field(default_factory=Prepared)
    module_bytes: int | None = None
    starts: list[Start] = field(default_factory=list)
    more_workers: list[Start] = field(default_factory=list)
    reloads: list[float] = field(default_factory=list)
    """Milliseconds."""
    samples: list[Sample] = field(default_factory=list)
    growth: Growth | None = None
    callbacks: tuple[CallbackTime, ...] = ()
    problems: dict[str, str] = field(default_factory=dict)
    failed: bool = False

    def measured(self, topic: str) -> bool:
        """Whether this topic has figures."""
        return topic not in self.problems

    @contextlib.contextmanager
    def attempt(self, topic: str, say: Callable[[str], None]) -> Iterator[None]:
        """Record a failure of the block under `topic` and dependent topics, and continue with the other peers."""
        try:
            yield
        except (BenchError, EnvoyError, PwasmError, OSError, ValueError) as error:
            problem = _problem(error)
            self.failed = self.failed or not isinstance(problem, NotMeasuredError)
            for later in _follow(topic):
                self.problems.setdefault(later, str(problem))
            say(f"{self.peer}: {problem}")


def _follow(topic: str) -> Sequence[str]:
    """Topics that cannot be measured as a consequence."""
    return (topic,) if topic in _ALONE else TOPICS[TOPICS.index(topic) :]


def measure(
    scenario: Scenario, peers: Sequence[Peer], settings: Settings, scratch: Path, say: Callable[[str], None]
) -> list[Row]:
    """Measure `peers`, the first of which is the baseline, in one scenario."""
    with contextlib.ExitStack() as running:
        rows = [_prepare(peer, scenario, settings, scratch, running, say) for peer in peers]
        for number in range(settings.starts):
            for row in rows:
                with row.attempt("start", say):
                    _start(row, scenario, say, f"start {number + 1} of {settings.starts}")
        for row in rows:
            with row.attempt("reload", say):
                _reload(row, scenario, settings, say)
        _load(rows, scenario, settings, say)
        for row in rows:
            with row.attempt("callbacks", say):
                _callbacks(row, scenario, settings, say)
    _require_the_baseline(rows)
    return rows


def _prepare(
    peer: Peer,
    scenario: Scenario,
    settings: Settings,
    scratch: Path,
    running: contextlib.ExitStack,
    say: Callable[[str], None],
) -> Row:
    row = Row(peer.name)
    folder = scratch / f"{scenario.name}-{peer.name}".replace(" ", "-")
    folder.mkdir()
    with row.attempt("build", say):
        say(f"{scenario.name}: {peer.name}: preparing")
        row.prepared = peer.prepare(scenario, Workplace(folder, settings.next_builds, running))
        row.module_bytes = row.prepared.module.stat().st_size if row.prepared.module else None
    return row


def _start(row: Row, scenario: Scenario, say: Callable[[str], None], what: str) -> None:
    if not row.measured("start"):
        return
    say(f"{scenario.name}: {row.peer}: {what}")
    row.starts.append(measure_start(row.prepared, scenario))
    row.more_workers.append(measure_start(row.prepared, scenario, MORE_WORKERS))


def _reload(row: Row, scenario: Scenario, settings: Settings, say: Callable[[str], None]) -> None:
    if row.measured("reload") and row.prepared.module is not None and scenario.name == RELOADED:
        say(f"{scenario.name}: {row.peer}: {settings.traps} traps")
        row.reloads += measure_reload(row.prepared.module, scenario, settings.traps)


def _callbacks(row: Row, scenario: Scenario, settings: Settings, say: Callable[[str], None]) -> None:
    if row.measured("callbacks") and row.prepared.module is not None:
        say(f"{scenario.name}: {row.peer}: callbacks")
        row.callbacks = measure_callbacks(row.prepared.module, scenario, settings.warm_up_seconds)


def _load(rows: Sequence[Row], scenario: Scenario, settings: Settings, say: Callable[[str], None]) -> None:
    with contextlib.ExitStack() as running:
        envoys: dict[str, Envoy] = {}
        weights: dict[str, int] = {}
        for row in rows:
            with row.attempt("load", say):
                if row.measured("load"):
                    if find_wrk() is None:
                        raise NotMeasuredError("wrk is not installed")
                    envoys[row.peer] = running.enter_context(envoy_for(row.prepared))
                    _sample(envoys[row.peer], row, scenario, settings.warm_up_seconds)
                    weights[row.peer] = resident_bytes(envoys[row.peer], row.prepared)
        requests = dict.fromkeys(envoys, 0)
        for number in range(settings.rounds):
            say(f"{scenario.name}: load, round {number + 1} of {settings.rounds}")
            for row in rows:
                with row.attempt("load", say):
                    if row.measured("load"):
                        sample, served = _sample(envoys[row.peer], row, scenario, settings.seconds)
                        row.samples.append(sample)
                        requests[row.peer] += served
        for row in rows:
            with row.attempt("load", say):
                if row.measured("load"):
                    grown = resident_bytes(envoys[row.peer], row.prepared) - weights[row.peer]
                    row.growth = Growth(requests[row.peer], grown)


def _sample(envoy: Envoy, row: Row, scenario: Scenario, seconds: int) -> tuple[Sample, int]:
    """Load one Envoy, and say how many requests that were; the answers are looked at before and after."""
    filtered = row.prepared.http_filter is not None
    check_answer(envoy, scenario, filtered)
    loop = loop_milliseconds()
    before = used_seconds(envoy, row.prepared)
    result = run_wrk(envoy.url, scenario.request, seconds)
    used = used_seconds(envoy, row.prepared) - before
    if result.other:
        raise BenchError(f"{result.other} of {result.requests} answers were neither 2xx nor 3xx")
    check_answer(envoy, scenario, filtered)
    cpu = 1e6 * used / result.requests
    return Sample(result.requests_per_second, result.p50, result.p99, cpu, loop), result.requests


def _require_the_baseline(rows: Sequence[Row]) -> None:
    """Without the baseline's figures, those of the others mean nothing."""
    baseline = rows[0]
    for row in rows[1:]:
        for topic in ("start", "load"):
            if not baseline.measured(topic):
                row.problems.setdefault(topic, f"not measured: there is no figure of '{BASELINE}'")


def _problem(error: Exception) -> BenchError:
    if isinstance(error, BenchError):
        return error
    if isinstance(error, EnvoyNotFoundError):
        return NotMeasuredError("envoy is not installed")
    return BenchError(str(error))
