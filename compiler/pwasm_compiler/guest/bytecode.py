"""Compiled sources, cached: most of a build would be spent on compiling the same standard library and SDK.

Each file is compiled by itself in a fresh copy of an interpreter that has just started: what `marshal` writes depends
slightly on what a process compiled before, and a module must not depend on the state of the cache. So it does not
matter who compiles first either, and several threads may.
"""

from __future__ import annotations

import functools
import hashlib
import marshal
import posixpath
import struct
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..cache import Cache
from ..cpython314 import CACHE_TAG, COMPILES_TEXT, LIBRARY, MODULES_THAT_COMPILE
from ..errors import BuildError, report_a_bug
from ..link.memory import global_address
from .facts import Facts, read_facts
from .files import FileTree
from .interpreter import Interpreter, start
from .machine import Change, Machine, Stopped
from .record import RECORD
from .wasi import Wasi

_KIND = "bytecode"
_LARGEST_PACK = 16 << 20
_ROOM = "/0"
_TIMEOUT_SECONDS = 60
_THREADS = 2
"""Threads that compile ahead. The guest runs without the GIL, but its requests are served in Python."""

_TABLES = "".join(
    f"{name} = frozenset({sorted(names)!r})\n"
    for name, names in (("COMPILES_TEXT", COMPILES_TEXT), ("MODULES_THAT_COMPILE", MODULES_THAT_COMPILE))
)
_INSIDE = {
    name: (Path(__file__).parent / "inside" / name).read_bytes()
    for name in ("pwasm_compile.py", "pwasm_facts.py", "pwasm_conditions.py", "pwasm_tree.py")
} | {"pwasm_tables.py": _TABLES.encode()}


def cached_path(source: str) -> str:
    """Where Python looks for the compiled form of `source` (PEP 3147)."""
    folder, name = posixpath.split(source)
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.{CACHE_TAG}.pyc"


@dataclass(frozen=True, slots=True)
class Options:
    """What is left out of compiled code; `columns` of instructions are only useful where the source is available, so
    they are kept for the filter's own files.
    """

    docstrings: bool = False
    annotations: bool = True
    columns: bool = False

    def letters(self) -> str:
        """The options passed to the guest (see `inside/pwasm_compile.py`)."""
        return ("" if self.docstrings else "d") + ("" if self.annotations else "a")


class Bytecode:
    """Compiled sources, kept in one cache file per base."""

    def __init__(self, interpreter: Interpreter, cache: Cache, progress: Callable[[str], None]) -> None:
        self._interpreter, self._cache, self._progress = interpreter, cache, progress
        self._key = hashlib.sha256(f"{interpreter.base.key}\n".encode() + b"".join(_INSIDE.values())).hexdigest()
        stored = cache.read(_KIND, self._key)
        self.known: dict[bytes, bytes] = {} if stored is None else marshal.loads(stored)
        """What was in the cache."""
        self._used: dict[bytes, bytes] = {}
        self._warned: set[bytes] = set()
        self.prints: list[str] = []
        """Warnings printed while compiling the filter's own files."""
        self._started: dict[bool, tuple[Change, Wasi]] = {}
        self._running: dict[bytes, Future[bytes]] = {}
        self._lock = threading.RLock()

    def of(self, name: str, read: Callable[[], bytes], options: Options, constant: bool = False) -> bytes:
        """The `.pyc` of a source that tracebacks call `name`; empty if it cannot be compiled."""
        return _split(self._of(name, read, options, constant))[1]

    def facts(self, name: str, read: Callable[[], bytes], options: Options, constant: bool = False) -> Facts:
        """What that source says; nothing if it cannot be compiled."""
        return read_facts(_split(self._of(name, read, options, constant))[0].decode())

    def _of(self, name: str, read: Callable[[], bytes], options: Options, constant: bool) -> bytes:
        """The facts and the `.pyc`, as the guest has written them.

        `constant` means that the source belongs to the base, so it need not be read to look up its compiled form.
        """
        head = f"{name}\0{options}\0".encode()
        key = head if constant else hashlib.sha256(head + read()).digest()
        with self._lock:
            found = self._used.get(key, self.known.get(key))
            if found is not None:
                self._used[key] = found
                return found
            running = self._running.get(key)
            if running is None:
                mine = self._running[key] = Future()
                self._progress(f"importing the filter; compiling module {len(self._running)}")
        if running is not None:
            return running.result()
        try:
            found, printed = self._compile(name, read(), options)
        except BaseException as error:
            mine.set_exception(error)
            raise
        if found and printed and options.columns:
            self._warned.add(key)  # compile again in the next build, so that it warns, too
            self.prints += printed
        self._used[key] = found
        mine.set_result(found)
        return found

    @contextmanager
    def ahead(self, wanted: Collection[Callable[[], bytes]]) -> Iterator[None]:
        """While the block runs, other threads make the calls of `of` in `wanted`, in order."""
        pool = ThreadPoolExecutor(_THREADS, "pwasm-bytecode")
        try:
            for call in wanted:
                pool.submit(call)
            yield
        finally:
            pool.shutdown(cancel_futures=True)

    def save(self) -> None:
        """Store what was compiled; older entries are dropped when it grows too large."""
        used = {key: code for key, code in self._used.items() if key not in self._warned}
        if used.keys() <= self.known.keys():
            return
        pack = {**self.known, **used}
        if sum(map(len, pack.values())) > _LARGEST_PACK:
            pack = used
        self._cache.write(_KIND, self._key, marshal.dumps(pack))

    def _compile(self, name: str, source: bytes, options: Options) -> tuple[bytes, list[str]]:
        with self._lock:
            if options.columns not in self._started:
                self._started[options.columns] = self._start(options.columns)
            started, wasi = self._started[options.columns]
        files = wasi.files.copy()
        files.add(f"{_ROOM}/name", f"{options.letters()} {name}".encode)
        files.add(f"{_ROOM}/source", lambda: source)
        guest = Machine(self._interpreter.engine, self._interpreter.module, wasi.copy(files))
        guest.restore(started)
        try:
            (imported,) = guest.run([("pwasm_import", b"pwasm_compile")], _TIMEOUT_SECONDS)
        except Stopped:
            return b"", []  # importing it will report the same error
        if imported != 0:  # without its facts, what the source imports later would be missing, and nobody would know
            raise BuildError(f"{name} could not be read", why=f"{''.join(guest.wasi.prints)}{report_a_bug()}")
        return guest_record(self._interpreter, guest), guest.wasi.prints

    def _start(self, columns: bool) -> tuple[Change, Wasi]:
        """A freshly started interpreter that has compiled nothing."""
        environment = {"PYTHONHOME": LIBRARY, "PYTHONPATH": f"{LIBRARY}:{_ROOM}", "PYTHONHASHSEED": "1"}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1"} | ({} if columns else {"PYTHONNODEBUGRANGES": "1"})
        files = FileTree()
        files.add_archive(LIBRARY, self._interpreter.base.library)
        for name, text in _INSIDE.items():
            files.add(f"{_ROOM}/{name}", functools.partial(bytes, text))
        wasi = Wasi(files, (LIBRARY, _ROOM), environment, b"")
        before = Machine(self._interpreter.engine, self._interpreter.module, wasi)
        started = start(self._interpreter, wasi, _TIMEOUT_SECONDS)
        started.run([("pwasm_import", b"pwasm_facts")], _TIMEOUT_SECONDS)
        return started.image().since(before.image()), wasi


@contextmanager
def open_bytecode(interpreter: Interpreter, cache: Cache, progress: Callable[[str], None]) -> Iterator[Bytecode]:
    """For a build. Of several builds on a new machine, the first compiles what all need, and the others wait."""
    found = Bytecode(interpreter, cache, progress)
    if found.known:
        yield found
        return
    with cache.alone(_KIND):
        yield Bytecode(interpreter, cache, progress)


def _split(found: bytes) -> tuple[bytes, bytes]:
    """The facts and the code."""
    end = 4 + int.from_bytes(found[:4], "little")
    return found[4:end], found[end:]


def guest_record(interpreter: Interpreter, guest: Machine) -> bytes:
    """The record that a guest has left."""
    address = global_address(interpreter.layout, RECORD)
    pointer, size = struct.unpack("<II", guest.memory.read(address, 8))
    return guest.memory.read(pointer, size)
