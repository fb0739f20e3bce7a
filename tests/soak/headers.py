"""The long run: 64 connections, 70 % headers, 20 % JSON bodies of 4 KiB, 10 % answered by the filter."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pwasm_compiler.envoy.process import Envoy

from .outcome import Outcome, slope
from .watch import MIB, Watch, active_vms, guest_state, reloads
from .world import WORKERS, built_module, envoy_for

CONNECTIONS = 64
SHARE_OF_MAXIMUM = 0.6
MOST_GROWTH_MIB = 1.0
"""Of resident memory in ten minutes, for runs that are long enough to tell growth from chance."""
LONG_SECONDS = 600
_SCRIPT = Path(__file__).with_name("mix.lua")


@dataclass(frozen=True)
class Load:
    """wrk's results of a run."""

    requests: int
    per_second: float
    refused: int
    """Answers other than 2xx and 3xx."""
    socket_errors: str
    latency: dict[str, str]
    """Percentile, as wrk writes it → time, as wrk writes it."""


def run(seconds: float, *, rate: float | None = None, maximum_seconds: int = 5) -> Outcome:
    """Load for `seconds` at `rate` requests per second, or at 60 % of what was measured as the most."""
    with envoy_for(built_module()) as envoy:
        before = guest_state(envoy.url)
        wrk(envoy, 2, 0)
        most = wrk(envoy, maximum_seconds, 0).per_second
        chosen = rate or SHARE_OF_MAXIMUM * most
        outcome = Outcome("headers", f"{CONNECTIONS} connections, {seconds:g} s at {chosen:,.0f} requests/s")
        outcome.figure("most that was reached, requests/s", f"{most:,.0f}")
        with Watch(envoy, max(1.0, seconds / 60)) as watch:
            load = wrk(envoy, int(seconds), chosen)
        _judge_answers(outcome, envoy, load)
        _judge_memory(outcome, watch, seconds)
        after = guest_state(envoy.url)
        outcome.equal("callouts and streams left in the VM", (after["calls"], after["streams"]), (0, 1))
        outcome.figure("objects in the VM, before → after", f"{before['objects']} → {after['objects']}")
    return outcome


def wrk(envoy: Envoy, seconds: int, rate: float) -> Load:
    """Send the mix for `seconds`; rate 0 is as fast as it goes."""
    program = shutil.which("wrk")
    assert program is not None, "wrk is not installed"
    command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "30s", "-s", str(_SCRIPT)]
    command += [envoy.url, "--", str(rate)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
    return parse(done.stdout)


def parse(text: str) -> Load:
    """Parse wrk's output."""
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: (.*)", text)
    return Load(
        int(_field(text, r"(\d+) requests in ")),
        float(_field(text, r"Requests/sec:\s+([\d.]+)")),
        int(refused[1]) if refused else 0,
        errors[1] if errors else "",
        dict(re.findall(r"^\s+(\d+%)\s+(\S+)$", text, re.MULTILINE)),
    )


def _field(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, f"wrk printed no {pattern!r}: {text.strip()}"
    return found[1]


def _judge_answers(outcome: Outcome, envoy: Envoy, load: Load) -> None:
    outcome.figure("requests, and each second", f"{load.requests:,} {load.per_second:,.0f}")
    outcome.figure("latency p50, p99", f"{load.latency.get('50%')} {load.latency.get('99%')}")
    outcome.equal("socket errors", load.socket_errors or "none", "none")
    found = envoy.stats("http.http.downstream_rq_")
    replies = envoy.stats("wasmcustom.soak")["wasmcustom.soak.replies"]
    outcome.figure("answers of the filter itself (403)", f"{load.refused:,}")
    # The statistics also count what was sent before, and what was under way at its end.
    outcome.equal("4xx that the filter did not send", found.get("http.http.downstream_rq_4xx", 0) - replies, 0)
    outcome.equal("5xx", found.get("http.http.downstream_rq_5xx", 0), 0)
    outcome.equal("3xx", found.get("http.http.downstream_rq_3xx", 0), 0)
    outcome.equal("exceptions (pwasm.errors)", envoy.stats("wasmcustom.pwasm").get("wasmcustom.pwasm.errors", 0), 0)
    outcome.equal("VMs reloaded", reloads(envoy), {})
    outcome.equal("VMs (workers + 2)", active_vms(envoy), WORKERS + 2)


def _judge_memory(outcome: Outcome, watch: Watch, seconds: float) -> None:
    warm = watch.after(min(120.0, seconds / 5))
    outcome.equal("different numbers of VMs over the run", len({sample.vms for sample in watch.samples}), 1)
    outcome.figure("pages of 64 KiB of each VM, at the end", watch.samples[-1].pages)
    outcome.require(watch.samples[-1].pages, "the VMs' memories were not found")
    outcome.equal("different sizes of the VMs' memories", len({sample.pages for sample in warm}), 1)
    growth = slope([(sample.seconds / 600, sample.rss / MIB) for sample in warm])
    outcome.figure("resident memory, start → end", f"{_mib(warm[0].rss)} → {_mib(watch.samples[-1].rss)} MiB")
    if seconds >= LONG_SECONDS:
        outcome.figure("growth in ten minutes", f"{growth:+.2f} MiB")
        outcome.require(growth <= MOST_GROWTH_MIB, f"{growth:.2f} MiB more in ten minutes")
        outcome.table.append(f"{'seconds':>8} {'requests':>12} {'RSS MiB':>8}  pages")
        outcome.table += [
            f"{sample.seconds:>8.0f} {sample.requests:>12,} {_mib(sample.rss):>8}  {sample.pages}"
            for sample in watch.samples
        ]


def _mib(size: int) -> str:
    return f"{size / MIB:.1f}"
