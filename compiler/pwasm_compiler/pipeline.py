"""The build, stage by stage: `build` is the table of contents."""

from __future__ import annotations

import ast
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import tools
from .code_cache import cached_merge
from .component.decode import decode_component
from .component.graph import InstanceGraph, instance_graph
from .errors import BuildError, PwasmError, ToolError
from .link.layout import Layout, lay_out
from .link.memory import global_address, read_memory
from .link.passes.stack import limit_stack
from .link.resolve import LinkPlan, resolve
from .project import Project
from .stage import APP_MODULE, stage
from .verify import RECORD_SECTION, verify_build
from .wasm import encode
from .wasm.decode import decode_module
from .wasm.module import PAGE, Kind

ABI_MARKER = "proxy_abi_version_0_2_1"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished build. Times in seconds, sizes in bytes."""

    path: Path
    size: int
    sha256: str
    seconds: float
    stages: tuple[tuple[str, float], ...]
    callbacks: tuple[str, ...]
    hostcalls: tuple[str, ...]
    warnings: tuple[str, ...]
    prints: str
    backend: str = "python"
    toolchain: str = "componentize-py"


@dataclass
class _Clock:
    """Announces stages and times them."""

    progress: Callable[[str], None]
    stages: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Any:
        self.progress(name)
        start = time.perf_counter()
        yield
        self.stages.append((name, time.perf_counter() - start))


def ignore(_message: str) -> None:
    """A progress callback that shows nothing."""


def build(project: Project, output: Path, *, progress: Callable[[str], None] = ignore) -> Artifact:
    """Build `project` into the core Wasm module `output`, which is replaced only by a finished module.

    Raises:
        ProjectError: the filter's folder or dependencies are not usable.
        BuildError: the filter could not be imported or frozen.
        BinaryError: the component or the linked module is not what it must be.
        ToolError: a tool is missing, or `output` cannot be written.
    """
    clock, start = _Clock(progress), time.perf_counter()
    check_writable(output)
    with tempfile.TemporaryDirectory(prefix="pwasm-") as scratch:
        component, staged = _component(project, Path(scratch), clock)
    with clock.stage("decode"):
        layout = limit_stack(lay_out(_plan(component), component))
    record = _record(layout)
    with clock.stage("link"):
        module, names = _link(layout, record["callbacks"], project.memory_max_mib, record, staged)
    with clock.stage("verify"):
        finished = decode_module(memoryview(module))
        verify_build(finished)
    with clock.stage("write"):
        write_atomically(output, module)
        write_atomically(output.with_name(output.name + ".names"), "\n".join(names).encode())
    hostcalls = tuple(item.name for item in finished.imports if item.module == "env")
    return Artifact(
        output,
        len(module),
        hashlib.sha256(module).hexdigest(),
        time.perf_counter() - start,
        tuple(clock.stages),
        tuple(record["callbacks"]),
        hostcalls,
        tuple(record["warnings"]),
        record["prints"],
    )


def _component(project: Project, scratch: Path, clock: _Clock) -> tuple[bytes, tuple[str, ...]]:
    folder, output = scratch / "stage", scratch / "component.wasm"
    folder.mkdir()
    with clock.stage("stage"):
        staged = stage(project, folder)
    with clock.stage("freeze"):
        tools.componentize(folder, APP_MODULE, output, project.build_timeout_seconds)
        return output.read_bytes(), staged.dependencies


def _plan(component: bytes) -> LinkPlan:
    graph: InstanceGraph = instance_graph(decode_component(component))
    return resolve(graph, ABI_MARKER)


def _record(layout: Layout) -> dict[str, Any]:
    """What the guest left for us (see `pwasm._freeze`).

    Raises:
        BuildError: the filter could not be imported, or registers nothing.
    """
    address = global_address(layout, "pwasm_build_record")
    pointer, size = (int.from_bytes(read_memory(layout, address + at, 4), "little") for at in (0, 4))
    if size == 0:
        raise BuildError("the filter was not frozen", why="the guest left no build record")
    record: dict[str, Any] = ast.literal_eval(read_memory(layout, pointer, size).decode())
    error = record.get("error")
    if error is not None:
        raise _build_error(error, record["prints"])
    return record


def _build_error(error: dict[str, Any], prints: str) -> PwasmError:
    printed = f"\n(printed while it was imported)\n{prints.rstrip()}" if prints.strip() else ""
    if error["kind"] == "registration":
        what, _, hint = error["message"].partition("hint: ")
        return BuildError(what.strip(), hint=hint.strip())
    if error["kind"] == "include":
        return BuildError(
            f"module {error['module']!r} of [tool.pwasm] include cannot be imported",
            why=error["message"],
            hint="add its distribution to the dependencies in pyproject.toml",
        )
    what = "the filter cannot be imported"
    hint = ""
    if error["type"] == "ModuleNotFoundError":
        what = f"the filter imports {error['module']!r}, which is not there"
        hint = "add its distribution to [project] dependencies in pyproject.toml; it must be pure Python"
        if error["module"] in _NOT_IN_WASM:
            hint = f"{error['module']} does not exist in a Wasm module: {_NOT_IN_WASM[error['module']]}"
    elif error["type"] == "SystemExit":
        what = "the filter ends the process while it is imported"
        hint = "top-level code runs at build; remove the call of sys.exit()"
    return BuildError(what, why=error["traceback"].rstrip() + printed, hint=hint)


_NOT_IN_WASM = {
    "ssl": "Envoy does TLS",
    "_ssl": "Envoy does TLS",
    "ctypes": "native code cannot be loaded",
    "_ctypes": "native code cannot be loaded",
    "multiprocessing": "there are no processes",
    "_multiprocessing": "there are no processes",
}


def _link(
    layout: Layout, callbacks: list[str], memory_mib: int, record: dict[str, Any], dependencies: tuple[str, ...]
) -> tuple[bytes, tuple[str, ...]]:
    shim = layout.plan.shim
    exports = {name: layout.target(shim.number, shim.exports[name].index) for name in (*callbacks, ABI_MARKER)}
    allocate = _imported_function(layout, "malloc")
    exports |= {"malloc": allocate, "proxy_on_memory_allocate": allocate}
    code = cached_merge(layout, exports)
    module = code.module(layout, memory_mib * (1 << 20) // PAGE)
    shown = {key: record[key] for key in ("sdk", "python", "callbacks", "modules")} | {"dependencies": dependencies}
    return module + encode.custom_section(RECORD_SECTION, repr(shown).encode()), code.names


def _imported_function(layout: Layout, name: str) -> Any:
    """What the shim's import `name` stands for."""
    shim = layout.plan.shim
    for position, item in enumerate(shim.module.imported(Kind.FUNC)):
        if item.name == name:
            return layout.target(shim.number, position)
    raise BuildError(f"the runtime shim does not import {name}", hint="this is a bug of pwasm; please report it")


def check_writable(output: Path) -> None:
    """Raise `ToolError` early when `output` cannot be written: a build takes seconds."""
    folder = output.parent
    if output.is_dir():
        raise ToolError(f"cannot write {output}", why="it is a folder", hint="name a file with -o")
    if not folder.is_dir():
        raise ToolError(f"cannot write {output}", why=f"the folder {folder} does not exist")
    if not os.access(folder, os.W_OK) or (output.exists() and not os.access(output, os.W_OK)):
        raise ToolError(f"cannot write {output}", why="permission denied", hint="choose another place with -o")


def write_atomically(path: Path, data: bytes) -> None:
    """Write `path` in one step: readers see the old file or the new one, never a part."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(data)
        scratch.replace(path)
    except OSError as error:
        raise ToolError(f"cannot write {path}", why=error.strerror or str(error)) from error
    finally:
        scratch.unlink(missing_ok=True)
