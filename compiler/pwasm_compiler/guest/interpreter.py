"""The interpreter that a build runs: linked from the base for wasmtime, and compiled; both are cached.

It differs from what is shipped in who implements WASI: here it is the host (`wasi`), with files. Memory and table are
the same, so the memory after a run fits the code that is shipped.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from ..cache import Cache
from ..component.decode import decode_component
from ..component.graph import InstanceGraph, instance_graph
from ..cpython314 import CONSTRUCT, RAISES_RECURSION_ERROR, RELOCATORS
from ..errors import LinkError, ToolError
from ..link.layout import Layout, lay_out
from ..link.merge import merge
from ..link.passes.reachable import reachable
from ..link.passes.stack import find_frames, stack_limit
from ..link.resolve import ABI_MARKER, Target, resolve
from ..wasm.instructions import Space, sites
from ..wasm.module import Kind
from . import machine
from .base import Base, load_base
from .code_cache import linker_version
from .files import FileTree
from .machine import Machine
from .wasi import Wasi

_RELOCATE, _INITIALIZE, _IMPORT = RELOCATORS[0], "pwasm_initialize", "pwasm_import"
_MEMORY_PAGES = 1024 * 1024 * 1024 // 65536
"""Memory limit of a filter's import: as much as Envoy's V8 gives a VM."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`layout` is what is shipped, with the data of componentize-py's snapshot; `start` lists the exports to call."""

    base: Base
    layout: Layout
    start: tuple[str, ...]
    engine: wasmtime.Engine
    module: wasmtime.Module


def load_interpreter(cache: Cache, progress: Callable[[str], None]) -> Interpreter:
    """From the cache, or newly created; that takes seconds, and is announced to `progress`.

    Raises:
        ToolError: the base is missing or damaged, or wasmtime does not run here.
        BinaryError: the component is invalid.
    """
    return interpreter_of(load_base(), cache, progress)


def interpreter_of(base: Base, cache: Cache, progress: Callable[[str], None]) -> Interpreter:
    """The same from any `base`."""
    graph = instance_graph(decode_component(base.component))
    layout = lay_out(resolve(graph, ABI_MARKER), base.component)
    constructors = _constructors(graph, base.component)
    engine = machine.engine()
    key = _key(base)

    def compiled() -> bytes:
        progress("compiling the build-time Python, once per version of pwasm")
        return machine.compile_module(engine, _link(layout, constructors))

    module = machine.load(engine, cache.obtain("machine", key, compiled))
    if module is None:  # for another type of processor: a cache that moved with its disk
        made = compiled()
        cache.write("machine", key, made)
        module = machine.load(engine, made)
    if module is None:
        raise ToolError("wasmtime cannot run its own compiled code")
    return Interpreter(base, layout, (_RELOCATE, *constructors, _INITIALIZE), engine, module)


def start(interpreter: Interpreter, wasi: Wasi, timeout_seconds: float) -> Machine:
    """A started guest that has imported nothing of ours. The same errors as `Machine.run`."""
    guest = Machine(interpreter.engine, interpreter.module, wasi)
    guest.run([(name, None) for name in interpreter.start], timeout_seconds)
    guest.memory.write(*stack_limit(guest.image().memory))
    return guest


def _from_host() -> frozenset[str]:
    return frozenset(Wasi(FileTree(), (), {}, b"").functions())


def _key(base: Base) -> str:
    """Machine code also depends on the engine and on this machine."""
    digest = hashlib.sha256(linker_version() + Path(machine.__file__).read_bytes())
    parts = [base.key, importlib.metadata.version("wasmtime"), platform.system(), platform.machine()]
    digest.update("\n".join([*parts, *sorted(_from_host())]).encode())
    return digest.hexdigest()


def _link(shipped: Layout, constructors: dict[str, int]) -> bytes:
    graph = shipped.plan.graph
    layout = lay_out(resolve(graph, ABI_MARKER, _from_host()), shipped.code, shipped.walks)
    shim, starter = layout.plan.shim, graph.instances[-1]
    exports: dict[str, Target] = {
        name: layout.target(shim.number, shim.exports[name].index) for name in (_RELOCATE, _INITIALIZE, _IMPORT)
    }
    exports |= {name: layout.target(starter.number, index) for name, index in constructors.items()}
    exports["malloc"] = imported_function(layout, "malloc")
    kept = reachable(layout, exports.values())
    frames = find_frames(layout, kept)
    if not frames:  # the code of every module is of this component, so it is enough to look here
        raise LinkError(f"no library of the build-time Python has {RAISES_RECURSION_ERROR}: recursion would end the VM")
    code = merge(layout, kept, exports, frames, export_globals=True)
    return code.module(layout, _MEMORY_PAGES)


def _constructors(graph: InstanceGraph, component: bytes) -> dict[str, int]:
    """The libraries' constructors in their order, as (name to export, index in the last instance).

    The last module, wit-component's, calls them in its start function. The shim has none.
    """
    starter = graph.instances[-1].module
    imported = starter.imported(Kind.FUNC)
    if len(starter.bodies) != 1:
        raise LinkError("the component's last module does not initialise the libraries", offset=starter.offset)
    calls = [site.target for site in sites(component, starter.bodies[0], {}) if site.space is Space.FUNC]
    found = [index for index in calls if index < len(imported) and imported[index].name == CONSTRUCT]
    return {f"pwasm_construct_{number}": index for number, index in enumerate(found)}


def imported_function(layout: Layout, name: str) -> Target:
    """What the shim's import `name` resolves to.

    Raises:
        LinkError: the shim does not import it.
    """
    shim = layout.plan.shim
    for position, item in enumerate(shim.module.imported(Kind.FUNC)):
        if item.name == name:
            return layout.target(shim.number, position)
    raise LinkError(f"the runtime shim does not import {name}", offset=shim.module.offset)
