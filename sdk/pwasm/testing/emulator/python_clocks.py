"""Makes Python's clocks show the emulator's time while a filter's classes run in this process.

A main.wasm gets the time from its host; classes get it from CPython. time-machine redirects the wall clocks
(`time.time`, `datetime.now`, `time.localtime` …) to us, and `_Function` redirects the others, no matter how or when
they were imported. Both are undone when the callback returns, and other threads (pytest, time limits, servers) see the
real time throughout. See RATIONALE.md, "How do Python's clocks show the emulator's time?".
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import time_machine

from .clock import Clock

_NANOSECONDS = 10**9
_METH_NOARGS = 4


class _Thread(threading.local):
    """The clock that is shown in a thread; None for the real time."""

    clock: Clock | None = None


_here = _Thread()


class Shown:
    """Make Python's clocks show `clock` in this thread for the duration of a block; blocks can be nested."""

    __slots__ = ("_clock", "_outer")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._outer: Clock | None = None

    def __enter__(self) -> None:
        self._outer = _here.clock
        if self._outer is None:
            _replaced.begin()
        _here.clock = self._clock

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        _here.clock = self._outer
        if self._outer is None:
            _replaced.end()


class _Replaced:
    """Keeps Python's functions replaced as long as a thread needs it.

    A time limit may interrupt this anywhere. In that case they stay replaced for a while, and show the real time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: set[int] = set()
        self._travel: time_machine.travel | None = None

    def begin(self) -> None:
        with self._lock:
            self._threads.add(threading.get_ident())
            if self._travel is None:
                travel = time_machine.travel(
                    None, tick=False
                )  # to the present, which other threads see until the next line
                travel.start().time_ns = _wall_clock  # type: ignore[method-assign]
                self._travel = travel
                for function in _FUNCTIONS:
                    function.replace()

    def end(self) -> None:
        with self._lock:
            self._threads.discard(threading.get_ident())
            if not self._threads and self._travel is not None:
                for function in _FUNCTIONS:
                    function.restore()
                travel, self._travel = self._travel, None
                travel.stop()


def _wall_clock() -> int:
    """The time from which time-machine's functions compute their results."""
    if _here.clock is not None:
        return _here.clock.now_nanoseconds
    try:
        return time_machine.escape_hatch.time.time_ns()
    except ValueError:  # the block of the other thread has ended in the meantime
        return time.time_ns()


class _Definition(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    )


class _Builtin(ctypes.Structure):
    """The beginning of CPython's PyCFunctionObject, after the object header."""

    _fields_ = (("definition", ctypes.c_void_p), ("of", ctypes.c_void_p))


class _Function:
    """A function of the module `time` without arguments, which can be redirected to a Python function.

    A built-in function refers to its definition, which has the address of the code, and to the object that is passed to
    the code: the module. When it is replaced, the code is "call this object", and the object is the Python function.
    """

    def __init__(self, name: str) -> None:
        self._builtin = _Builtin.from_address(id(getattr(time, name)) + object.__basicsize__)
        self._before = (self._builtin.definition, self._builtin.of)
        original = _Definition.from_address(self._before[0])
        if (self._before[1], original.name, original.flags) != (id(time), name.encode(), _METH_NOARGS):
            raise RuntimeError(f"time.{name} is not CPython's own function; has something replaced it?")
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
        self._read = _reader(name, make(self._before[0], time, "time"))
        code = ctypes.cast(ctypes.pythonapi.PyObject_CallObject, ctypes.c_void_p).value
        self._definition = _Definition(original.name, code, _METH_NOARGS, original.documentation)
        self._after = (ctypes.addressof(self._definition), id(self._read))
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._read))  # the built-in function's reference

    def replace(self) -> None:
        """Set the object first: another thread may call in between, and the original code ignores its object."""
        self._builtin.of = self._after[1]
        self._builtin.definition = self._after[0]

    def restore(self) -> None:
        """Restore the original, in the reverse order."""
        self._builtin.definition = self._before[0]
        self._builtin.of = self._before[1]


def _reader(name: str, real: Callable[[], Any]) -> Callable[[], Any]:
    clock = name.removesuffix("_ns")

    def nanoseconds() -> Any:
        return real() if _here.clock is None else _here.clock.since_some_start(clock)

    def seconds() -> Any:
        return real() if _here.clock is None else _here.clock.since_some_start(clock) / _NANOSECONDS

    return seconds if name == clock else nanoseconds


_FUNCTIONS = [_Function(name) for name in ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")]
_replaced = _Replaced()
