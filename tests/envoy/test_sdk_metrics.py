"""The SDK's metrics and the trace context, as Envoy has them."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm.testing import Answer
from pwasm.testing.worlds.messages import Double
from pwasm.testing.worlds.servers import HttpServer
from pwasm_compiler.envoy.config import HttpListener, Upstream, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-b3-sampled": "1"}
SECONDS = 10


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("which", ["newest", "oldest"])
def test_gauges_and_trace_context(
    built: Callable[[str], Path], envoy_of: Callable[[str], Path | None], which: str, workers: int
) -> None:
    asked: list[dict[str, str]] = []
    go_on = threading.Event()

    def answer(request: object) -> Answer:
        asked.append(dict(request.headers))  # type: ignore[attr-defined]
        go_on.wait(SECONDS)
        return Answer(200)

    service = HttpServer(Double(answer))
    config = bootstrap(
        [HttpListener([WasmFilter(built("traced"), name="traced")])],
        upstreams=[Upstream("127.0.0.1", service.port, "service")],
    )
    with Envoy(config, executable=envoy_of(which), concurrency=workers) as envoy:

        def gauge(name: str) -> int:
            return envoy.stats("wasmcustom.pwasm").get(f"wasmcustom.pwasm.{name}", 0)

        def becomes(name: str, value: int) -> bool:
            deadline = time.monotonic() + SECONDS
            while gauge(name) != value and time.monotonic() < deadline:
                time.sleep(0.02)
            return gauge(name) == value

        client = http.client.HTTPConnection(*envoy.listeners()["http"], timeout=SECONDS)
        client.request("GET", "/", headers=TRACE)
        assert becomes("open_callouts", 1)
        assert gauge("held_streams") == 1
        go_on.set()
        assert client.getresponse().status == 200
        client.close()
        assert becomes("open_callouts", 0)
        assert becomes("held_streams", 0)
        assert gauge("memory_bytes") % 65536 == 0 < gauge("memory_bytes")
    service.close()
    assert {name: value for name, value in asked[0].items() if name in TRACE} == TRACE
