"""Bodies of 100 MiB: read by the filter piece by piece; and held by it, which Envoy's buffer limit ends."""

from __future__ import annotations

import contextlib
import socket
import time

from pwasm_compiler.envoy.process import Envoy

from .outcome import Outcome
from .servers import sink
from .watch import MIB, PAGE, active_vms, guest_state, memory_pages, reloads, rss_bytes
from .world import WORKERS, built_module, envoy_for

BODY = 100 * MIB
CHUNK = 16 * 1024
LATE_SIZES = 2
MOST_GROWTH_PAGES = 8 * MIB // PAGE
_HEADERS = "POST {path} HTTP/1.1\r\nhost: soak\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNKS = 64
"""How many are given to the kernel at once."""
_PIECE = (b"%x\r\n" % CHUNK + b"x" * CHUNK + b"\r\n") * _CHUNKS
_END = b"0\r\n\r\n"
_SECONDS = 300.0


def run(bodies: int, *, size: int = BODY) -> Outcome:
    """`bodies` bodies that are read, and one that is held."""
    outcome = Outcome("bodies", f"{bodies} × {size // MIB} MiB in chunks of {CHUNK // 1024} KiB")
    with sink() as port, envoy_for(built_module(), sink=port) as envoy:
        guest_state(envoy.url)
        before, start = memory_pages(envoy.pid), time.monotonic()
        pages, resident = [], []
        for _ in range(bodies):
            status = _send(envoy, "/stream", size)
            outcome.require(status == 200, f"a body that is read was answered with {status}")
            pages.append(memory_pages(envoy.pid))
            resident.append(rss_bytes(envoy.pid))
        rate = bodies * size / MIB / (time.monotonic() - start)
        outcome.figure("throughput, client and sink included", f"{rate:.0f} MiB/s")
        outcome.figure("pages of 64 KiB of each VM, before → after", f"{before} → {pages[-1]}")
        grown = max(last - first for first, last in zip(before, pages[-1], strict=True))
        outcome.figure("most growth of a VM", f"{grown * PAGE / MIB:.1f} MiB")
        outcome.require(grown <= MOST_GROWTH_PAGES, "a VM grew by more than 8 MiB")
        # How much of a body is there at once is chance, so the largest piece may come late; but only once.
        sizes = len(set(pages[len(pages) // 2 :]))
        outcome.figure("different sizes of the VMs after each body of the second half", str(sizes))
        outcome.require(sizes <= LATE_SIZES, "a VM grows with each body")
        ends = f"{resident[0] / MIB:.1f} → {resident[-1] / MIB:.1f}"
        outcome.figure("resident memory after the first and the last", f"{ends} MiB")
        outcome.equal("a body that the filter holds is answered with", _send(envoy, "/buffer", size), 413)
        outcome.equal("and the next request, by the same VM", _send(envoy, "/stream", MIB), 200)
        outcome.equal("exceptions (pwasm.errors)", envoy.stats("wasmcustom.pwasm").get("wasmcustom.pwasm.errors", 0), 0)
        outcome.equal("VMs reloaded", reloads(envoy), {})
        outcome.equal("VMs (workers + 2)", active_vms(envoy), WORKERS + 2)
    return outcome


def _send(envoy: Envoy, path: str, size: int) -> int:
    """The status of the answer; a refusal may come, and the connection end, while the body is still being sent."""
    with socket.create_connection(next(iter(envoy.listeners().values())), timeout=_SECONDS) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(_HEADERS.format(path=path).encode())
            for _ in range(size // CHUNK // _CHUNKS):
                client.sendall(_PIECE)
            client.sendall(_END)
        try:
            return int(client.recv(65536)[9:12] or 0)
        except ConnectionError:
            return 0
