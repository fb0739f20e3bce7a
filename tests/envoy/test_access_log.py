"""An access logger beside the filter of the same streams, in a real Envoy.

What every tier shows is in tests/sdk/testing/worlds/test_access_log.py.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from tests.support import wire

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]


def test_a_logger_cannot_act_on_the_stream_that_it_logs(built: Callable[[str], Path]) -> None:
    """With the stream selected, a local response would be logged in turn, without an end (K2)."""
    module = built("filter_and_log")
    log = WasmFilter(module, kind="access_log", name="log", configuration="log")
    listener = HttpListener([WasmFilter(module, name="filter")], access_logs=[log])
    with wire.running(bootstrap([listener])) as envoy:
        for _ in range(2):
            with urllib.request.urlopen(envoy.url, timeout=10) as response:
                assert response.status == 200
        envoy.wait_for_log("refused: proxy_set_effective_context", count=2)
        assert [record.text for record in envoy.filter_log if "of the filter's plugin" in record.text] == []
