"""Coroutines that are destroyed without ever having run, because an `await` was forgotten.

If this happens in a callback, it is handled as an exception of the callback, unless it is a library that drops the
coroutine: it may have handled the failure of `asyncio.run`, which cannot work in a proxy. Then it is only logged.

Python reports such coroutines to a hook of its own, which is replaced for good in a VM, and in the emulator only while
a callback runs; outside of callbacks Python's warning remains.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .._abi import LogLevel
from .._stream.current import current
from .._stream.log import log_lines
from .._stream.policy import root_failed, stream_failed
from .._stream.records import AnyCoroutine
from . import tasks

_LIBRARY = warnings.__file__.removesuffix("warnings.py")
_STEPS = {function.__code__ for function in (tasks.start, tasks.run_child, tasks.resume, tasks._follow)}
"""The functions that run a step of a coroutine: below them the failure belongs to the coroutine's own callback."""


def install() -> None:
    """Install the hook for all callbacks of this process."""
    warnings._warn_unawaited_coroutine = _fail  # type: ignore[attr-defined]


@contextmanager
def installed() -> Iterator[None]:
    """Install the hook for the duration of a callback."""
    before = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]
    install()
    try:
        yield
    finally:
        warnings._warn_unawaited_coroutine = before  # type: ignore[attr-defined]


def _is_of_the_filter(file: str) -> bool:
    """Whether code of this file is the filter's own: neither a library's nor Python's."""
    return "site-packages" not in file and not file.startswith(_LIBRARY)


is_of_the_filter: Callable[[str], bool] = _is_of_the_filter
"""Replaced in a VM, where files have other names."""


def _fail(coroutine: AnyCoroutine) -> None:
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    said = f"coroutine {name!r} was never awaited"
    frame = sys._getframe()
    dropped_in = frame.f_back.f_code.co_filename if frame.f_back is not None else ""
    if not is_of_the_filter(dropped_in):
        log_lines(LogLevel.WARN, f"{said} in {dropped_in}")
        return
    error = RuntimeError(f"{said}\nhint: write `await` before the call")
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code in _STEPS:
            tasks.scheduler.never_awaited = error
            return
    stream, phase, root = current.stream, current.phase, current.root
    if stream is not None and phase.direction >= 0:
        stream_failed(phase, stream, error)
    elif root is not None:
        root_failed(phase, root, error)
