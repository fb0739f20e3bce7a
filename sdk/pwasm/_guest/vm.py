"""Inside Wasm: the C extension as `Host`, and the start of each VM.

This is the only file that imports the runtime shim. The shim *is* a `_protocols.Host` (its functions have the
signatures of the protocol), so there is no layer between a hostcall in Python and the import `env.proxy_…`.

A VM is a copy of a snapshot that was taken at build time: `_start_vm` initializes whatever differs between VMs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, FunctionType

import _pwasm_shim  # type: ignore[import-not-found]

from .. import _abi
from .._async import never_awaited
from .._dispatch import callbacks
from .._dispatch.callbacks import Dispatcher  # the SDK's own, even if a test replaces the attribute of `callbacks`
from .._dispatch.exports import ignores_request_headers
from .._hostcalls import header_maps
from .._stream import budget, log
from .._stream.current import Current, current
from .._stream.guards import failed
from .._stream.phases import PHASES, STREAM_CREATE
from .._stream.policy import creation_failed, stream_failed
from .._stream.records import Phase, Root, Stream
from .._typing import TYPE_CHECKING, Any, NoReturn, cast
from .._validate import known_names
from . import bundle, randomness

if TYPE_CHECKING:
    from .._protocols import Host

host = cast("Host", _pwasm_shim)

_OF_EVERY_SYSTEM = (
    "dup2", "execv", "execve", "get_terminal_size", "getlogin", "getppid", "kill", "pipe", "spawnl", "spawnle",
    "spawnv", "spawnve", "system", "umask", "waitpid",
)  # fmt: skip
"""What `os` has on Linux, macOS and Windows, and not on WASI. What only some systems have stays away, because those who
use it ask whether it is there."""


def guard_python() -> None:
    """Replace calls that cannot work in a VM; runs before the filter is imported.

    `time.sleep` would block every stream of the worker; `os._exit` and `os.abort` would kill the VM. What `os` has on
    every system is here, too: libraries mention it when they are imported, without asking first (simpleeval lists
    `os.system` among what it forbids).
    """
    import os
    import time

    never_awaited.install()
    never_awaited.is_of_the_filter = bundle.is_own
    _take_shortcuts()
    time.sleep = _sleep  # type: ignore[assignment]
    os._exit = _exit
    os.abort = _abort
    for name in _OF_EVERY_SYSTEM:
        if not hasattr(os, name):
            setattr(os, name, _not_there(name))


def _sleep(seconds: float, /) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    if seconds > 0:
        raise RuntimeError(
            "time.sleep() would block every request of this Envoy worker; use a tick"
            " (set_tick_period_milliseconds) or pause the stream and resume it later"
        )


def _exit(status: int) -> NoReturn:
    raise SystemExit(status)


def _abort() -> NoReturn:
    raise SystemExit("os.abort() was called")


def _not_there(name: str) -> Callable[..., NoReturn]:
    def fails(*_arguments: object, **_options: object) -> NoReturn:
        raise OSError(f"os.{name}() does not work in a VM, which has no processes, pipes, users and terminals")

    fails.__name__ = fails.__qualname__ = name
    return fails


def install(registration: Any) -> tuple[str, ...]:
    """Connect the registered classes to the shim's callbacks; returns the callbacks that must be exported."""
    dispatcher = callbacks.Dispatcher(registration, host)
    callables = {callback.name: getattr(dispatcher, callback.name) for callback in _abi.CALLBACKS}
    ready = tuple(callables[callback.name] for callback in _abi.CALLBACKS)
    first = {**callables, "proxy_on_context_create": _first_context(dispatcher, ready)}
    dispatcher.memory_size = _pwasm_shim.memory_size
    if registration.time_budget:
        budget.start_time(registration.time_budget, _pwasm_shim)
    if registration.step_budget:
        budget.start(registration.step_budget, _pwasm_shim)
    _pwasm_shim.set_callbacks(tuple(first[callback.name] for callback in _abi.CALLBACKS))
    _pwasm_shim.ignore_request_headers(ignores_request_headers(registration))
    dispatcher.hear_requests = _hear_requests
    if type(dispatcher) is Dispatcher:
        _take_over_streams(dispatcher)
    return callbacks.callbacks_used(registration)


def _hear_requests() -> None:
    _pwasm_shim.ignore_request_headers(False)


class Streams(dict[int, Stream]):
    """The dispatcher's streams, most of which the shim stores."""

    def get(self, context_id: int, default: Any = None) -> Any:
        """The stream, or `default`."""
        stream = _pwasm_shim.find_stream(context_id)
        return super().get(context_id, default) if stream is None else stream

    def __setitem__(self, context_id: int, stream: Stream) -> None:
        if not _pwasm_shim.keep_stream(context_id, stream):
            super().__setitem__(context_id, stream)

    def __len__(self) -> int:
        return super().__len__() + int(_pwasm_shim.count_streams())

    def pop(self, context_id: int, default: Any = None) -> Any:
        """Remove and return the stream, or return `default`."""
        stream = _pwasm_shim.forget_stream(context_id)
        return super().pop(context_id, default) if stream is None else stream


def _take_over_streams(dispatcher: Dispatcher) -> None:
    """Let the shim handle common streams in place of the dispatcher, on the same records (runtime-shim, streams.c)."""
    root = Root(0, {})
    dispatcher._streams = Streams()
    phases = tuple(PHASES[callback.name] for callback in _abi.CALLBACKS)
    _pwasm_shim.take_over_streams(
        Stream(0, root),
        root,
        phases,
        tuple(sys.intern(phase.method) for phase in phases),
        dispatcher._roots,
        Stream(0, Root(0, {})),
        STREAM_CREATE,
        _abi.Action.CONTINUE,
        dispatcher._open_for,
        creation_failed,
        callbacks.answered,
        stream_failed,
        _plan,
    )


def _plan(cls: type) -> tuple[FunctionType | None, ...] | None:
    """The methods of a class of HTTP contexts that the shim may cache (runtime-shim, plans.c).

    A function for each callback, None for a callback whose method must be looked up each time. None instead of the
    tuple if new contexts of this class are not all alike, or if user code runs when one is created or destroyed.
    """
    own: dict[str, Any] = {}
    for klass in reversed(cls.__mro__):
        own |= vars(klass)
    if "__del__" in own or type(cls).__call__ is not type.__call__:
        return None
    if any(own[name] is not vars(object)[name] for name in _MAKING):
        return None
    if any(hasattr(type(own.get(name)), "__set__") for name in _SET):
        return None  # a data descriptor: code that runs when the SDK sets the attribute, for each new context
    functions = [own.get(PHASES[callback.name].method) for callback in _abi.CALLBACKS]
    return tuple(one if type(one) is FunctionType else None for one in functions)


_SET = ("context_id", "plugin")
"""The attributes that the SDK sets."""
_MAKING = ("__init__", "__new__", "__setattr__", "__delattr__", "__getattribute__")


def _take_shortcuts() -> None:
    """Replace functions by the shim's equivalents in C (runtime-shim, shortcuts.c)."""
    _pwasm_shim.bind_records(current, host, Current(), Phase("", "", ""))
    _pwasm_shim.make_immutable(_abi.Action)
    shortcuts: dict[Any, Callable[..., Any]] = {}
    for level, function in enumerate(log.LEVELS):
        shortcuts[function] = _shortcut("log", function, level, log.formatted)
    for verb, functions in header_maps.shortcut_candidates.items():
        for one, number in functions:
            shortcuts[one] = _shortcut(verb, one, number, failed)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "pwasm":
            for attribute, value in list(vars(module).items()):
                if type(value) is FunctionType and value in shortcuts:
                    setattr(module, attribute, shortcuts[value])


def _shortcut(verb: str, slow: Callable[..., object], number: int, helper: Callable[..., object]) -> Callable[..., Any]:
    function: Callable[..., Any] = _pwasm_shim.make_shortcut(
        verb, slow.__name__, slow.__module__, slow, number, helper, known_names
    )
    return function


def _first_context(dispatcher: Dispatcher, ready: tuple[Any, ...]) -> Callable[[int, int], None]:
    """Wrap the first callback of a VM, which is always the creation of a root context (spec: "Lifecycle")."""

    def proxy_on_context_create(context_id: int, parent_id: int) -> None:
        _pwasm_shim.set_callbacks(ready)
        _start_vm(dispatcher)
        dispatcher.proxy_on_context_create(context_id, parent_id)

    return proxy_on_context_create


def _start_vm(dispatcher: Dispatcher) -> None:
    """Set up environment and randomness; a failure is only logged, since the filter may need neither."""
    import os

    try:
        _fill_environment()
        dispatcher.hold_headers = os.environ.get("PWASM_HOLD_HEADERS") == "1"
        randomness.seed_all()
    except Exception as error:
        host.proxy_log(_abi.LogLevel.CRITICAL, f"pwasm: starting the VM failed: {error!r}")


def _fill_environment() -> None:
    """Fill `os.environ` from Envoy's `environment_variables`, without anything from the build machine."""
    import os

    os.environ.clear()
    for entry in _pwasm_shim.environment().split(b"\0"):
        name, separator, value = entry.partition(b"=")
        if name and separator:
            os.environ[os.fsdecode(name)] = os.fsdecode(value)


def watch_reads(observer: Callable[[int], FrameType | None]) -> None:
    """From now on, call `observer` before each reading of a clock (0) or drawing of random bytes or numbers (1).

    It returns the frame whose line it has noted, and is not told again of a reading by that frame through the same
    calls, nor of what it reads itself. An exception of it is dropped.
    """
    _pwasm_shim.watch_reads(observer)


def watch_draws(generators: dict[int, Any]) -> None:
    """Include the numbers that are drawn from `generators`, which are by their id."""
    from _random import Random

    _pwasm_shim.watch_draws(generators, Random.random, Random.getrandbits)


def generators_changed() -> None:
    """Say that the dict has, since the shim remembers the generator that was asked last."""
    _pwasm_shim.generators_changed()


def end_watching() -> None:
    """Undo both."""
    _pwasm_shim.watch_reads(None)
    _pwasm_shim.watch_draws()


def set_build_record(record: bytes) -> None:
    """Store `record` in the snapshot for the compiler."""
    _pwasm_shim.set_build_record(record)
