"""How much an import executes: wasmtime counts instructions, which depend on nothing else on the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from pwasm_compiler.build.stage import ignore, stage
from pwasm_compiler.cache import Cache
from pwasm_compiler.guest import interpreter, machine
from pwasm_compiler.guest.base import load_base
from pwasm_compiler.guest.freeze import freeze
from pwasm_compiler.guest.staged import APP_MODULE
from pwasm_compiler.project import load_project

_PLENTY = 1 << 60
_TIMEOUT_SECONDS = 300


class _Counting(machine.Machine):
    """Notes the instructions of the import of the filter."""

    imports: list[int]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.store.set_fuel(_PLENTY)

    def run(self, steps: list[tuple[str, bytes | None]], timeout: float) -> list[Any]:
        before = self.store.get_fuel()
        try:
            return super().run(steps, timeout)
        finally:
            if steps == [("pwasm_import", APP_MODULE.encode())]:  # the compiler and Python's start are runs, too
                self.imports.append(before - self.store.get_fuel())


def counter(folder: Path) -> Callable[[str], int]:
    """`count(source)`: the instructions of importing a filter of this text; `folder` is for what is built meanwhile."""
    original = machine.engine

    def engine() -> wasmtime.Engine:
        config = wasmtime.Config()
        config.epoch_interruption = config.consume_fuel = True
        config.cranelift_opt_level = "none"
        config.max_wasm_stack = 2 << 20
        return wasmtime.Engine(config)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "engine", engine)
        counting = interpreter.interpreter_of(load_base(), Cache(folder / "cache"), ignore)
    assert machine.engine is original

    def count(source: str) -> int:
        project = folder / "project"
        project.mkdir(exist_ok=True)
        (project / "filter.py").write_text(source, encoding="utf-8")
        with pytest.MonkeyPatch.context() as patch:
            _Counting.imports = []
            patch.setattr(interpreter, "Machine", _Counting)
            scratch = folder / f"stage{len(list(folder.iterdir()))}"
            scratch.mkdir()
            staged = stage(load_project(project), scratch, Cache(), ignore)
            freeze(counting, staged, 1, _TIMEOUT_SECONDS, Cache(), ignore)
        (found,) = _Counting.imports
        return found

    return count
