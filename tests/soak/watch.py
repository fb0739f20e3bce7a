"""What can be observed of a running Envoy from outside: resident memory, the memory of each VM, its statistics."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pwasm_compiler.envoy.process import Envoy

PAGE = 65536
_RESERVED = 8 << 30
"""V8 reserves as much address space for each 32-bit memory, and makes its first pages accessible (Linux, x86-64)."""
_RANGE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ")
MIB = 1 << 20


def rss_bytes(pid: int) -> int:
    """Resident memory of a process (Linux)."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None, f"process {pid} has no VmRSS"
    return int(found[1]) * 1024


def memory_pages(pid: int) -> tuple[int, ...]:
    """Size of the linear memory of each VM of a process, in pages of 64 KiB, smallest first.

    Envoy has no statistic for it. A memory is what is accessible at the start of a reservation of 8 GiB.
    """
    pages, before = [], (0, 0, "")
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
        match = _RANGE.match(line)
        assert match is not None, line
        now = int(match[1], 16), int(match[2], 16), match[3]
        if before[2] == "rw-p" and now[2] == "---p" and before[1] == now[0] and now[1] - before[0] == _RESERVED:
            pages.append((before[1] - before[0]) // PAGE)
        before = now
    return tuple(sorted(pages))


def guest_state(url: str) -> dict[str, Any]:
    """The soak filter's report on its VM."""
    with urllib.request.urlopen(f"{url}/state", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def reloads(envoy: Envoy) -> dict[str, int]:
    """The counters of reloaded VMs that are not zero, by the last part of their names."""
    found = envoy.stats("wasm.soak.vm_reload")
    return {name.rpartition(".")[2]: value for name, value in found.items() if value}


def active_vms(envoy: Envoy) -> int:
    """How many VMs there are: one for each worker, one for the main thread, and one that the others are made of."""
    return envoy.stats("wasm.envoy.wasm.runtime.v8.active")["wasm.envoy.wasm.runtime.v8.active"]


@dataclass(frozen=True)
class Sample:
    """One look; `seconds` since the first."""

    seconds: float
    rss: int
    pages: tuple[int, ...]
    vms: int
    requests: int


class Watch:
    """Looks every `interval` seconds, from a thread of its own, from the start to the end of its block."""

    def __init__(self, envoy: Envoy, interval: float) -> None:
        self.samples: list[Sample] = []
        self._envoy = envoy
        self._interval = interval
        self._start = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.look()

    def look(self) -> Sample:
        """Look once more."""
        stats = self._envoy.stats("http.http.downstream_rq_completed")
        sample = Sample(
            time.monotonic() - self._start,
            rss_bytes(self._envoy.pid),
            memory_pages(self._envoy.pid),
            active_vms(self._envoy),
            stats["http.http.downstream_rq_completed"],
        )
        self.samples.append(sample)
        return sample

    def after(self, seconds: float) -> list[Sample]:
        """The samples from `seconds` on."""
        return [sample for sample in self.samples if sample.seconds >= seconds]

    def _work(self) -> None:
        while not self._over.wait(self._interval):
            self.look()
