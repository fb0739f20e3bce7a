"""The reference filter in Go and its Python counterpart, compiled, in wasmtime: same responses, also to an error.

What can be seen from outside stands in the suite that both share (tests/envoy/test_twins.py runs it in each tier); here
a host refuses to add the header, which no Envoy does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm import LogLevel
from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from tests.support.paths import FILTERS

pytestmark = pytest.mark.wasm

TWINS = ["hello_world", "go_reference"]
INTERNAL_FAILURE = 10


class Refusing(HostEmulator):
    """A host that adds no header."""

    def proxy_add_header_map_value(self, *_arguments: Any) -> int:
        return INTERNAL_FAILURE


@pytest.mark.parametrize("name", TWINS)
def test_the_header_is_added(built: Callable[[str], Path], name: str) -> None:
    module = built(str(FILTERS / name))
    host = HostEmulator(plugin=lambda host: WasmPlugin(module, host))
    for path in ("/one", "/two"):
        response = host.request("GET", path)
        assert response.headers.get_all("x-wasm-custom") == ["FOO"]
        assert response.paused is None
    assert host.logs_at(LogLevel.INFO) == ["adding the header"] * 2


@pytest.mark.parametrize("name", TWINS)
def test_an_error_pauses_the_response(built: Callable[[str], Path], name: str) -> None:
    module = built(str(FILTERS / name))
    host = Refusing(plugin=lambda host: WasmPlugin(module, host))
    response = host.request("GET", "/one")
    assert response.paused == "response"
    (message,) = host.logs_at(LogLevel.CRITICAL)
    assert message.startswith("failed to add the header: ")
