"""Two modules of one filter side by side in Envoy: start, machine code, memory, a request.

Both are started in turn, and loaded in turn: what the machine does meanwhile hits both.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pwasm_compiler import plugin_config
from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.module import read_module

from .envoys import PLUGIN, SETTLE_SECONDS, ask, envoy_for, envoy_version, explained, trapped, unless_envoy_exited
from .load import LoadResult, Request
from .process import cpu_seconds, machine_code_bytes, rss_bytes

if TYPE_CHECKING:
    from pwasm_compiler.envoy.process import Envoy

ROUNDS = 3
_MB = 1e6


@dataclass(frozen=True)
class Figures:
    """Of one module: medians of the rounds."""

    megabytes: float
    """The file, in 10⁶ bytes, like all that follow."""
    start_cpu_seconds: float
    """Processor time of Envoy until it is ready."""
    machine_code_megabytes: float
    memory_megabytes: float
    """Resident, of all of Envoy with one worker."""
    request_microseconds: float
    """From one answer to the next on one saturated worker: of Envoy and the filter together."""


@dataclass(frozen=True)
class Comparison:
    """What `pwasm optimize` has changed."""

    envoy: str
    before: Figures
    after: Figures
    problems: tuple[str, ...]
    """What makes the figures say less than they seem to."""


def compare(
    before: Path,
    after: Path,
    executable: Path,
    configuration: Path | None,
    run: Callable[[str], LoadResult],
    say: Callable[[str], None],
) -> Comparison:
    """Measure two modules of an HTTP filter.

    Args:
        before, after: the modules.
        executable: the Envoy.
        configuration: a file with the filter's own configuration, if it needs one.
        run: makes a round of load on the server with this URL.
        say: is told what is being done.

    Raises:
        ToolError: Envoy did not take one of them, or did not answer.
    """
    from pwasm_compiler.envoy.process import EnvoyError

    text = None if configuration is None else plugin_config.read(configuration)
    try:
        return _Comparison((before, after), executable, text, run, say).result()
    except EnvoyError as error:
        raise explained(error, before, configuration) from error


class _Comparison:
    def __init__(
        self,
        modules: tuple[Path, Path],
        executable: Path,
        configuration: str | None,
        run: Callable[[str], LoadResult],
        say: Callable[[str], None],
    ) -> None:
        self.modules = modules
        self.executable = executable
        self.configuration = configuration
        self.run = run
        self.say = say
        self.starts: tuple[list[tuple[float, float, float]], ...] = ([], [])
        self.requests: tuple[list[float], ...] = ([], [])
        self.version = ""
        self.problems: list[str] = []

    def result(self) -> Comparison:
        for number in range(ROUNDS - 1):
            for side in (0, 1):
                self.say(f"start {number + 1} of {ROUNDS}, {_WORDS[side]}")
                with self._envoy(side):
                    pass
        self._load()
        before, after = (self._figures(side) for side in (0, 1))
        return Comparison(self.version, before, after, tuple(self.problems))

    @contextlib.contextmanager
    def _envoy(self, side: int) -> Iterator[Envoy]:
        module = self.modules[side]
        used = WasmFilter(module, name=PLUGIN, configuration=self.configuration, need=read_module(module).need())
        config = bootstrap([HttpListener([used])])
        with envoy_for(config, self.executable, module.parent) as envoy, unless_envoy_exited(envoy):
            seconds = cpu_seconds(envoy.pid)
            ask(envoy, Request())
            time.sleep(SETTLE_SECONDS)
            code, memory = machine_code_bytes(envoy.pid), rss_bytes(envoy.pid)
            self.starts[side].append((seconds, code / _MB, memory / _MB))
            yield envoy

    def _load(self) -> None:
        with contextlib.ExitStack() as running:
            envoys = []
            for side in (0, 1):
                self.say(f"start {ROUNDS} of {ROUNDS}, {_WORDS[side]}")
                envoys.append(running.enter_context(self._envoy(side)))
            self.version = envoy_version(envoys[0])
            for envoy in envoys:
                self.run(envoy.url)  # warms up
            for number in range(ROUNDS):
                for side, envoy in enumerate(envoys):
                    self.say(f"load, round {number + 1} of {ROUNDS}, {_WORDS[side]}")
                    self.requests[side].append(1e6 / self.run(envoy.url).requests_per_second)
            self.problems = trapped(envoys[0])

    def _figures(self, side: int) -> Figures:
        seconds, code, memory = (median(column) for column in zip(*self.starts[side], strict=True))
        size = self.modules[side].stat().st_size
        return Figures(size / _MB, seconds, code, memory, median(self.requests[side]))


_WORDS = ("before", "after")


def render(found: Comparison) -> str:
    """A table for people."""
    rows = [("", "before", "after", "")]
    for name, field, form in _ROWS:
        before, after = getattr(found.before, field), getattr(found.after, field)
        change = f"{after / before:.2f} ×" if before else ""
        rows.append((name, f"{before:{form}}", f"{after:{form}}", change))
    lines = [f"in Envoy {found.envoy}, one worker; medians of {ROUNDS} rounds in alternation"]
    lines += [f"  {name:<40}{before:>9}{after:>9}{change:>9}".rstrip() for name, before, after, change in rows]
    lines += [f"beware: {problem}" for problem in found.problems]
    return "\n".join(lines)


_ROWS = (
    ("file, MB", "megabytes", ".2f"),
    ("processor time until Envoy is ready, s", "start_cpu_seconds", ".2f"),
    ("machine code, MB", "machine_code_megabytes", ".1f"),
    ("memory of Envoy, MB", "memory_megabytes", ".0f"),
    ("time per request, µs", "request_microseconds", ".1f"),
)
