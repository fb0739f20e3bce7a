"""Recursion of every kind in Envoy's V8: each costs its own request an exception, and no VM is lost."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy
from tests.support.recursion_cases import check

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]


@pytest.mark.parametrize("which", ["newest", "oldest"])
def test_recursion(built: Callable[[str], Path], envoy_of: Callable[[str], Path | None], which: str) -> None:
    config = bootstrap([HttpListener([WasmFilter(built("deep"), name="deep")])])
    with Envoy(config, executable=envoy_of(which)) as envoy:
        host, port = envoy.listeners()["http"]

        def ask(path: str) -> str:
            with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=60) as response:
                body: bytes = response.read()
                return body.decode()

        check(ask)
        assert {name: value for name, value in envoy.stats("wasm.").items() if "vm_reload" in name and value} == {}
