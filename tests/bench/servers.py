"""The Envoys under test, all alike: one worker, one listener, a direct response of Envoy behind the filter."""

from __future__ import annotations

import http.client
import statistics
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pwasm_compiler.bench.instrument import with_trap
from pwasm_compiler.bench.load import run_wrk
from pwasm_compiler.bench.process import cpu_seconds, rss_bytes
from pwasm_compiler.bench.report import Callback
from pwasm_compiler.bench.timers import PREFIX, between, read, with_timers
from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy
from pwasm_compiler.wasm.module import I32, FuncType

from .peers import Prepared
from .problems import BenchError
from .scenarios import Scenario

_SETTLE_SECONDS = 0.5
_TIMEOUT_SECONDS = 10.0
_READY_SECONDS = 300.0
_LOOP = 300_000
_PLUGIN = "bench"
_BACKOFF_SECONDS = 0.02
_BACKOFFS = 3  # Envoy adds up to a half
_BODY_CALLBACK = FuncType(bytes([I32] * 3), bytes([I32]))


@dataclass(frozen=True)
class Start:
    """From the start of the process to readiness and to the first answer; then the resident memory."""

    ready_seconds: float
    answer_seconds: float
    rss_bytes: int


def configuration(prepared: Prepared) -> dict[str, Any]:
    """The bootstrap with the peer's filter in front of all others; `HttpListener` itself takes Wasm filters only."""
    config = bootstrap([HttpListener()], upstreams=prepared.upstreams)
    if prepared.http_filter is not None:
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
        manager["typed_config"]["http_filters"].insert(0, prepared.http_filter)
    return config


def envoy_for(prepared: Prepared, workers: int = 1) -> Envoy:
    """An Envoy, not started. Its log level is info, so the debug messages of the filters are filtered by Envoy."""
    return Envoy(configuration(prepared), concurrency=workers, ready_timeout=_READY_SECONDS)


def measure_start(prepared: Prepared, scenario: Scenario, workers: int = 1) -> Start:
    """Start an Envoy, time it, weigh it and stop it."""
    begin = time.perf_counter()
    with envoy_for(prepared, workers) as envoy:
        ready = time.perf_counter() - begin
        check_answer(envoy, scenario, prepared.http_filter is not None)
        answered = time.perf_counter() - begin
        time.sleep(_SETTLE_SECONDS)  # every worker has its VM by then, not only the one that answered
        return Start(ready, answered, resident_bytes(envoy, prepared))


def resident_bytes(envoy: Envoy, prepared: Prepared) -> int:
    """Resident memory of Envoy, and of the process that works for it if there is one."""
    return sum(map(rss_bytes, _processes(envoy, prepared)))


def used_seconds(envoy: Envoy, prepared: Prepared) -> float:
    """Processor time of the same processes."""
    return sum(map(cpu_seconds, _processes(envoy, prepared)))


def _processes(envoy: Envoy, prepared: Prepared) -> tuple[int, ...]:
    return (envoy.pid, *filter(None, [prepared.helper]))


def measure_reload(module: Path, scenario: Scenario, traps: int) -> list[float]:
    """How long a request waits while its worker makes a new VM in the place of one that has trapped, in milliseconds.

    The module is the peer's with a callback for request bodies that traps: a POST breaks the VM, the next GET finds it
    broken and gets a new one. What the same GET takes otherwise is taken off.
    """
    broken = module.with_name(f"{module.stem}-trap.wasm")
    broken.write_bytes(with_trap(module.read_bytes(), "proxy_on_request_body", _BODY_CALLBACK))
    plugin = WasmFilter(broken, name=_PLUGIN, reload_backoff_seconds=_BACKOFF_SECONDS)
    usual, waited = [], []
    with Envoy(bootstrap([HttpListener([plugin])]), ready_timeout=_READY_SECONDS) as envoy:
        address = urllib.parse.urlsplit(envoy.url).netloc
        for _ in range(traps):
            check_answer(envoy, scenario, filtered=True)
            usual.append(_milliseconds(address, "GET", 200))
            _milliseconds(address, "POST", 503)
            time.sleep(_BACKOFF_SECONDS * _BACKOFFS)
            waited.append(_milliseconds(address, "GET", 200))
        reloads = sum(envoy.stats(f"wasm.{_PLUGIN}.vm_reload_success").values())
    if reloads != traps:
        raise BenchError(f"{traps} traps made {reloads} new VMs")
    return [time - statistics.median(usual) for time in waited]


def measure_callbacks(module: Path, scenario: Scenario, seconds: int) -> tuple[Callback, ...]:
    """The duration of each callback in Envoy's V8, measured by an instrumented copy of the module."""
    timed = with_timers(module.read_bytes())
    copy = module.with_name(f"{module.stem}-timed.wasm")
    copy.write_bytes(timed.wasm)
    with Envoy(bootstrap([HttpListener([WasmFilter(copy)])]), ready_timeout=_READY_SECONDS) as envoy:
        check_answer(envoy, scenario, filtered=True)
        run_wrk(envoy.url, scenario.request, seconds)  # until V8 has compiled it well
        before, _ = read(timed, envoy.stats(PREFIX))
        requests = run_wrk(envoy.url, scenario.request, seconds).requests
        after, clock = read(timed, envoy.stats(PREFIX))
    return between(before, after, clock, requests)


def _milliseconds(address: str, method: str, status: int) -> float:
    """The time of one request on a new connection, from the moment it is open."""
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_SECONDS)
    try:
        connection.connect()
        begin = time.perf_counter()
        connection.request(method, "/", b"a body" if method == "POST" else None)
        response = connection.getresponse()
        response.read()
        if response.status != status:
            raise BenchError(f"{method} was answered with {response.status}, expected {status}")
        return 1e3 * (time.perf_counter() - begin)
    finally:
        connection.close()


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
