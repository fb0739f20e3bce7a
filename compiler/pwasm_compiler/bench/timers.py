"""A module that measures its own callbacks in place: in Envoy's V8.

Each exported callback gets a wrapper that reads the host's monotonic clock before and after, adds the difference to one
Envoy counter, and counts the call in another. The time includes the filter's hostcalls, but not the two counters. The
cost of reading the clock is measured as well, so that it can be subtracted.

A wrapper needs memory for what the host writes. It borrows some from the module for the duration of a hostcall, and
restores its contents afterwards: no part of memory is certain to be unused.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.leb128 import encode_signed, encode_unsigned
from pwasm_compiler.wasm.module import I32, I64, ConstExpr, FuncType, Global, GlobalType, Kind

from .instrument import Edit, Function
from .report import Callback

_CLOCK = ("wasi_snapshot_preview1", "clock_time_get", FuncType(bytes([I32, I64, I32]), bytes([I32])))
_DEFINE = ("env", "proxy_define_metric", FuncType(bytes([I32] * 4), bytes([I32])))
_INCREMENT = ("env", "proxy_increment_metric", FuncType(bytes([I32, I64]), bytes([I32])))

PREFIX = "wasmcustom."
"""Envoy's prefix for the name of a counter."""
_BORROWED = 1024
"""The address of the 24 borrowed bytes: 16 for a name, 8 for a number."""
_READINGS = 1000
_MONOTONIC = 1
_NOT_TIMED = ("proxy_on_memory_allocate",)


@dataclass(frozen=True)
class Timed:
    """A module with wrappers, and its callbacks in the order of their counters."""

    wasm: bytes
    callbacks: tuple[str, ...]


@dataclass(frozen=True)
class CallbackTime:
    """Seconds in one callback, over all its calls."""

    name: str
    calls: int
    seconds: float


def with_timers(wasm: bytes) -> Timed:
    """The module with a clock around each callback.

    Raises:
        UnsupportedError: the module uses unsupported features.
    """
    edit = Edit(decode_module(memoryview(wasm)), (_CLOCK, _DEFINE, _INCREMENT))
    callbacks = tuple(
        sorted(
            (item.name, item.index)
            for item in edit.original.exports
            if item.kind is Kind.FUNC and item.name.startswith("proxy_on_") and item.name not in _NOT_TIMED
        )
    )
    calls = _Calls(*edit.imported)
    calibrate = _once(edit, calls)
    for number, (name, index) in enumerate(callbacks):
        identifiers = [edit.add_global(_NO_METRIC) for _ in _SUFFIXES]
        define = edit.add(Function(_NOTHING, calibrate + _define(calls, number, identifiers), bytes([I64] * 4)))
        edit.exports[name] = edit.add(_wrapper(edit, calls, index, define, identifiers))
    return Timed(edit.finish(), tuple(name for name, _ in callbacks))


def read(timed: Timed, stats: Mapping[str, int]) -> tuple[tuple[CallbackTime, ...], float]:
    """The values of the counters, and the seconds per reading of the clock (included in each call's time)."""
    times = []
    for number, name in enumerate(timed.callbacks):
        calls, nanoseconds = (stats.get(PREFIX + _name(number, suffix), 0) for suffix in _SUFFIXES)
        times.append(CallbackTime(name, calls, nanoseconds / 1e9))
    calibrations = stats.get(PREFIX + _name(_CLOCK_NUMBER, _SUFFIXES[0]), 0)
    spent = stats.get(PREFIX + _name(_CLOCK_NUMBER, _SUFFIXES[1]), 0)
    return tuple(times), spent / 1e9 / calibrations if calibrations else 0.0


def between(
    before: tuple[CallbackTime, ...], after: tuple[CallbackTime, ...], clock: float, requests: int
) -> tuple[Callback, ...]:
    """The time of each called callback between two readings, over this number of requests."""
    found = []
    for old, new in zip(before, after, strict=True):
        calls = new.calls - old.calls
        if calls:
            seconds = (new.seconds - old.seconds) / calls - clock
            found.append(Callback(new.name, calls / requests, max(1e6 * seconds, 0.0)))
    return tuple(found)


# --- the code of the new functions (core spec §5.4) -----------------------------------------------------------------

_NOTHING = FuncType(b"", b"")
_SUFFIXES = ("calls", "nanos")
_CLOCK_NUMBER = 999
_NO_METRIC = Global(GlobalType(I32, True), ConstExpr(I32, -1))
_DROP, _ELSE_NOTHING, _MINUS = b"\x1a", b"\x0b", b"\x7d"
_LONG = 10**9  # a second, as the initial minimum


@dataclass(frozen=True)
class _Calls:
    """The indices of the host's functions."""

    clock: int
    define: int
    increment: int


def _name(number: int, suffix: str) -> str:
    """The name of a counter: at most 16 characters, to fit into the borrowed memory."""
    return f"pwasm_t{number:03}_{suffix}"


def _const(value: int) -> bytes:
    return b"\x41" + encode_signed(value)


def _const64(value: int) -> bytes:
    return b"\x42" + encode_signed(value)


def _call(index: int) -> bytes:
    return b"\x10" + encode_unsigned(index)


def _get(local: int) -> bytes:
    return b"\x20" + encode_unsigned(local)


def _set(local: int) -> bytes:
    return b"\x21" + encode_unsigned(local)


def _load64(address: int) -> bytes:
    return _const(address) + b"\x29\x00\x00"


def _store64(address: int, value: bytes) -> bytes:
    return _const(address) + value + b"\x37\x00\x00"


def _clock(calls: _Calls) -> bytes:
    return _const(_MONOTONIC) + _const64(0) + _const(_BORROWED) + _call(calls.clock) + _DROP


def _now(calls: _Calls, saved: int, result: int) -> bytes:
    """Set the local `result` to the time; the local `saved` preserves the memory."""
    kept = _load64(_BORROWED) + _set(saved)
    return kept + _clock(calls) + _load64(_BORROWED) + _set(result) + _store64(_BORROWED, _get(saved))


def _increment(calls: _Calls, identifier: int, amount: bytes) -> bytes:
    return b"\x23" + encode_unsigned(identifier) + amount + _call(calls.increment) + _DROP


def _wrapper(edit: Edit, calls: _Calls, index: int, define: int, identifiers: list[int]) -> Function:
    """(parameters) → result: time, call, time, count."""
    kind = edit.type_of(index)
    saved = len(kind.params)
    begin, end, result = saved + 1, saved + 2, saved + 3
    has_result = bool(kind.results)
    defined = b"\x23" + encode_unsigned(identifiers[0]) + _const(0) + b"\x48\x04\x40" + _call(define) + _ELSE_NOTHING
    code = (
        _now(calls, saved, begin)
        + b"".join(map(_get, range(len(kind.params))))
        + _call(edit.moved(index))
        + (_set(result) if has_result else b"")
        + _now(calls, saved, end)
        + defined
        + _increment(calls, identifiers[0], _const64(1))
        + _increment(calls, identifiers[1], _get(end) + _get(begin) + _MINUS)
        + (_get(result) if has_result else b"")
    )
    return Function(kind, code, bytes([I64, I64, I64]) + kind.results)


def _define(calls: _Calls, number: int, identifiers: list[int]) -> bytes:
    """Code that defines the two counters of a callback and stores their identifiers; locals 0 to 2 are free."""
    restore = b"".join(_store64(_BORROWED + 8 * at, _get(at)) for at in range(3))
    code = b"".join(_load64(_BORROWED + 8 * at) + _set(at) for at in range(3))
    for identifier, suffix in zip(identifiers, _SUFFIXES, strict=True):
        text = _name(number, suffix).encode()
        words = struct.unpack("<qq", text.ljust(16, b"\0"))
        code += b"".join(_store64(_BORROWED + 8 * at, _const64(word)) for at, word in enumerate(words))
        code += _const(0) + _const(_BORROWED) + _const(len(text)) + _const(_BORROWED + 16) + _call(calls.define) + _DROP
        code += _const(_BORROWED + 16) + b"\x28\x00\x00\x24" + encode_unsigned(identifier)
    return code + restore


def _once(edit: Edit, calls: _Calls) -> bytes:
    """Code that reads the clock many times, on its first run in a VM; the locals 0 to 3 are free.

    The shortest time between two readings counts: in all others, the thread may have been descheduled.
    """
    identifiers = [edit.add_global(_NO_METRIC) for _ in _SUFFIXES]
    left = edit.add_global(Global(GlobalType(I32, True), ConstExpr(I32, _READINGS)))
    variable = encode_unsigned(left)
    one_less = b"\x23" + variable + _const(1) + b"\x6b\x24" + variable
    again = b"\x23" + variable + b"\x0d\x00"
    elapsed = _get(2) + _get(1) + _MINUS
    shorter = elapsed + _get(3) + elapsed + _get(3) + b"\x54\x1b" + _set(3)
    loop = b"\x03\x40" + _now(calls, 0, 2) + shorter + _get(2) + _set(1) + one_less + again + b"\x0b"
    body = (
        _define(calls, _CLOCK_NUMBER, identifiers)
        + _const64(_LONG)
        + _set(3)
        + _now(calls, 0, 1)
        + loop
        + _increment(calls, identifiers[0], _const64(1))
        + _increment(calls, identifiers[1], _get(3))
    )
    return b"\x23" + variable + b"\x04\x40" + body + b"\x0b"
