"""Import a filter in the build-time interpreter and capture its memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..cache import Cache
from ..cpython314 import IMPORTED_AT_START, LIBRARY
from ..errors import BuildError, report_a_bug
from ..link.heap import without_free_memory
from ..link.layout import Layout
from ..link.snapshot import with_memory, without_dead_stack, without_frozen_modules
from .bytecode import Bytecode, Options, cached_path, open_bytecode
from .files import FileTree, Read
from .interpreter import Interpreter, start
from .machine import EXIT, FULL_STACK, TIMEOUT, Image, Stopped
from .record import BuildRecord, printed_meanwhile, read_record
from .staged import ABSENT_FOLDER, GUEST_ROOT, Staged
from .wasi import Wasi


@dataclass(frozen=True, slots=True)
class Frozen:
    """What is shipped, with the memory after the import; `prints` is what was printed and logged during it."""

    layout: Layout
    record: BuildRecord
    prints: str


def freeze(
    interpreter: Interpreter,
    staged: Staged,
    module: str,
    hash_seed: int,
    timeout_seconds: float,
    cache: Cache,
    progress: Callable[[str], None],
) -> Frozen:
    """Import `module` of the staged folder; `progress` is called with what has to be compiled.

    Raises:
        BuildError: the filter could not be imported, registers nothing, or its import did not finish.
    """
    with open_bytecode(interpreter, cache, progress) as bytecode:
        image, prints = _import(interpreter, staged, module, hash_seed, timeout_seconds, bytecode)
        bytecode.save()
    layout = interpreter.layout
    memory = without_dead_stack(layout, image.memory, image.globals)
    memory = without_free_memory(layout, without_frozen_modules(layout, memory))
    frozen = with_memory(layout, memory, image.globals)
    return Frozen(frozen, read_record(frozen, prints), prints)


def _import(
    interpreter: Interpreter, staged: Staged, module: str, hash_seed: int, timeout_seconds: float, bytecode: Bytecode
) -> tuple[Image, str]:
    """The memory image after the import, and what the import printed."""
    files, ahead = _files(interpreter, staged, bytecode)
    root = GUEST_ROOT
    environment = {
        "PYTHONHOME": LIBRARY,
        "PYTHONPATH": f"{LIBRARY}:{root}",
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHON_FROZEN_MODULES": "off",  # the library archive has its own, compiled without docstrings
    }
    wasi = Wasi(files, (LIBRARY, root), environment, str(hash_seed).encode())
    try:
        with bytecode.ahead(ahead):
            guest = start(interpreter, wasi, timeout_seconds)
            (imported,) = guest.run([("pwasm_import", module.encode())], timeout_seconds)
    except Stopped as stopped:
        raise _error(stopped.reason, timeout_seconds, "".join(bytecode.prints + wasi.prints)) from None
    prints = "".join(bytecode.prints + wasi.prints)
    if imported != 0:
        raise BuildError("freezing the filter failed", why=f"{prints}{report_a_bug()}")
    return guest.image(), prints


def _files(interpreter: Interpreter, staged: Staged, bytecode: Bytecode) -> tuple[FileTree, list[Read]]:
    """What the guest sees: the standard library and the stage, both compiled; and what to compile ahead."""
    early = {f"{LIBRARY}/{name}.py" for name in IMPORTED_AT_START}
    files = FileTree()
    ahead: list[Read] = []
    files.add_archive(LIBRARY, interpreter.base.library)
    files.add(f"{LIBRARY}/_colorize.py", (Path(__file__).parent / "inside" / "colorize.py").read_bytes)
    files.add_folder(ABSENT_FOLDER, Path(__file__).parent / "inside" / "absent")
    files.add_folder(GUEST_ROOT, staged.folder)
    own = {f"{GUEST_ROOT}/{name}" for name in staged.own}
    for path in list(files.files()):
        if path.endswith(".py"):
            name, constant = path.removeprefix(GUEST_ROOT + "/"), path.startswith(LIBRARY + "/")
            constant = constant and not path.startswith(ABSENT_FOLDER)  # not from the base's archive
            sdk = name.startswith("pwasm/")
            kept = staged.docstrings and not constant and not sdk
            options = Options(docstrings=kept, annotations=not sdk, columns=path in own)
            read = functools.partial(files.read, path)
            compiled = functools.partial(bytecode.of, name, read, options, constant)
            files.add(cached_path(path), compiled)
            if sdk or path in early:
                ahead.append(compiled)
    return files, ahead


def _error(reason: str, timeout_seconds: float, prints: str) -> BuildError:
    printed = printed_meanwhile(prints)
    if reason == TIMEOUT:
        return BuildError(
            f"importing the filter took longer than {timeout_seconds:g} s",
            why="module-level code runs at build time; is there an endless loop?" + printed,
            hint="move it into on_vm_start, or raise build-timeout in [tool.pwasm]",
        )
    if reason == FULL_STACK:
        return BuildError(
            "importing the filter exhausted the stack",
            why="module-level code recurses too deeply in C: pickle, repr or deletion of nested data" + printed,
            hint="move it into on_vm_start, or reduce the nesting",
        )
    what = "the filter exits the process during import" if reason == EXIT else "the build-time Python crashed"
    return BuildError(what, why=f"{reason}{printed}")
