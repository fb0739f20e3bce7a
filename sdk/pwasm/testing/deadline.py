"""A time limit for filters that do not return: Envoy has none, so tests need one.

    with deadline.limit(5):
        host.request()

A filter in Python is interrupted where it is: `FilterHangs` has its traceback, which shows the line. A filter in
main.wasm is interrupted by wasmtime at its next loop or call; the message contains the engine's backtrace with function
names. In neither case does the filter run in a separate thread, and no state is left behind.

Restrictions of the Python half: it needs the main thread and SIGALRM (not on Windows), and code that runs inside C is
interrupted only when it returns.
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType

_AGAIN_SECONDS = 0.5
"""A filter that catches the interruption and continues is interrupted again after this time."""


class Interrupted(BaseException):
    """Raised inside the filter; not an Exception, so that `except Exception` does not catch it."""


class FilterHangs(AssertionError):  # noqa: N818, it is the filter that errs
    """A filter did not return in time; the message shows where it was."""


_raised: list[BaseException] = []


def check() -> None:
    """Reraise an interruption that the filter has caught, or the SDK, which treats it as the filter's exception."""
    if _raised:
        raise _raised[0]


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Interrupt a filter that is still running after `seconds`; of nested limits the shortest applies.

    Raises:
        FilterHangs: from inside the filter's code.
        ValueError: `seconds` is not positive.
    """
    if seconds <= 0:
        raise ValueError(f"a time limit must be positive, not {seconds}")
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not usable:
        with _wasm_limit(seconds):
            yield
        return

    def interrupt(_number: int, frame: FrameType | None) -> None:
        if _in_wasm(frame):
            return  # wasmtime's backtrace is more useful
        _raised.append(FilterHangs(f"the filter did not return within {seconds:g} s; it was at\n{_where(frame)}"))
        raise Interrupted

    def stop(number: int, frame: FrameType | None) -> None:
        _raised.append(KeyboardInterrupt())
        signal.default_int_handler(number, frame)

    # Ctrl-C while a filter runs looks to the SDK like an exception of the filter, so it would continue.
    typed = signal.getsignal(signal.SIGINT)
    if typed is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)
    before = signal.signal(signal.SIGALRM, interrupt)
    shorter = min(seconds, signal.getitimer(signal.ITIMER_REAL)[0] or seconds)
    rest = signal.setitimer(signal.ITIMER_REAL, shorter, _AGAIN_SECONDS)[0]
    try:
        # The signal alone does not suffice: Python runs its handlers only after wasm code has returned.
        with _wasm_limit(seconds):
            yield
    except Interrupted:
        check()
        raise
    finally:
        _raised.clear()
        signal.setitimer(signal.ITIMER_REAL, rest)
        signal.signal(signal.SIGALRM, before)
        if typed is signal.default_int_handler:
            signal.signal(signal.SIGINT, typed)


def _in_wasm(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _enters_wasm:
            return True
        frame = frame.f_back
    return False


def _where(frame: FrameType | None) -> str:
    """The innermost frames of the stack, innermost last."""
    return "".join(traceback.format_stack(frame)[-6:]).rstrip()


@contextmanager
def _wasm_limit(seconds: float) -> Iterator[None]:
    """Advance wasmtime's epoch when the time is over; `wasm` turns the resulting traps into FilterHangs."""
    watch = _Watch(time.monotonic() + seconds)
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.remove(watch)
        watch.end()


def entering_wasm() -> None:
    """Called before wasm code runs: only then does a limit need a thread; tests in Python do without."""
    for watch in _watches:
        watch.begin()


class _Watch:
    """A thread that interrupts wasm code at a time of the monotonic clock."""

    def __init__(self, at: float) -> None:
        self._at = at
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._wait, name="pwasm-deadline", daemon=True)
            self._thread.start()

    def end(self) -> None:
        if self._thread is not None:
            self._done.set()
            self._thread.join()

    def _wait(self) -> None:
        if not self._done.wait(max(self._at - time.monotonic(), 0)):
            for interrupt in _interrupts:
                interrupt()


_watches: list[_Watch] = []
_enters_wasm: list[CodeType] = []
_interrupts: list[Callable[[], None]] = []


def wasm_is_here(enter: CodeType, interrupt: Callable[[], None]) -> None:
    """`wasm` registers its function that enters wasm code, and the one that interrupts it."""
    _enters_wasm.append(enter)
    _interrupts.append(interrupt)
