"""Compiled filters under wasmtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin


@pytest.fixture
def start(built: Callable[[str], Path]) -> Callable[..., HostEmulator]:
    """`start(name, …)`: a host with the compiled module of tests/projects/<name> in it."""

    def make(name: str, *, environment: dict[str, str] | None = None, **options: object) -> HostEmulator:
        module = built(name)
        return HostEmulator(
            plugin=lambda host: WasmPlugin(module, host, environment=environment),
            **options,  # type: ignore[arg-type]
        )

    return make
