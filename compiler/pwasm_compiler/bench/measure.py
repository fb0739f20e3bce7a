"""Measure one filter: `Options` → `Report`.

Both Envoys run all the time, each is loaded in turn, and a round with the filter is compared with the round without it
just before: any disturbance on the machine affects both. The callbacks are measured last, in a separate Envoy.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pwasm_compiler import plugin_config
from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, WasmFilter, bootstrap
from pwasm_compiler.envoy.programs import path_of_envoy
from pwasm_compiler.envoy.run import parse_upstream
from pwasm_compiler.errors import BinaryError
from pwasm_compiler.files import scratch_folder
from pwasm_compiler.project import Project

from . import timers
from .envoys import PLUGIN, SETTLE_SECONDS, ask, envoy_for, envoy_version, explained, trapped, unless_envoy_exited
from .figures import added, added_microseconds, spread
from .load import LoadResult
from .process import cpu_seconds, rss_bytes
from .report import Callback, Pair, Report
from .target import Options, Run, Target, choose_client, find_target

if TYPE_CHECKING:
    from pwasm_compiler.envoy.process import Envoy

MORE_WORKERS = 2
_STARTS = 2
_MB = 1e6


@dataclass
class _Side:
    """One of the two Envoys, with its measurements."""

    filtered: bool
    ready: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    runs: list[LoadResult] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    status: int = 0
    warm: float = 0
    grown: float = 0


def measure(options: Options, build: Callable[[Project], object], say: Callable[[str], None]) -> Report:
    """Build the filter if needed, and measure it.

    Raises:
        UsageError: the path or the options are invalid.
        ProjectError: it is not an HTTP filter.
        ToolError: there is no Envoy or client, or one of them failed.
    """
    from pwasm_compiler.envoy.process import EnvoyError

    run, client = choose_client(options)
    try:
        executable = path_of_envoy(options.envoy)
        target = find_target(options, build)
        return _Bench(options, target, executable, run, client, say).report()
    except EnvoyError as error:
        raise explained(error, options.path, options.plugin_config) from error


class _Bench:
    def __init__(
        self,
        options: Options,
        target: Target,
        executable: Path,
        run: Run,
        client: str,
        say: Callable[[str], None],
    ) -> None:
        self.options = options
        self.target = target
        self.executable = executable
        self.run = run
        self.client = client
        file = options.plugin_config
        self.configuration = None if file is None else plugin_config.read(file)
        self.say = say
        self.without = _Side(False)
        self.with_filter = _Side(True)
        self.problems: list[str] = []

    def report(self) -> Report:
        """Measure in this order: starts, workers, load, callbacks."""
        for number in range(_STARTS - 1):
            for side in self._sides():
                self.say(f"start {number + 1} of {_STARTS}, {_words(side)}")
                with self._envoy(side):
                    pass
        per_worker = self._memory_per_worker()
        envoy = self._load()
        callbacks, clock = self._callbacks()
        return self._assembled(per_worker, envoy, callbacks, clock)

    def _sides(self) -> tuple[_Side, _Side]:
        return self.without, self.with_filter

    # --- Envoys -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _envoy(self, side: _Side, workers: int | None = None) -> Iterator[Envoy]:
        """An Envoy of one side; its start is measured, unless it has another number of workers."""
        begin = time.perf_counter()
        with self._start(self.target.module if side.filtered else None, workers) as envoy, unless_envoy_exited(envoy):
            ready = time.perf_counter() - begin
            side.status = ask(envoy, self.options.request)
            time.sleep(SETTLE_SECONDS)  # every worker has its VM by then
            if workers is None:
                side.ready.append(ready)
                side.memory.append(rss_bytes(envoy.pid) / _MB)
            yield envoy

    def _start(self, module: Path | None, workers: int | None = None) -> Envoy:
        concurrency = self.options.concurrency if workers is None else workers
        return envoy_for(self._configuration(module), self.executable, self.target.root, concurrency)

    def _configuration(self, module: Path | None) -> dict[str, Any]:
        options = self.options
        upstreams = [Upstream(*parse_upstream(options.upstream))] if options.upstream else []
        filters = []
        if module is not None:
            filters = [WasmFilter(module, name=PLUGIN, configuration=self.configuration, need=self.target.need)]
        routes = [Route(upstream=upstreams[0].name if upstreams else None)]
        return bootstrap([HttpListener(filters, routes=routes)], upstreams=upstreams)

    def _memory_per_worker(self) -> float:
        weights = []
        for side in self._sides():
            self.say(f"{self.options.concurrency + MORE_WORKERS} workers, {_words(side)}")
            with self._envoy(side, self.options.concurrency + MORE_WORKERS) as envoy:
                weights.append((rss_bytes(envoy.pid) / _MB - side.memory[-1]) / MORE_WORKERS)
        return weights[1] - weights[0]

    # --- load -------------------------------------------------------------------------------------------------------

    def _load(self) -> str:
        """Load both in turn; the version of Envoy."""
        with contextlib.ExitStack() as running:
            envoys = []
            for side in self._sides():
                self.say(f"start {_STARTS} of {_STARTS}, {_words(side)}")
                envoys.append(running.enter_context(self._envoy(side)))
            for side, envoy in zip(self._sides(), envoys, strict=True):
                self.run(envoy.url)  # warms up
                side.warm = rss_bytes(envoy.pid) / _MB
            for number in range(self.options.rounds):
                self.say(f"load, round {number + 1} of {self.options.rounds}")
                for side, envoy in zip(self._sides(), envoys, strict=True):
                    before = cpu_seconds(envoy.pid)
                    result = self.run(envoy.url)
                    side.runs.append(result)
                    side.cpu.append(1e6 * (cpu_seconds(envoy.pid) - before) / result.requests)
            for side, envoy in zip(self._sides(), envoys, strict=True):
                envoy.check_alive()
                side.grown = rss_bytes(envoy.pid) / _MB - side.warm
            self.problems += trapped(envoys[1])
            return envoy_version(envoys[1])

    # --- callbacks --------------------------------------------------------------------------------------------------

    def _callbacks(self) -> tuple[tuple[Callback, ...], float]:
        """A round in a separate Envoy with the instrumented module; its load is not part of the results."""
        try:
            timed = timers.with_timers(self.target.module.read_bytes())
        except BinaryError as error:
            self.problems.append(f"the callbacks were not measured: {error.what}")
            return (), 0.0
        self.say("callbacks")
        with scratch_folder("pwasm-bench-") as folder:
            module = folder / "timed.wasm"
            module.write_bytes(timed.wasm)
            with self._start(module) as envoy, unless_envoy_exited(envoy):
                self.run(envoy.url)
                before, _ = timers.read(timed, envoy.stats(timers.PREFIX))
                requests = self.run(envoy.url).requests
                after, clock = timers.read(timed, envoy.stats(timers.PREFIX))
        return timers.between(before, after, clock, requests), 1e6 * clock

    # --- the report -------------------------------------------------------------------------------------------------

    def _assembled(self, per_worker: float, envoy: str, callbacks: tuple[Callback, ...], clock: float) -> Report:
        options, target, runs = self.options, self.target, self.with_filter.runs
        saturated = self.client == "wrk" and options.concurrency == 1
        rates = [[run.requests_per_second for run in side.runs] for side in self._sides()]
        p99 = [[run.p99 for run in side.runs] for side in self._sides()]
        return Report(
            filter=target.name,
            module=str(target.module),
            module_megabytes=target.size / _MB,
            envoy=envoy,
            client=self.client,
            request=f"{options.request.method} {options.request.path}",
            options={name: getattr(options, name) for name in _COUNTS},
            status={"without": self.without.status, "with": self.with_filter.status},
            requests=sum(run.requests for run in runs),
            other_answers=sum(run.other for run in runs),
            requests_per_second=_pair(rates, None),
            microseconds=_pair(
                [[1e6 / rate for rate in side] for side in rates],
                added_microseconds(rates[1], rates[0]) if saturated else None,
            ),
            cpu_microseconds=_paired(self.without.cpu, self.with_filter.cpu),
            p99_microseconds=_paired(*p99),
            load_seconds=_paired(self.without.ready, self.with_filter.ready),
            memory_megabytes=_paired(self.without.memory, self.with_filter.memory),
            memory_per_worker=per_worker,
            memory_grown=_paired([self.without.grown], [self.with_filter.grown]),
            callbacks=callbacks,
            clock_microseconds=clock,
            problems=tuple(self.problems),
        )


_COUNTS = ("rounds", "seconds", "requests", "connections", "concurrency")


def _pair(sides: list[list[float]], difference: list[float] | None) -> Pair:
    without, with_filter = (spread(side) for side in sides)
    assert without is not None
    assert with_filter is not None
    return Pair(without, with_filter, None if difference is None else spread(difference))


def _paired(without: list[float], with_filter: list[float]) -> Pair:
    return _pair([without, with_filter], added(with_filter, without))


def _words(side: _Side) -> str:
    return "with the filter" if side.filtered else "without the filter"
