"""Compiled sources: most of a build would be spent on compiling the same standard library and SDK.

Each file is compiled by itself in a fresh copy of an interpreter that has just started: what `marshal` writes depends
a little on what a process compiled before, and a module must not depend on what happened to be in the cache.
"""

from __future__ import annotations

import hashlib
import marshal
import posixpath
import struct
from collections.abc import Callable

from ..cache import Cache
from ..link.memory import global_address
from .base import LIBRARY
from .files import FileTree
from .interpreter import Interpreter, start
from .machine import Image, Machine
from .wasi import Wasi

_KIND = "bytecode"
_LARGEST_PACK = 16 << 20
_ROOM = "/0"
_TIMEOUT_SECONDS = 60
_CACHE_TAG = "cpython-314"

# A file with the code as PEP 552 has it: hash-based, and nobody is to check the hash.
_COMPILE = """\
import marshal
import _frozen_importlib_external
import _pwasm_shim

with open("/0/name", "rb") as file:
    name = file.read().decode()
with open("/0/source", "rb") as file:
    source = file.read()
try:
    code = compile(source, name, "exec", dont_inherit=True)
except Exception:
    result = b""  # whoever imports it sees why
else:
    result = _frozen_importlib_external.MAGIC_NUMBER + bytes((1, 0, 0, 0)) + bytes(8) + marshal.dumps(code)
_pwasm_shim.set_build_record(result)
"""


def cached_path(source: str) -> str:
    """Where Python looks for the compiled form of `source` (PEP 3147)."""
    folder, name = posixpath.split(source)
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.{_CACHE_TAG}.pyc"


class Bytecode:
    """The compiled form of sources, kept in one file of the cache for each base."""

    def __init__(self, interpreter: Interpreter, cache: Cache) -> None:
        self._interpreter, self._cache = interpreter, cache
        self._key = hashlib.sha256(f"{interpreter.base.key}\n{_COMPILE}".encode()).hexdigest()
        stored = cache.read(_KIND, self._key)
        self._known: dict[bytes, bytes] = {} if stored is None else marshal.loads(stored)
        self._used: dict[bytes, bytes] = {}
        self._started: tuple[Image, Wasi] | None = None

    def of(self, name: str, read: Callable[[], bytes], constant: bool = False) -> bytes:
        """The `.pyc` of a source that tracebacks call `name`; empty when it cannot be compiled.

        `constant` says that the source belongs to the base, so that it need not be read to know its compiled form.
        """
        key = name.encode() if constant else hashlib.sha256(name.encode() + b"\0" + read()).digest()
        found = self._used.get(key)
        if found is None:
            known = self._known.get(key)
            found = self._used[key] = self._compile(name, read()) if known is None else known
        return found

    def save(self) -> None:
        """Keep what was compiled; the older part goes when it grows too large."""
        if self._used.keys() <= self._known.keys():
            return
        pack = {**self._known, **self._used}
        if sum(map(len, pack.values())) > _LARGEST_PACK:
            pack = self._used
        self._cache.write(_KIND, self._key, marshal.dumps(pack))

    def _compile(self, name: str, source: bytes) -> bytes:
        if self._started is None:
            self._started = self._start()
        image, wasi = self._started
        wasi.files.add(f"{_ROOM}/name", name.encode)
        wasi.files.add(f"{_ROOM}/source", lambda: source)
        guest = Machine(self._interpreter.engine, self._interpreter.module, wasi.copy())
        guest.restore(image)
        guest.run([("pwasm_import", b"pwasm_compile")], _TIMEOUT_SECONDS)
        return _record(self._interpreter, guest)

    def _start(self) -> tuple[Image, Wasi]:
        """An interpreter that has started and compiled nothing."""
        environment = {"PYTHONHOME": LIBRARY, "PYTHONPATH": f"{LIBRARY}:{_ROOM}", "PYTHONHASHSEED": "1"}
        files = FileTree()
        files.add_archive(LIBRARY, self._interpreter.base.library)
        files.add(f"{_ROOM}/pwasm_compile.py", _COMPILE.encode)
        wasi = Wasi(files, (LIBRARY, _ROOM), environment | {"PYTHONDONTWRITEBYTECODE": "1"}, b"")
        return start(self._interpreter, wasi, _TIMEOUT_SECONDS).image(), wasi


def _record(interpreter: Interpreter, guest: Machine) -> bytes:
    address = global_address(interpreter.layout, "pwasm_build_record")
    pointer, size = struct.unpack("<II", guest.memory.read(address, 8))
    return guest.memory.read(pointer, size)
