"""Run the linked interpreter in wasmtime: start it, import a module, read back memory and globals."""

from __future__ import annotations

import ctypes
import functools
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import wasmtime

from ..errors import ToolError
from .wasi import ExitError, Wasi

STACK = 8 << 20
"""Bytes of native stack: CPython's own guard must trigger first, even for recursion through C."""
_UNIMPLEMENTED = 12  # proxy_status_t
_PRINTED = 0
"""Log level of printed output (`pwasm._guest.freeze.PRINTED`)."""


@dataclass(frozen=True, slots=True)
class Image:
    """The result of a run: the whole memory, and the exported mutable globals by name."""

    memory: bytes
    globals: Mapping[str, int]

    def since(self, before: Image) -> Change:
        """What changed in a guest that started from `before`."""
        now, then = self.memory, before.memory
        starts = range(0, len(now), _PIECE)
        changed = [start for start in starts if now[start : start + _PIECE] != then[start : start + _PIECE]]
        runs = itertools.groupby(enumerate(changed), lambda entry: entry[1] - entry[0] * _PIECE)
        places = [[start for _, start in run] for _, run in runs]
        pieces = tuple((run[0], now[run[0] : run[-1] + _PIECE]) for run in places)
        return Change(len(now), pieces, self.globals)


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between two images: the memory size, the changed ranges by address, the globals."""

    size: int
    pieces: tuple[tuple[int, bytes], ...]
    globals: Mapping[str, int]


_PIECE = 4096
"""Granularity of changes: unchanged pages are shared copy-on-write between the guests of a module."""
EXIT, TIMEOUT, FULL_STACK = "exit", "time-out", "full stack"


class Stopped(Exception):  # noqa: N818  not an error by itself: its meaning is up to the caller
    """The guest did not finish; `reason` is one of the three above, or the name of another trap."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def engine() -> wasmtime.Engine:
    """The engine that modules are compiled for and run in."""
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.cranelift_opt_level = "none"  # compiles in three quarters of the time, and builds are not slower
    config.max_wasm_stack = 2 << 20  # the maximum that wasmtime allows without further settings
    return wasmtime.Engine(config)


def compile_module(owner: wasmtime.Engine, module: bytes) -> bytes:
    """Machine code of `module`, for `load`; takes seconds."""
    with _tool_errors():
        return bytes(wasmtime.Module(owner, module).serialize())


def load(owner: wasmtime.Engine, compiled: bytes) -> wasmtime.Module | None:
    """The module of `compiled`, or None if this wasmtime or this processor cannot use it."""
    try:
        return wasmtime.Module.deserialize(owner, compiled)
    except wasmtime.WasmtimeError:
        return None


@contextmanager
def _tool_errors() -> Iterator[None]:
    try:
        yield
    except wasmtime.WasmtimeError as error:
        raise ToolError("wasmtime cannot run the build-time Python here", why=str(error).splitlines()[0]) from error


class _Memory:
    """The guest's memory as `wasi.Guest`; it may move and grow while the guest runs."""

    def __init__(self, store: wasmtime.Store) -> None:
        self.store = store
        self.memory: Any = None
        self.malloc: Any = None

    def _address(self, address: int, size: int) -> int:
        address &= 0xFFFFFFFF
        if address + size > self.memory.data_len(self.store):
            raise IndexError(f"{size} bytes at address {address:#x} are outside the guest's memory")
        return ctypes.addressof(self.memory.data_ptr(self.store).contents) + address

    def read(self, address: int, size: int) -> bytes:
        return ctypes.string_at(self._address(address, size), size)

    def write(self, address: int, data: bytes) -> None:
        ctypes.memmove(self._address(address, len(data)), data, len(data))

    def allocate(self, size: int) -> int:
        address: int = self.malloc(self.store, size) & 0xFFFFFFFF
        if address == 0:
            raise MemoryError
        return address


class Machine:
    """One instance of the interpreter."""

    def __init__(self, owner: wasmtime.Engine, module: wasmtime.Module, wasi: Wasi) -> None:
        self.engine, self.wasi = owner, wasi
        self.store = wasmtime.Store(owner)
        self.memory = _Memory(self.store)
        linker = wasmtime.Linker(owner)
        answers: dict[str, Callable[..., int | None]] = {f"env#{name}": answer for name, answer in self._env().items()}
        answers |= wasi.functions()
        answers |= {f"wasi_snapshot_preview1#{name}": answer for name, answer in wasi.preview1().items()}
        for owner_name, name, kind in _imports(module):
            answer = answers.get(f"{owner_name}#{name}", _unimplemented)
            linker.define_func(owner_name, name, kind, self._bound(answer))
        with _tool_errors():
            self.exports: Any = linker.instantiate(self.store, module).exports(self.store)
        self.memory.memory, self.memory.malloc = self.exports["memory"], self.exports["malloc"]

    def _env(self) -> dict[str, Callable[..., int | None]]:
        return {"proxy_log": functools.partial(_log, self.wasi.prints)}

    def _bound(self, answer: Callable[..., int | None]) -> Callable[..., int | None]:
        """wasmtime keeps this alive as long as the store, so it must not reference the store's owner."""
        memory = weakref.ref(self.memory)
        return lambda *arguments: answer(memory(), *arguments)

    def run(self, steps: list[tuple[str, bytes | None]], timeout: float) -> list[Any]:
        """Call exports in order: each without an argument, or with the address of a NUL-terminated string.

        Raises:
            Stopped: it took longer than `timeout` seconds, trapped, or exited the process.
        """
        results: list[Any] = []
        problem: list[BaseException] = []

        def work() -> None:
            try:
                for name, text in steps:
                    arguments = () if text is None else (self._text(text),)
                    results.append(self.exports[name](self.store, *arguments))
            except BaseException as error:
                problem.append(error)

        self.store.set_epoch_deadline(1)
        thread = _thread_with_stack(work)
        try:
            thread.join(timeout)
        finally:  # also on a user interrupt: no thread may be left behind in the guest
            if thread.is_alive():
                self.engine.increment_epoch()
                thread.join()
        if problem:
            raise _stopped(problem[0])
        return results

    def _text(self, text: bytes) -> int:
        address = self.memory.allocate(len(text) + 1)
        self.memory.write(address, text + b"\0")
        return address

    def restore(self, change: Change) -> None:
        """Continue from the state of another guest, in an instance in which nothing has run yet."""
        memory = self.exports["memory"]
        memory.grow(self.store, (change.size - memory.data_len(self.store)) // memory.page_size(self.store))
        for address, piece in change.pieces:
            self.memory.write(address, piece)
        for name, value in change.globals.items():
            self.exports[name].set_value(self.store, value)

    def image(self) -> Image:
        """The current memory and globals."""
        memory = self.exports["memory"]
        values = {
            str(name): int(item.value(self.store)) & 0xFFFFFFFF
            for name, item in self.exports.items()
            if isinstance(item, wasmtime.Global)
        }
        return Image(ctypes.string_at(memory.data_ptr(self.store), memory.data_len(self.store)), values)


_STACK_SIZE = threading.Lock()
"""Guards the stack size of new threads, which is a process-wide setting."""


def _thread_with_stack(work: Callable[[], None]) -> threading.Thread:
    with _STACK_SIZE:
        before = threading.stack_size(STACK)
        try:
            thread = threading.Thread(target=work, name="pwasm-guest", daemon=True)
            thread.start()
        finally:
            threading.stack_size(before)
    return thread


_REASONS = {wasmtime.TrapCode.INTERRUPT: TIMEOUT, wasmtime.TrapCode.STACK_OVERFLOW: FULL_STACK}


def _stopped(error: BaseException) -> BaseException:
    if isinstance(error, ExitError):
        return Stopped(EXIT)
    if isinstance(error, wasmtime.Trap) and error.trap_code is not None:
        return Stopped(_REASONS.get(error.trap_code, error.trap_code.name.lower().replace("_", " ")))
    if isinstance(error, wasmtime.Trap | wasmtime.WasmtimeError):
        return ToolError("the build-time Python could not be run", why=str(error).splitlines()[0])
    return error


@functools.lru_cache(maxsize=1)
def _imports(module: wasmtime.Module) -> tuple[tuple[str, str, wasmtime.FuncType], ...]:
    """(module, name, type) of each import; wasmtime recreates them on every access."""
    return tuple((item.module, str(item.name), _func_type(item)) for item in module.imports)


def _func_type(item: wasmtime.ImportType) -> wasmtime.FuncType:
    if not isinstance(item.type, wasmtime.FuncType):
        raise TypeError(f"import {item.module}.{item.name} is not a function")
    return item.type


def _log(prints: list[str], guest: _Memory, level: int, message: int, size: int) -> int:
    text = guest.read(message, size).decode("utf-8", "replace")
    prints.append(text if level == _PRINTED else text + "\n")
    return 0


def _unimplemented(_guest: _Memory, *_arguments: int) -> int:
    """Every other hostcall: there is no Envoy at build time, and the SDK raises the error that says so."""
    return _UNIMPLEMENTED
