"""The build, stage by stage: `build` is the table of contents."""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import held_headers
from ..cache import Cache, cache_limit, evict
from ..component.graph import Item
from ..errors import BuildError
from ..files import check_writable, scratch_folder, write_atomically
from ..guest.code_cache import cached_merge
from ..guest.freeze import Frozen, freeze
from ..guest.interpreter import imported_function, load_interpreter
from ..guest.record import BuildRecord
from ..guest.staged import DataFile, Staged
from ..link.inlining import spend_budgets
from ..link.layout import Layout
from ..link.passes.cuts import compiler, find_cpython, unused_modules
from ..link.passes.trim import Cut
from ..link.resolve import ABI_MARKER
from ..project import Project
from ..trim_options import COMPILER
from ..wasm.decode import decode_module
from ..wasm.instructions import self_check
from ..wasm.module import PAGE
from .data_files import note_of
from .dependencies import locked_hashes
from .module_record import ModuleRecord
from .stage import content_digest, ignore, stage
from .verify import hostcalls_of, verify_build


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
    hash_seed: int = 0
    written: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    """Each registered class with the callbacks its author defined, None for a factory; empty for other compilers."""
    notes: tuple[str, ...] = ()
    """What the author should know about where the filter can run, and about what is in the module."""
    data_files: tuple[DataFile, ...] = ()


_STAGES = {
    # name in the report → progress message
    "stage": "collecting files",
    "runtime": "loading the build-time Python",
    "freeze": "importing the filter",
    "link": "linking",
    "verify": "verifying the module",
    "write": "writing the module",
}


@dataclass
class _Clock:
    """Announces stages and times them."""

    progress: Callable[[str], None]
    stages: list[tuple[str, float]] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Announce the current stage."""
        self.progress(f"[{len(self.stages) + 1}/{len(_STAGES)}] {text}")

    @contextmanager
    def stage(self, name: str) -> Any:
        self.say(_STAGES[name])
        start = time.perf_counter()
        yield
        self.stages.append((name, time.perf_counter() - start))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause garbage collection: the linker creates a million objects without cycles, all scanned again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_no_collection()
def build(project: Project, output: Path, *, progress: Callable[[str], None] = ignore) -> Artifact:
    """Build `project` into the core Wasm module `output`, which is replaced only by a finished module.

    The same files give the same bytes: the hash seed is a digest of all inputs, unless the project sets one.

    Raises:
        ProjectError: the filter's folder or dependencies are unusable.
        BuildError: the filter could not be imported or frozen.
        BinaryError: the component or the linked module is invalid.
        ToolError: a tool is missing, or `output` cannot be written.
    """
    clock, start = _Clock(progress), time.perf_counter()
    cache = Cache(waiting=clock.say)
    began = time.time()
    self_check()
    check_writable(output)
    limit = cache_limit()
    with scratch_folder() as scratch:
        with clock.stage("stage"):
            staged = stage(project, scratch, cache, clock.say)
            seed = _seed_of(staged) if project.hash_seed is None else project.hash_seed
        with clock.stage("runtime"):
            interpreter = load_interpreter(cache, clock.say)
        with clock.stage("freeze"):
            frozen = freeze(interpreter, staged, seed, project.build_timeout_seconds, cache, clock.say)
    cuts, removed = _cuts(frozen, project)
    record = _module_record(frozen.record, staged, seed, removed, locked_hashes(project))
    with clock.stage("link"):
        module, names = _link(frozen.layout, record, cuts, project, cache)
    with clock.stage("verify"):
        finished = decode_module(memoryview(module))
        verify_build(finished)
    with clock.stage("write"):
        write_atomically(output, module)
        write_atomically(output.with_name(output.name + ".names"), "\n".join(names).encode())
        evict(cache.folder, limit, began)
    return Artifact(
        output,
        len(module),
        hashlib.sha256(module).hexdigest(),
        time.perf_counter() - start,
        tuple(clock.stages),
        tuple(record.callbacks),
        hostcalls_of(finished),
        (*staged.warnings, *frozen.record.warnings, *frozen.warnings, *filter(None, [cache.problem])),
        frozen.prints,
        hash_seed=seed,
        written=record.written,
        notes=(
            *held_headers.notes(record.hold_headers, frozen.awaited_body),
            *filter(None, [note_of(staged.data_files)]),
        ),
        data_files=staged.data_files,
    )


def _seed_of(staged: Staged) -> int:
    """The hash seed derived from this content; never 0, which would turn hash randomisation off."""
    return int.from_bytes(content_digest(staged.folder)[:4], "big") or 1


def _module_record(
    made: BuildRecord, staged: Staged, seed: int, removed: tuple[str, ...], hashes: Mapping[str, str]
) -> ModuleRecord:
    return ModuleRecord(
        made.sdk,
        made.python,
        made.callbacks,
        made.written,
        made.modules,
        staged.dependencies,
        seed,
        removed,
        made.hold_headers,
        hashes,
    )


def _cuts(frozen: Frozen, project: Project) -> tuple[dict[Item, Cut], tuple[str, ...]]:
    """What is left out of the module, and its names for `[tool.pwasm] keep`."""
    layout = frozen.layout
    cpython = find_cpython(layout)
    unused = unused_modules(layout, cpython, project.keep)
    cuts, removed = dict(unused.values()), sorted(unused)
    if COMPILER not in project.keep and not frozen.compiler_use:
        cuts |= compiler(layout, cpython)
        removed.insert(0, COMPILER)
    return cuts, tuple(removed)


def _memory_pages(layout: Layout, project: Project) -> int:
    """How much the module's memory may grow.

    Raises:
        BuildError: the filter takes all of it when it starts.
    """
    pages, taken = project.memory_max_mib * (1 << 20) // PAGE, layout.memory.minimum
    if taken >= pages:
        mib = -(-taken * PAGE // (1 << 20))
        raise BuildError(
            f"the filter takes {mib} MiB of memory when it starts, and may have {project.memory_max_mib} MiB",
            hint="give it more with `memory` in [tool.pwasm], up to 1024, or load less when it is imported",
        )
    return pages


def _link(
    layout: Layout, record: ModuleRecord, cuts: dict[Item, Cut], project: Project, cache: Cache
) -> tuple[bytes, tuple[str, ...]]:
    shim = layout.plan.shim
    wanted = (*record.callbacks, ABI_MARKER)
    exports = {name: layout.target(shim.number, shim.exports[name].index) for name in wanted}
    allocate = imported_function(layout, "malloc")
    exports |= {"malloc": allocate, "proxy_on_memory_allocate": allocate}
    code = cached_merge(layout, exports, cache, cuts)
    module = code.module(layout, _memory_pages(layout, project)) + record.section()
    if project.v8_inlining:
        return module, code.names
    spent = spend_budgets(decode_module(memoryview(module)))
    return spent.wasm, (*code.names, *spent.names)
