"""The Envoys under test, all alike: one worker, one listener, a direct response of Envoy behind the filter."""

from __future__ import annotations

import os
import re
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pwasm.testing.envoy import Envoy
from pwasm.testing.envoy_config import HttpListener, bootstrap

from .problems import BenchError
from .scenarios import Scenario

_SETTLE_SECONDS = 0.5
_TIMEOUT_SECONDS = 10.0
_LOOP = 300_000


@dataclass(frozen=True)
class Start:
    """From the start of the process to readiness and to the first answer; then the resident memory."""

    ready_seconds: float
    answer_seconds: float
    rss_bytes: int


def configuration(http_filter: dict[str, Any] | None) -> dict[str, Any]:
    """The bootstrap with `http_filter` in front of all others; `HttpListener` itself takes Wasm filters only."""
    config = bootstrap([HttpListener()])
    if http_filter is not None:
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
        manager["typed_config"]["http_filters"].insert(0, http_filter)
    return config


def envoy_for(http_filter: dict[str, Any] | None, workers: int = 1) -> Envoy:
    """An Envoy, not started. Its log level is info, so the debug messages of the filters are filtered by Envoy."""
    return Envoy(configuration(http_filter), concurrency=workers)


def measure_start(http_filter: dict[str, Any] | None, scenario: Scenario, workers: int = 1) -> Start:
    """Start an Envoy, time it, weigh it and stop it."""
    begin = time.perf_counter()
    with envoy_for(http_filter, workers) as envoy:
        ready = time.perf_counter() - begin
        check_answer(envoy, scenario, http_filter is not None)
        answered = time.perf_counter() - begin
        time.sleep(_SETTLE_SECONDS)  # every worker has its VM by then, not only the one that answered
        return Start(ready, answered, rss_bytes(envoy.pid))


def check_answer(envoy: Envoy, scenario: Scenario, filtered: bool) -> None:
    """Whether the filter has done its work on one request, and has kept it out of Envoy's log."""
    sent = scenario.request
    request = urllib.request.Request(envoy.url + sent.path, sent.body, dict(sent.headers), method=sent.method)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        found = {name: response.headers.get_all(name) for name in scenario.headers}
    for name, value in scenario.headers.items():
        expected = [value] if filtered else None
        if found[name] != expected:
            raise BenchError(f"the response has {name}: {found[name]}, expected {expected}")
    logged = [record for record in envoy.log if scenario.message in record.raw]
    if logged:
        raise BenchError(f"the filter's message was not filtered: {logged[0].raw}")


def loop_milliseconds() -> float:
    """How long a fixed loop takes, to see the processor change its speed: virtual cores do so by a factor of 2."""
    begin = time.perf_counter()
    total = 0
    for number in range(_LOOP):
        total += number
    return 1e3 * (time.perf_counter() - begin)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process (Linux)."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise BenchError(f"process {pid} has no VmRSS")
    return int(found[1]) * 1024


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used so far, user and system (Linux; proc(5), /proc/pid/stat fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
