"""The modules that are run under load in Envoy (tests/envoy/test_filters.py), looked at by tools that are not ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm import LogLevel
from pwasm.testing import HostEmulator
from tests.support import wasm_tools
from tests.support.paths import HELLO_WORLD

pytestmark = pytest.mark.wasm

Start = Callable[..., HostEmulator]


@pytest.mark.parametrize("name", [str(HELLO_WORLD), "every_callback", "raises_everywhere", "raises_at_start"])
def test_it_has_no_features_that_old_engines_lack(built: Callable[[str], Path], name: str) -> None:
    wasm_tools.validate(built(name))


@pytest.mark.parametrize(("policy", "status"), [("fail_closed", 500), ("fail_open", 200)])
def test_raising_in_every_callback_in_wasmtime(start: Start, policy: str, status: int) -> None:
    host = start("raises_everywhere", plugin_configuration=f"all exception {policy}")
    for _ in range(3):
        assert host.request("POST", "/", body=[b"two ", b"pieces"]).status == status
        host.tick()
    assert any("on_tick failed" in record for record in host.logs_at(LogLevel.ERROR))


@pytest.mark.parametrize("where", ["vm", "plugin"])
def test_raising_at_start_in_wasmtime(start: Start, where: str) -> None:
    host = start("raises_at_start", vm_configuration=where)
    assert not host.started
    assert any("RuntimeError: refused at start" in text for _, text in host.logs)
