"""Requests in this process: the module under wasmtime, with the emulator. Leaks of a VM show in its memory."""

from __future__ import annotations

import time

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin

from .outcome import Outcome
from .world import built_module

WARM_SHARE = 5
_BODY = b"[" + b",".join(b'{"number": %d, "of": [1, 2, 3, true, null]}' % number for number in range(85)) + b"]"


def run(requests: int) -> Outcome:
    """Send `requests` of the mix; a fifth of them may still make the memory grow."""
    outcome = Outcome("wasmtime", f"{requests:,} requests in process")
    host = HostEmulator(plugin=lambda host: WasmPlugin(built_module(), host))
    sizes, start = [], time.monotonic()
    for number in range(1, requests + 1):
        if number % 10 == 0:
            status, wanted = host.request("GET", "/reply").status, 403
        elif number % 5 == 0:
            status, wanted = host.request("POST", "/json", body=_BODY).status, 200
        else:
            status, wanted = host.request("GET", "/headers").status, 200
        if status != wanted:
            outcome.problems.append(f"request {number} was answered with {status}, and not {wanted}")
            break
        host.logs.clear()
        if number % (requests // WARM_SHARE) == 0:
            sizes.append(host.plugin.pages)  # type: ignore[attr-defined]
    outcome.figure("requests each second", f"{requests / (time.monotonic() - start):,.0f}")
    outcome.figure(f"pages after {requests // WARM_SHARE:,} requests, and each as many more", sizes)
    outcome.equal("different sizes", len(set(sizes)), 1)
    return outcome
