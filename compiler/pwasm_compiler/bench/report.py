"""What `pwasm bench` measured, as plain data (what `--json` prints)."""

from __future__ import annotations

from dataclasses import dataclass

from .figures import Spread


@dataclass(frozen=True)
class Pair:
    """A figure without the filter, with it, and the difference, round by round (None: not meaningful)."""

    without: Spread
    with_filter: Spread
    added: Spread | None


@dataclass(frozen=True)
class Callback:
    """One callback, timed inside the module; `microseconds` is the mean per call, including hostcalls."""

    name: str
    calls_per_request: float
    microseconds: float


@dataclass(frozen=True)
class Report:
    """All measurements; times in the unit of their name, memory in megabytes (10⁶ bytes)."""

    filter: str
    module: str
    module_megabytes: float
    envoy: str
    client: str
    request: str
    options: dict[str, int | None]
    status: dict[str, int]
    """The response status of one request, "without" the filter and "with" it."""
    requests: int
    """Requests sent through the filter in all rounds."""
    other_answers: int
    """Those of them answered with a status outside 200 to 399."""
    requests_per_second: Pair
    microseconds: Pair
    cpu_microseconds: Pair
    p99_microseconds: Pair
    load_seconds: Pair
    memory_megabytes: Pair
    memory_per_worker: float
    memory_grown: Pair
    callbacks: tuple[Callback, ...]
    clock_microseconds: float
    problems: tuple[str, ...]
