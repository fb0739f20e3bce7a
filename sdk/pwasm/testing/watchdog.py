"""Stops a filter that hangs, and shows where.

CPython is interrupted by a signal that raises in whatever line is running, wasmtime by its engine's epoch. The SDK
catches what a callback raises, so what was seen is kept here until the emulator has control again.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

_AGAIN_SECONDS = 0.5
"""A filter may swallow the interruption and go on; then it is interrupted again."""
_FRAMES = 12


class Interrupted(BaseException):
    """Raised inside the filter; not an Exception, so that `except Exception` does not catch it."""


class FilterHangs(AssertionError):  # noqa: N818, it is what the reader wants to know
    """A test took too long; the text shows where."""


class _State:
    """What the running guard has seen; None while nothing hangs."""

    place: str | None = None
    seconds: float = 0.0


@contextlib.contextmanager
def guard(seconds: float) -> Iterator[None]:
    """Raise `FilterHangs` when what is inside takes longer; 0 for no limit. Nested guards leave it to the outer."""
    usable = seconds and threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    if not usable or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return
    before = signal.signal(signal.SIGALRM, _interrupt)
    engine_timer = _engine_timer(seconds)
    _State.place, _State.seconds = None, seconds
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        yield
    except Interrupted:
        check()
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if engine_timer is not None:
            engine_timer.cancel()
        _State.place = None


def check() -> None:
    """Raise `FilterHangs` if the filter was interrupted.

    Raises:
        FilterHangs: with the place.
    """
    if _State.place is not None:
        raise FilterHangs(f"stopped after {_State.seconds:g} s (--pwasm-timeout); it was here:\n{_State.place}")


def _interrupt(_number: int, frame: FrameType | None) -> Any:
    if _State.place is None:
        _State.place = "".join(traceback.format_stack(frame)[-_FRAMES:]).rstrip()
        if frame is not None and "wasmtime" in frame.f_code.co_filename:
            _State.place = "in main.wasm, in the callback that the report ends with; --pwasm-tier=python shows the line"
    raise Interrupted("the test took too long")


def _engine_timer(seconds: float) -> threading.Timer | None:
    """The same for wasmtime, whose code no signal reaches; None when no module was loaded."""
    wasm = sys.modules.get("pwasm.testing.wasm")
    if wasm is None:
        return None
    timer = threading.Timer(seconds, wasm.interrupt)
    timer.daemon = True
    timer.start()
    return timer
