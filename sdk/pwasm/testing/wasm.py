"""`WasmPlugin`: a compiled `main.wasm` under wasmtime, behind the same `Plugin` protocol as the SDK's dispatcher.

A test body that drives a plugin through `_protocols.Plugin` runs against the Python class and against the module. It
works with any Proxy-Wasm module, including those built from Go or Rust.

wasmtime is configured like Envoy's V8, so that results are the same: the stack of wasm code is limited to about the
size that V8 provides, a VM's memory to 1 GiB, and WASI consists of the few functions that Envoy links
(proxy-wasm-cpp-host, src/exports.cc).
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pwasm_compiler.cache import cache_dir

from .. import _abi
from .._abi import LogLevel, Status
from .deadline import FilterHangs, entering_wasm, wasm_is_here
from .emulator.base import Part
from .emulator.clock import Clock
from .wasm_rules import ALLOWED, problem_of_exports

if TYPE_CHECKING:
    import wasmtime

    from .._protocols import Host

STACK_BYTES = 984 * 1024
"""V8's default stack size for wasm code, for which Envoy has no option (measured: about 984 kB)."""
MEMORY_BYTES = 1 << 30
"""Envoy's memory limit of a VM (`--wasm_max_mem_pages=16384`)."""

_ERRNO_SUCCESS, _ERRNO_BADF, _ERRNO_INVAL, _ERRNO_NOENT, _ERRNO_NOSYS, _ERRNO_NOTSUP = 0, 8, 28, 44, 52, 58
_RANDOM_MAX = 65536


class WasmTrap(RuntimeError):  # noqa: N818, "trap" is the established term
    """The module trapped. In Envoy this ends the worker's VM; the message contains the engine's backtrace."""


class WasmLoadError(RuntimeError):
    """The module cannot be loaded: it is invalid, or imports functions that Envoy does not provide."""


def _wasmtime() -> Any:
    try:
        import wasmtime
    except ImportError as error:
        raise WasmLoadError("running main.wasm in a test needs wasmtime: pip install wasmtime") from error
    return wasmtime


class WasmPlugin:
    """A VM that runs `module_path`, whose hostcalls go to `host`.

    Args:
        module_path: a core Wasm module of the Proxy-Wasm ABI.
        host: implements `env.proxy_*`; if it is an emulator, WASI's clocks are the emulator's too.
        environment: the variables that WASI's `environ_get` returns, like Envoy's `environment_variables`.

    Raises:
        WasmLoadError: the file is not a loadable module.
    """

    def __init__(
        self, module_path: str | os.PathLike[str], host: Host, *, environment: Mapping[str, str] | None = None
    ) -> None:
        engine_api = _wasmtime()
        self.host = host
        self._clock = host.clock if isinstance(host, Part) else Clock()
        self.path = Path(module_path)
        self._environment = [f"{name}={value}".encode() + b"\0" for name, value in (environment or {}).items()]
        self._module = _compiled(self.path)
        self._store: wasmtime.Store = engine_api.Store(_engine())
        self._store.set_limits(memory_size=MEMORY_BYTES)
        self._store.set_epoch_deadline(1)
        entering_wasm()
        try:
            instance = self._linker().instantiate(self._store, self._module)
        except (engine_api.WasmtimeError, engine_api.Trap) as error:
            raise WasmLoadError(f"{self.path}: {error}") from error
        self._exports: Mapping[str, Any] = instance.exports(self._store)
        self._export_running = ""
        problem = problem_of_exports(self._module)
        if problem:
            raise WasmLoadError(f"{self.path}: {problem}")
        self.memory: wasmtime.Memory = self._exports["memory"]
        allocate = self._export("malloc") or self._export("proxy_on_memory_allocate")
        if allocate is None:
            raise WasmLoadError(f"{self.path}: exports neither malloc nor proxy_on_memory_allocate")
        self._malloc: Any = allocate
        for start in ("_initialize", "_start"):
            function = self._export(start)
            if function is not None:
                self._call(start, function)
                break
        if start == "_initialize" and (main := self._export("main")) is not None:
            self._call("main", main, 0, 0)  # Envoy ignores the result

    def _export(self, name: str) -> Any:
        try:
            return self._exports[name]
        except KeyError:
            return None

    def hears(self, export: str, context_id: int) -> bool:  # noqa: ARG002
        """Whether the module has this callback."""
        return self._export(export) is not None

    @property
    def pages(self) -> int:
        """Size of the linear memory in pages of 64 KiB."""
        return self.memory.size(self._store)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A callback of the ABI; one that the module does not export behaves like Envoy's built-in default."""
        callback = _CALLBACKS.get(name)
        if callback is None:
            raise AttributeError(name)
        function = self._export(name)
        bound: Callable[..., Any]
        if function is None:
            bound = _default(callback)
        else:
            bound = functools.partial(self._callback, callback, function)
        setattr(self, name, bound)
        return bound

    def _callback(self, callback: _abi.Callback, function: Any, *arguments: int) -> Any:
        result = self._call(callback.name, function, *(_signed32(int(argument)) for argument in arguments))
        if callback.result == "bool":
            return bool(result)
        return None if not callback.result else int(result)

    def _call(self, name: str, function: Any, *arguments: int) -> Any:
        engine_api = _wasmtime()
        self._store.set_epoch_deadline(1)
        entering_wasm()
        outer, self._export_running = self._export_running, name
        try:
            return function(self._store, *arguments)
        except (engine_api.Trap, engine_api.WasmtimeError) as error:
            if getattr(error, "trap_code", None) == engine_api.TrapCode.INTERRUPT:
                raise FilterHangs(f"{name} of {self.path} did not return in time; it was at\n{error}") from error
            raise WasmTrap(f"{name} trapped: {error}") from error
        finally:
            self._export_running = outer

    # --- hostcalls ---------------------------------------------------------------------------------------------

    def _linker(self) -> Any:
        engine_api = _wasmtime()
        linker = engine_api.Linker(_engine())
        wanted = {(item.module, item.name): item.type for item in self._module.imports}
        for (module, name), func_type in wanted.items():
            function = _host_function(module, name)
            if function is None:
                raise WasmLoadError(f"{self.path}: imports {module}.{name}, which Envoy does not offer")
            linker.define_func(module, name, func_type, self._unless_restricted(name, function))
        return linker

    def _unless_restricted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """While the module starts, and in malloc, Envoy allows only few calls (docs/abi.md §1.8, case 4).

        wasmtime keeps the returned function as long as the store exists, so the function must not refer to the plugin,
        which refers to the store: no VM would ever be freed.
        """
        weak = weakref.ref(self)

        def checked(*arguments: int) -> Any:
            plugin = weak()
            assert plugin is not None, "it is what runs"
            allowed = ALLOWED.get(plugin._export_running)
            if allowed is not None and name not in allowed:
                raise WasmTrap(f"restricted_callback: {name} may not be called in {plugin._export_running}")
            return function(plugin, *arguments)

        return checked

    def _hostcall(self, *raw: int, call: _abi.Hostcall) -> int:
        """Read the arguments from memory, call the host, and write its results to the addresses the module passed."""
        words = iter(raw)
        try:
            arguments = [_READ[kind](self, words) for kind in _abi.kinds(call.params)]
        except IndexError:
            return Status.INVALID_MEMORY_ACCESS
        answer = getattr(self.host, call.name)(*arguments)
        if not call.results:
            return int(answer)
        status, *results = answer
        if status == Status.OK:
            for kind, result in zip(_abi.kinds(call.results), results, strict=True):
                if not _WRITE[kind](self, words, result):
                    if call.name == "proxy_call_foreign_function" and isinstance(self.host, Part):
                        self.host.kill("K13")
                    return Status.INVALID_MEMORY_ACCESS
        return int(status)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the module's memory; IndexError outside it."""
        address &= 0xFFFFFFFF
        size &= 0xFFFFFFFF
        if address + size > self.memory.data_len(self._store):
            raise IndexError(address)
        return bytes(self.memory.read(self._store, address, address + size))

    def write(self, address: int, data: bytes) -> bool:
        """Write into the module's memory; False outside it."""
        address &= 0xFFFFFFFF
        if address + len(data) > self.memory.data_len(self._store):
            return False
        self.memory.write(self._store, data, address)
        return True

    def _write_u32(self, words: Any, value: int) -> bool:
        return self.write(next(words), (value & 0xFFFFFFFF).to_bytes(4, "little"))

    def _write_u64(self, words: Any, value: int) -> bool:
        return self.write(next(words), (value & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little"))

    def _write_bytes(self, words: Any, value: bytes) -> bool:
        """As in Envoy: an empty value is a null pointer, any other is written to memory from the module's malloc."""
        address = 0
        if value:
            address = self._call("malloc", self._malloc, len(value)) & 0xFFFFFFFF
            if address == 0 or not self.write(address, value):
                return False
        return self._write_u32(words, address) and self._write_u32(words, len(value))

    # --- WASI, as Envoy implements it --------------------------------------------------------------------------

    def _fd_write(self, descriptor: int, vectors: int, count: int, written: int) -> int:
        if descriptor not in (1, 2):
            return _ERRNO_BADF
        text = b""
        for index in range(count):
            vector = self.read(vectors + 8 * index, 8)
            text += self.read(int.from_bytes(vector[:4], "little"), int.from_bytes(vector[4:], "little"))
        if text:
            level = LogLevel.INFO if descriptor == 1 else LogLevel.ERROR
            self.host.proxy_log(level, text.removesuffix(b"\n"))
        self.write(written, len(text).to_bytes(4, "little"))
        return _ERRNO_SUCCESS

    def _clock_time_get(self, clock: int, precision: int, result: int) -> int:
        if clock not in _CLOCKS:
            return _ERRNO_NOTSUP
        now = time.monotonic_ns() if precision == _REAL_TIME else _CLOCKS[clock](self._clock)
        self.write(result, now.to_bytes(8, "little"))
        return _ERRNO_SUCCESS

    def _random_get(self, address: int, size: int) -> int:
        if not 0 <= size <= _RANDOM_MAX:
            return _ERRNO_INVAL
        self.write(address, os.urandom(size))
        return _ERRNO_SUCCESS

    def _poll_oneoff(self, _subscriptions: int, _events: int, _count: int, happened: int) -> int:
        """Returns immediately, with no event."""
        self.write(happened, bytes(4))
        return _ERRNO_SUCCESS

    def _environ_sizes_get(self, count: int, size: int) -> int:
        self.write(count, len(self._environment).to_bytes(4, "little"))
        self.write(size, sum(map(len, self._environment)).to_bytes(4, "little"))
        return _ERRNO_SUCCESS

    def _environ_get(self, pointers: int, buffer: int) -> int:
        for index, entry in enumerate(self._environment):
            self.write(pointers + 4 * index, buffer.to_bytes(4, "little"))
            self.write(buffer, entry)
            buffer += len(entry)
        return _ERRNO_SUCCESS

    def _no_arguments(self, count: int, size: int) -> int:
        self.write(count, bytes(4))
        self.write(size, bytes(4))
        return _ERRNO_SUCCESS

    def _fd_fdstat_get(self, descriptor: int, result: int) -> int:
        if descriptor not in (1, 2):
            return _ERRNO_BADF
        self.write(result, bytes(24))
        return _ERRNO_SUCCESS


def _host_function(module: str, name: str) -> Callable[..., Any] | None:
    """The implementation of an import, which takes the plugin as first argument; None if Envoy does not have it."""
    if module == "env" and name in _HOSTCALLS:
        return functools.partial(WasmPlugin._hostcall, call=_HOSTCALLS[name])
    return _WASI.get(name) if module in ("wasi_snapshot_preview1", "wasi_unstable") else None


def _errno(value: int) -> Callable[..., int]:
    def answer(_plugin: WasmPlugin, *_arguments: int) -> int:
        return value

    return answer


def _proc_exit(_plugin: WasmPlugin, _status: int) -> None:
    """Only returns; Envoy logs and returns too."""


_WASI: dict[str, Callable[..., Any]] = {
    "fd_write": WasmPlugin._fd_write,
    "clock_time_get": WasmPlugin._clock_time_get,
    "random_get": WasmPlugin._random_get,
    "environ_sizes_get": WasmPlugin._environ_sizes_get,
    "environ_get": WasmPlugin._environ_get,
    "args_sizes_get": WasmPlugin._no_arguments,
    "args_get": _errno(_ERRNO_SUCCESS),
    "fd_fdstat_get": WasmPlugin._fd_fdstat_get,
    "fd_read": _errno(_ERRNO_NOSYS),
    "fd_seek": _errno(_ERRNO_SUCCESS),
    "fd_close": _errno(_ERRNO_SUCCESS),
    "fd_prestat_get": _errno(_ERRNO_BADF),
    "fd_prestat_dir_name": _errno(_ERRNO_NOSYS),
    "path_open": _errno(_ERRNO_NOENT),
    "fd_fdstat_set_flags": _errno(_ERRNO_NOSYS),
    "sched_yield": _errno(_ERRNO_SUCCESS),
    "poll_oneoff": WasmPlugin._poll_oneoff,
    "proc_exit": _proc_exit,
}

_REAL_TIME = 0x7277
"""The precision with which the shim asks for the time that really passes (wasi.c): a budget is no use otherwise."""
_CLOCKS: dict[int, Callable[[Clock], int]] = {
    0: lambda clock: clock.now_nanoseconds,
    1: lambda clock: clock.since_some_start("monotonic"),
}
_READ: dict[str, Callable[[WasmPlugin, Any], Any]] = {
    "u32": lambda _plugin, words: next(words) & 0xFFFFFFFF,
    "i32": lambda _plugin, words: next(words),
    "i64": lambda _plugin, words: next(words),
    "bool": lambda _plugin, words: bool(next(words)),
    "bytes": lambda plugin, words: plugin.read(next(words), next(words)),
    "text": lambda plugin, words: plugin.read(next(words), next(words)),
}
_WRITE: dict[str, Callable[[WasmPlugin, Any, Any], bool]] = {
    "u32": WasmPlugin._write_u32,
    "u64": WasmPlugin._write_u64,
    "bytes": WasmPlugin._write_bytes,
}
_HOSTCALLS = {call.name: call for call in _abi.HOSTCALLS}
_CALLBACKS = {callback.name: callback for callback in _abi.CALLBACKS}


def _default(callback: _abi.Callback) -> Callable[..., Any]:
    result = {"bool": True, "action": 0}.get(callback.result)
    return lambda *_arguments: result


def _signed32(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


@functools.cache
def _engine() -> Any:
    engine_api = _wasmtime()
    config = engine_api.Config()
    config.max_wasm_stack = STACK_BYTES
    config.epoch_interruption = True
    return engine_api.Engine(config)


def interrupt_all() -> None:
    """Interrupt all running wasm code; see `deadline.limit`."""
    if _modules:
        _engine().increment_epoch()


def _compiled(path: Path) -> Any:
    """The compiled module, from a cache keyed by its contents; wasmtime refuses entries of other versions itself."""
    try:
        wasm = path.read_bytes()
    except OSError as error:
        raise WasmLoadError(f"{path}: {error.strerror}") from error
    return _compile(hashlib.sha256(wasm).hexdigest(), wasm, path)


_DIGEST = hashlib.sha256().digest_size
_modules: dict[str, Any] = {}
atexit.register(_modules.clear)  # while wasmtime can still free them
atexit.register(_engine.cache_clear)


def _compile(digest: str, wasm: bytes, path: Path) -> Any:
    if digest in _modules:
        return _modules[digest]
    entry = cache_dir() / "wasmtime" / f"{digest}.cwasm"
    module = _kept(entry)
    if module is None:
        try:
            module = _wasmtime().Module(_engine(), wasm)
        except _wasmtime().WasmtimeError as error:
            raise WasmLoadError(f"{path}: {error}") from error
        _keep(entry, module.serialize())
    _modules[digest] = module
    return module


def _kept(entry: Path) -> Any:
    """The cached module; None if the entry is damaged, which wasmtime would not notice before running it."""
    try:
        stored = entry.read_bytes()
    except OSError:
        return None
    digest, code = stored[:_DIGEST], stored[_DIGEST:]
    if hashlib.sha256(code).digest() != digest:
        return None
    try:
        return _wasmtime().Module.deserialize(_engine(), code)
    except _wasmtime().WasmtimeError:  # from another version, or for another processor
        return None


def _keep(entry: Path, contents: bytes) -> None:
    """Write a cache entry; failing to do so is not an error."""
    scratch = entry.with_suffix(f".{os.getpid()}")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(hashlib.sha256(contents).digest() + contents)
        scratch.replace(entry)
    except OSError:
        with suppress(OSError):
            scratch.unlink()


wasm_is_here(WasmPlugin._call.__code__, interrupt_all)
