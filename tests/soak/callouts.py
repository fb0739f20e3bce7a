"""Requests that wait for a callout: one in twenty times out, one client in a hundred disconnects before the answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter

from .outcome import Outcome, percentile
from .servers import callee
from .watch import active_vms, guest_state, memory_pages, reloads
from .world import WORKERS, built_module, envoy_for

RATE = 200
ABORTED_EACH = 100
ABORTED_AFTER_SECONDS = 0.02
_REQUEST = b"GET /call HTTP/1.1\r\nhost: soak\r\nconnection: close\r\n\r\n"
_PATIENCE_SECONDS = 30.0


def run(seconds: float) -> Outcome:
    """Callouts for `seconds`."""
    outcome = Outcome("callouts", f"{RATE} requests/s for {seconds:g} s, 5 % time out, 1 % of the clients go away")
    with callee() as port, envoy_for(built_module(), callee=port) as envoy:
        address = next(iter(envoy.listeners().values()))
        asyncio.run(_send(address, int(RATE * min(5.0, seconds / 4))))  # the VM's memory has grown as far as it will
        warm = memory_pages(envoy.pid)
        clients = asyncio.run(_send(address, int(RATE * seconds)))
        counts = clients.counts
        outcome.figure("requests", f"{sum(counts.values()):,}")
        outcome.equal("answers other than 200", {key: n for key, n in counts.items() if key not in ("200", "gone")}, {})
        outcome.figure("clients that went away", counts["gone"])
        outcome.figure("latency p50, p99", f"{_ms(clients.times, 0.5)} {_ms(clients.times, 0.99)}")
        found = envoy.stats("wasmcustom.soak")
        outcome.figure("callouts answered", f"{found['wasmcustom.soak.answered']:,}")
        outcome.figure("callouts timed out", f"{found['wasmcustom.soak.timed_out']:,}")
        outcome.require(found["wasmcustom.soak.timed_out"], "no callout timed out")
        outcome.require(counts["gone"], "no client went away")
        time.sleep(1)  # the callouts of the clients that went away end by themselves
        state = guest_state(envoy.url)
        outcome.equal("callouts and streams left in the VM", (state["calls"], state["streams"]), (0, 1))
        outcome.equal("exceptions (pwasm.errors)", envoy.stats("wasmcustom.pwasm").get("wasmcustom.pwasm.errors", 0), 0)
        outcome.equal("VMs reloaded", reloads(envoy), {})
        outcome.equal("VMs (workers + 2)", active_vms(envoy), WORKERS + 2)
        outcome.equal("pages of 64 KiB of each VM", memory_pages(envoy.pid), warm)
    return outcome


class _Clients:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.times: list[float] = []

    async def ask(self, address: tuple[str, int], number: int) -> None:
        """One request on a separate connection; counts its status, `gone` or the problem."""
        start = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(_REQUEST)
                if number % ABORTED_EACH == 0:
                    await asyncio.sleep(ABORTED_AFTER_SECONDS)
                    writer.transport.abort()
                    self.counts["gone"] += 1
                    return
                answer = await asyncio.wait_for(reader.read(), _PATIENCE_SECONDS)
                self.counts[answer[9:12].decode() or "closed"] += 1
                self.times.append(time.monotonic() - start)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            self.counts[type(error).__name__] += 1


async def _send(address: tuple[str, int], count: int) -> _Clients:
    clients, start = _Clients(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(1, count + 1):
            group.create_task(clients.ask(address, number))
            await asyncio.sleep(max(0.0, start + number / RATE - time.monotonic()))
    return clients


def _ms(times: list[float], share: float) -> str:
    return f"{1000 * percentile(times, share):.0f}ms"
