"""A VM in wasmtime is freed when it is no longer used: a process that creates thousands must not keep them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from pwasm_compiler.build.pipeline import build
from pwasm_compiler.errors import BuildError
from pwasm_compiler.project import load_project

pytestmark = pytest.mark.wasm


def test_that_of_a_plugin(built: Callable[[str], Path]) -> None:
    module = built("probe")
    host = HostEmulator(plugin=lambda host: WasmPlugin(module, host))
    host.request("GET", "/")
    store = weakref.ref(host.plugin._store)  # type: ignore[attr-defined]
    assert store() is not None
    del host
    gc.collect()
    assert store() is None


@pytest.mark.parametrize("text", ["import pwasm\n\npwasm.set_http_context(pwasm.HttpContext)\n", "1 / 0\n"])
def test_those_of_a_build(tmp_path: Path, text: str) -> None:
    (tmp_path / "filter.py").write_text(text)
    counts = []
    for _ in range(2):
        try:
            build(load_project(tmp_path), tmp_path / "main.wasm")
        except BuildError:
            assert text.startswith("1")
        gc.collect()
        counts.append(sum(isinstance(found, wasmtime.Store) for found in gc.get_objects()))
    assert counts[0] == counts[1]
