"""Inside Wasm: the C extension as `Host`, and what every VM needs when it starts.

The only file that imports the runtime shim. The shim *is* a `_abi.Host` (its functions have the signatures of the
protocol), so nothing lies between a hostcall in Python and the import `env.proxy_…`.

A VM is a copy of a snapshot that was taken at build: whatever differs from VM to VM is made fresh in `_start_vm`.
"""

from __future__ import annotations

from collections.abc import Callable

import _pwasm_shim  # type: ignore[import-not-found]

from . import _abi, _budget, _dispatch, _randomness
from ._typing import Any, NoReturn, cast

host = cast("_abi.Host", _pwasm_shim)


def guard_python() -> None:
    """Replace the calls that cannot work here; runs before the filter is imported.

    `time.sleep` would block every stream of the worker, `os._exit` and `os.abort` would kill the VM.
    """
    import os
    import time

    time.sleep = _sleep  # type: ignore[assignment]
    os._exit = _exit
    os.abort = _abort


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


def install(registration: Any) -> tuple[str, ...]:
    """Wire the registered classes to the shim's callbacks; returns the callbacks that must be exported."""
    dispatcher = _dispatch.Dispatcher(registration, host)
    callables = {callback.name: getattr(dispatcher, callback.name) for callback in _abi.CALLBACKS}
    ready = tuple(callables[callback.name] for callback in _abi.CALLBACKS)
    first = {**callables, "proxy_on_context_create": _first_context(callables["proxy_on_context_create"], ready)}
    if registration.step_budget:
        _budget.start(registration.step_budget, _pwasm_shim)
    _pwasm_shim.set_callbacks(tuple(first[callback.name] for callback in _abi.CALLBACKS))
    return _dispatch.callbacks_used(registration)


def _first_context(on_context_create: Callable[[int, int], None], ready: tuple[Any, ...]) -> Callable[[int, int], None]:
    """The first callback of a VM is always the creation of a root context (spec: "Lifecycle")."""

    def proxy_on_context_create(context_id: int, parent_id: int) -> None:
        _pwasm_shim.set_callbacks(ready)
        _start_vm()
        on_context_create(context_id, parent_id)

    return proxy_on_context_create


def _start_vm() -> None:
    """Fresh environment and randomness; a failure is logged, for the filter may well need neither."""
    try:
        _fill_environment()
        _randomness.seed_all()
    except Exception as error:
        host.proxy_log(_abi.LogLevel.CRITICAL, f"pwasm: starting the VM failed: {error!r}")


def _fill_environment() -> None:
    """`os.environ` is what Envoy's `environment_variables` say, and nothing of the build machine's."""
    import os

    os.environ.clear()
    for entry in _pwasm_shim.environment().split(b"\0"):
        name, separator, value = entry.partition(b"=")
        if name and separator:
            os.environ[os.fsdecode(name)] = os.fsdecode(value)


def reads() -> tuple[int, int]:
    """How often a clock was read, and random bytes were asked for, since the interpreter started."""
    clock, random = divmod(_pwasm_shim.reads(), 1 << 32)
    return clock, random


def set_build_record(record: bytes) -> None:
    """Leave `record` in the snapshot for the linker."""
    _pwasm_shim.set_build_record(record)
