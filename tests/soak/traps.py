"""VMs that trap and are recreated, with an artificial module: one of its callbacks is replaced by a trap."""

from __future__ import annotations

import contextlib
import http.client
import time

from pwasm_compiler.build.verify import TRAP
from pwasm_compiler.wasm import encode
from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.leb128 import encode_unsigned
from pwasm_compiler.wasm.module import Kind, Section

from .outcome import Outcome, percentile
from .watch import MIB, active_vms, reloads, rss_bytes
from .world import BACKOFF_SECONDS, WORKERS, built_module, envoy_for

TRAPS = "proxy_on_request_trailers"
MOST_GROWTH = 0.05
_SECONDS = 60.0
_WARM = 20


def run(traps: int) -> Outcome:
    """Trap `traps` times, and each time ask until a new VM answers."""
    outcome = Outcome("traps", f"{traps:,} traps with FAIL_RELOAD, base interval {1000 * BACKOFF_SECONDS:.0f} ms")
    module = built_module().with_name("trapping.wasm")
    module.write_bytes(trapping(built_module().read_bytes()))
    times, resident, active = [], [], set()
    with envoy_for(module) as envoy:
        address = next(iter(envoy.listeners().values()))
        with contextlib.closing(http.client.HTTPConnection(*address, timeout=_SECONDS)) as client:
            for number in range(traps):
                status = _ask(client, trailers=True)[0]
                outcome.require(status == 503, f"trap {number} was answered with {status}, and not 503")
                times.append(_until_it_answers(client))
                if number % max(1, traps // 50) == 0 or number == traps - 1:
                    active.add(active_vms(envoy))
                    if number >= min(_WARM, traps // 2):
                        resident.append(rss_bytes(envoy.pid))
        found = reloads(envoy)
        outcome.equal("VMs reloaded (vm_reload_success)", found.get("vm_reload_success", 0), traps)
        outcome.equal("reloads that failed", found.get("vm_reload_failure", 0), 0)
        outcome.figure("requests refused while Envoy waited", found.get("vm_reload_backoff", 0))
        outcome.equal("VMs at all times (workers + 2)", active, {WORKERS + 2})
        growth = resident[-1] / resident[0] - 1
        ends = f"{resident[0] / MIB:.1f} → {resident[-1] / MIB:.1f} MiB, {100 * growth:+.1f} %"
        outcome.figure(f"resident memory, {_WARM} traps → end", ends)
        outcome.require(growth <= MOST_GROWTH, f"{100 * growth:.1f} % more resident memory")
        for share, name in ((0.5, "p50"), (0.99, "p99")):
            outcome.figure(f"a request that makes a VM and is answered, {name}", f"{percentile(times, share):.1f} ms")
    return outcome


def trapping(source: bytes) -> bytes:
    """The module, with its callback for request trailers replaced by a trap."""
    module = decode_module(memoryview(source))
    (index,) = [export.index for export in module.exports if export.name == TRAPS]
    assert [export.index for export in module.exports if export.kind is Kind.FUNC].count(index) == 1
    bodies = [source[body.start : body.end] for body in module.bodies]
    bodies[index - len(module.imported(Kind.FUNC))] = TRAP
    code = encode.section(Section.CODE, (encode_unsigned(len(body)) + body for body in bodies))
    result, at = source[: len(encode.PREAMBLE)], len(encode.PREAMBLE)
    for span in module.sections:
        end = span.start + span.size
        result += code if source[at] == Section.CODE else source[at:end]
        at = end
    return result


def _until_it_answers(client: http.client.HTTPConnection) -> float:
    """Milliseconds of the request that made the new VM and was answered."""
    deadline = time.monotonic() + _SECONDS
    while True:
        time.sleep(BACKOFF_SECONDS / 2)
        status, milliseconds = _ask(client)
        if status == 200:
            return milliseconds
        assert time.monotonic() < deadline, f"no new VM within {_SECONDS:g} s; the last answer was {status}"


def _ask(client: http.client.HTTPConnection, *, trailers: bool = False) -> tuple[int, float]:
    """Status and milliseconds of a request."""
    start = time.perf_counter()
    client.putrequest("POST" if trailers else "GET", "/headers")
    if trailers:
        client.putheader("transfer-encoding", "chunked")
        client.endheaders(b"1\r\nx\r\n0\r\nx-trailer: 1\r\n\r\n")
    else:
        client.endheaders()
    answer = client.getresponse()
    answer.read()
    return answer.status, 1000 * (time.perf_counter() - start)
