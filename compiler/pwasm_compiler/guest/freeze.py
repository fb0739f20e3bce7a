"""Import a filter in the build-time interpreter and capture its memory."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..cache import Cache
from ..cpython314 import IMPORTED_AT_START, LIBRARY
from ..errors import BuildError, report_a_bug
from ..link.heap import without_free_memory
from ..link.layout import Layout
from ..link.snapshot import with_memory, without_dead_stack, without_frozen_modules
from .absent import Source, find_absent_imports
from .bytecode import Bytecode, Options, cached_path, guest_record, open_bytecode
from .facts import Facts
from .files import FileTree, Read
from .interpreter import Interpreter, start
from .machine import EXIT, FULL_STACK, TIMEOUT, Image, Machine, Stopped
from .paused_headers import first_awaited_body, never_resumed
from .reach import LateCodec, LateImport, Reach
from .record import BuildRecord, Phase, hint_for, parse_record, printed_meanwhile, read_record
from .staged import ABSENT_FOLDER, ABSENT_MODULE, APP_MODULE, GUEST_ROOT, LATE_MODULES, Staged
from .wasi import Wasi


@dataclass(frozen=True, slots=True)
class Frozen:
    """What is shipped, with the memory after the import."""

    layout: Layout
    record: BuildRecord
    prints: str
    """What was printed and logged during the import."""
    compiler_use: str
    """Where the program may need the compiler at run time ("path:line"), or ""."""
    warnings: tuple[str, ...]
    """What will fail at run time."""
    awaited_body: str
    """The first body callback that may wait ("path:line: Class.method"), or ""."""


_END = "pwasm_end"
_REQUEST = f"{GUEST_ROOT}/pwasm_late"
_CALLS_LATE = f"from pwasm._guest.freeze import late\n\nlate({_REQUEST!r})\n"
_CALLS_FINISH = "from pwasm._guest.freeze import finish\n\nfinish()\n"
_MOST_ROUNDS = 30
_DOCS = re.compile(rb"\b(?:__doc__|getdoc)\b")


def freeze(
    interpreter: Interpreter,
    staged: Staged,
    hash_seed: int,
    timeout_seconds: float,
    cache: Cache,
    progress: Callable[[str], None],
) -> Frozen:
    """Import the staged filter; `progress` is called with what has to be compiled.

    Raises:
        BuildError: the filter could not be imported, registers nothing, or its import did not finish.
    """
    with open_bytecode(interpreter, cache, progress) as bytecode:
        session = _Session(interpreter, staged, bytecode, timeout_seconds)
        image = session.run(hash_seed)
        bytecode.save()
    layout = interpreter.layout
    memory = without_dead_stack(layout, image.memory, image.globals)
    memory = without_free_memory(layout, without_frozen_modules(layout, memory))
    frozen = with_memory(layout, memory, image.globals)
    record = read_record(frozen, session.prints())
    program, own = session.reach.program(), staged.own
    warnings = (*never_resumed(program, own), *session.warnings())
    return Frozen(
        frozen, record, session.prints(), session.reach.compiler_use(), warnings, first_awaited_body(program, own)
    )


class _Session:
    """One import of a filter, phase by phase (see `pwasm._guest.freeze`)."""

    def __init__(self, interpreter: Interpreter, staged: Staged, bytecode: Bytecode, timeout_seconds: float) -> None:
        self._interpreter, self._staged, self._bytecode = interpreter, staged, bytecode
        self._timeout_seconds = timeout_seconds
        self._files = FileTree()
        self._sources: dict[str, Callable[[], Facts]] = {}
        self._new: list[str] = []
        """Sources that the guest has read since the last phase."""
        self._wasi = Wasi(self._files, (), {}, b"")
        self._failed: list[tuple[LateImport, str, str]] = []
        self._unknown: list[LateCodec] = []
        own = [f"{GUEST_ROOT}/{name}" for name in staged.own if name.endswith(".py")]
        self.reach = Reach(self._files, self._facts_of, own)

    def prints(self) -> str:
        """What was printed and logged so far."""
        return "".join(self._bytecode.prints + self._wasi.prints)

    def run(self, hash_seed: int) -> Image:
        """The memory after all phases."""
        ahead = self._fill()
        root = GUEST_ROOT
        environment = {
            "PYTHONHOME": LIBRARY,
            "PYTHONPATH": f"{LIBRARY}:{root}",
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHON_FROZEN_MODULES": "off",  # the library archive has its own, compiled without docstrings
        }
        self._wasi = Wasi(self._files, (LIBRARY, root), environment, str(hash_seed).encode())
        with self._bytecode.ahead(ahead):
            try:
                guest = start(self._interpreter, self._wasi, self._timeout_seconds)
            except Stopped as stopped:
                raise self._error(stopped) from None
            self._phase(guest, APP_MODULE)
            modules = frozenset(self._read_phase(guest).modules)
            self._late(guest, modules)
            self._phase(guest, _END)
        return guest.image()

    def _late(self, guest: Machine, modules: frozenset[str]) -> None:
        """Import what the sources that were read import later, until there is nothing new."""
        done: set[tuple[str, tuple[str, ...]]] = set()
        codecs: set[str] = set()
        imports = [LateImport(module) for module in self._staged.late]
        for number in range(_MOST_ROUNDS):
            found, named = self.reach.follow(self._take_new(), modules)
            wanted = {(one.module, one.names): one for one in reversed([*imports, *found])}
            todo = [one for key, one in reversed(wanted.items()) if key not in done]
            decoded = list({one.name: one for one in reversed(named) if one.name not in codecs}.values())
            if not todo and not decoded:
                return
            done |= wanted.keys()
            codecs |= {one.name for one in decoded}
            lines = [f"import\t{one.module}\t{','.join(one.names)}" for one in todo]
            lines += [f"codec\t{one.name}" for one in decoded]
            self._files.add(_REQUEST, "\n".join(lines).encode)
            self._phase(guest, f"{LATE_MODULES}{number}")
            phase = self._read_phase(guest)
            modules = frozenset(phase.modules)
            self._failed += [(todo[at], kind, message) for at, kind, message in phase.failed]
            self._unknown += [decoded[at] for at in phase.unknown]
            imports = []

    def warnings(self) -> Iterator[str]:
        """What the program imports or decodes when it runs, and cannot; the filter's own imports end the build.

        Raises:
            BuildError: a function of the filter imports what is not there.
        """
        own = frozenset(self._staged.own)
        for late, kind, message in self._failed:
            if not late.place or late.handled:
                continue
            called, is_own = self.reach.calls(late.unit), late.place.partition(":")[0] in own
            if called and is_own:
                raise _never_works(late, kind, message)
            if called or is_own:
                yield f"{late.place} imports {late.module} when it runs, which will fail: {_reason(kind, message)}"
        for codec in self._unknown:
            if codec.place.partition(":")[0] in own:
                yield f"{codec.place} uses the unknown encoding {codec.name!r}"
        for place, found in self.reach.computed.items():
            taken = f"taken are {', '.join(found)}, which the file names; " if found else ""
            yield f"{place} imports a module by a computed name; {taken}add others to [tool.pwasm] include"

    def _phase(self, guest: Machine, module: str) -> None:
        try:
            (imported,) = guest.run([("pwasm_import", module.encode())], self._timeout_seconds)
        except Stopped as stopped:
            raise self._error(stopped) from None
        if imported != 0:
            raise BuildError("freezing the filter failed", why=f"{self.prints()}{report_a_bug()}")

    def _read_phase(self, guest: Machine) -> Phase:
        return parse_record(guest_record(self._interpreter, guest).decode(), Phase, self.prints())

    def _error(self, stopped: Stopped) -> BuildError:
        return _error(stopped.reason, self._timeout_seconds, self.prints())

    def _take_new(self) -> list[str]:
        new, self._new[:] = list(self._new), []
        return new

    def _facts_of(self, path: str) -> Facts:
        return self._sources[path]()

    def _fill(self) -> list[Read]:
        """What the guest sees: the standard library and the stage, both compiled; returns what to compile ahead."""
        staged, files, bytecode = self._staged, self._files, self._bytecode
        early = {f"{LIBRARY}/{name}.py" for name in IMPORTED_AT_START}
        ahead: list[Read] = []
        files.add_archive(LIBRARY, self._interpreter.base.library)
        files.add(f"{LIBRARY}/_colorize.py", (Path(__file__).parent / "inside" / "colorize.py").read_bytes)
        files.add_folder(ABSENT_FOLDER, Path(__file__).parent / "inside" / "absent")
        files.add_folder(GUEST_ROOT, staged.folder)
        files.add(f"{GUEST_ROOT}/{ABSENT_MODULE}.py", self._absent)
        files.add(f"{GUEST_ROOT}/{_END}.py", _CALLS_FINISH.encode)
        for number in range(_MOST_ROUNDS):  # now, because Python remembers what a folder has
            files.add(f"{GUEST_ROOT}/{LATE_MODULES}{number}.py", _CALLS_LATE.encode)
        own = {f"{GUEST_ROOT}/{name}" for name in staged.own}
        documented = self._documented(own)
        for path in list(files.files()):
            if path.endswith(".py"):
                name, constant = path.removeprefix(GUEST_ROOT + "/"), path.startswith(LIBRARY + "/")
                constant = constant and not path.startswith(ABSENT_FOLDER)  # not from the base's archive
                sdk = name.startswith("pwasm/")
                kept = not constant and not sdk and (staged.docstrings or path in documented)
                options = Options(docstrings=kept, annotations=not sdk, columns=path in own)
                read = functools.partial(files.read, path)
                compiled = functools.partial(bytecode.of, name, read, options, constant)
                self._sources[path] = functools.partial(bytecode.facts, name, read, options, constant)
                files.add(cached_path(path), functools.partial(self._read, path, compiled))
                if sdk or path in early:
                    ahead.append(compiled)
        return ahead

    def _absent(self) -> bytes:
        """The module that says who imports what Python does not have here."""
        program = frozenset(self._program())
        sources = {
            path.removeprefix(f"{GUEST_ROOT}/"): Source(functools.partial(self._files.read, path), facts)
            for path, facts in self._sources.items()
            if path in program
        }
        found = find_absent_imports(sources, self._staged.own)
        return f"absent = {None if found is None else dataclasses.asdict(found)!r}\n".encode()

    def _program(self) -> list[str]:
        """The sources of the filter and its dependencies."""
        paths = [path for path in self._files.files() if path.startswith(f"{GUEST_ROOT}/") and path.endswith(".py")]
        generated = (f"{GUEST_ROOT}/pwasm/", f"{GUEST_ROOT}/{LATE_MODULES}", f"{GUEST_ROOT}/{_END}")
        return [path for path in paths if not path.startswith(generated)]

    def _documented(self, own: Collection[str]) -> set[str]:
        """The sources whose docstrings are kept: of packages that read docstrings, and then the filter's own."""
        program = self._program()
        reading = {_top(path) for path in program if self._reads_docs(path)}
        return {path for path in program if _top(path) in reading or (reading and path in own)}

    def _reads_docs(self, path: str) -> bool:
        read = functools.partial(self._files.read, path)
        name = path.removeprefix(f"{GUEST_ROOT}/")
        return _DOCS.search(read()) is not None and bool(self._bytecode.facts(name, read, Options()).docs)

    def _read(self, path: str, compiled: Read) -> bytes:
        """The guest reads a compiled source."""
        self._new.append(path)
        return compiled()


def _top(path: str) -> str:
    """The package or module at the top that a source belongs to."""
    return path.removeprefix(f"{GUEST_ROOT}/").partition("/")[0]


def _reason(kind: str, message: str) -> str:
    return f"{kind}: {message}" if message else kind


def _never_works(late: LateImport, kind: str, message: str) -> BuildError:
    statement = f"from {late.module} import {', '.join(late.names)}" if late.names else f"import {late.module}"
    if kind == "ModuleNotFoundError":
        hint = hint_for(late.module)
    else:
        hint = "remove the import"
    return BuildError(
        f"{late.place}: `{statement}` runs when the function is called, and fails",
        why=_reason(kind, message),
        hint=f"{hint}, or catch ImportError around it",
    )


def _error(reason: str, timeout_seconds: float, prints: str) -> BuildError:
    printed = printed_meanwhile(prints)
    if reason == TIMEOUT:
        return BuildError(
            f"importing the filter took longer than {timeout_seconds:g} s",
            why="module-level code runs at build time: there is much to do, or a loop that never ends" + printed,
            hint="if it only takes long, as a large table may, raise build-timeout in [tool.pwasm]",
        )
    if reason == FULL_STACK:
        return BuildError(
            "importing the filter exhausted the stack",
            why="module-level code recurses too deeply in C: pickle, repr or deletion of nested data" + printed,
            hint="move it into on_vm_start, or reduce the nesting",
        )
    what = "the filter exits the process during import" if reason == EXIT else "the build-time Python crashed"
    return BuildError(what, why=f"{reason}{printed}")
