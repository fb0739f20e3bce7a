"""Streams that a VM holds when it traps: Envoy never answers them, unless its configuration limits their duration."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy
from tests.soak.traps import trapping
from tests.soak.world import manager_of

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

SECONDS = 4.0
LIMITS: dict[str, dict[str, Any]] = {
    "none": {},
    "idle": {"stream_idle_timeout": "2s"},
    "request": {"request_timeout": "2s"},
    "duration": {"common_http_protocol_options": {"max_stream_duration": "2s"}},
}


@pytest.mark.parametrize("limit", LIMITS)
def test_held_streams_after_a_trap(limit: str, built: Callable[[str], Path], tmp_path: Path) -> None:
    module = tmp_path / "trapping.wasm"
    module.write_bytes(trapping(built("held_for_long").read_bytes()))
    config = bootstrap([HttpListener([WasmFilter(module, name="held")])])
    manager_of(config).update({"http_protocol_options": {"enable_trailers": True}} | LIMITS[limit])
    outcomes: list[object] = []
    with Envoy(config) as envoy:
        address = envoy.listeners()["http"]

        def held() -> None:
            client = http.client.HTTPConnection(*address, timeout=SECONDS)
            client.request("GET", "/held")
            try:
                outcomes.append(client.getresponse().status)
            except TimeoutError:
                outcomes.append("no answer")
            client.close()

        clients = [threading.Thread(target=held) for _ in range(5)]
        for client in clients:
            client.start()
        deadline = time.monotonic() + SECONDS
        while envoy.stats("wasmcustom.pwasm").get("wasmcustom.pwasm.held_streams") != len(clients):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        trap = http.client.HTTPConnection(*address, timeout=SECONDS)
        trap.putrequest("POST", "/")
        trap.putheader("transfer-encoding", "chunked")
        trap.endheaders(b"1\r\nx\r\n0\r\nx-trailer: 1\r\n\r\n")
        assert trap.getresponse().status == 503
        trap.close()
        for client in clients:
            client.join()
    assert outcomes == ["no answer" if limit == "none" else 503] * len(clients)
