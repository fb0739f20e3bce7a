"""Coroutines that are destroyed without ever having run, because an `await` was forgotten.

If this happens in a callback, it is handled as an exception of the callback, unless nobody forgot anything: a coroutine
that was passed to a call that has failed, such as `asyncio.run`, which cannot work in a proxy. Libraries, and filters
that use one, handle that. It shows in who drops the coroutine: a library; or the filter when it has handled an
exception, whose traceback holds it; or the garbage collector, much later, anywhere. Then it is only logged.

Python reports such coroutines to a hook of its own, which is replaced for good in a VM, and in the emulator only while
a callback runs; outside of callbacks Python's warning remains.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from .._abi import LogLevel
from .._stream.current import current
from .._stream.log import log_lines
from .._stream.policy import root_failed, stream_failed
from .._stream.records import AnyCoroutine
from . import tasks

_LIBRARY = warnings.__file__.removesuffix("warnings.py")
_STEPS = {function.__code__ for function in (tasks.start, tasks.run_child, tasks.resume, tasks._follow)}
"""The functions that run a step of a coroutine: below them the failure belongs to the coroutine's own callback."""


_collecting = False
"""Whether the garbage collector runs."""


def _collection(phase: str, _info: object) -> None:
    global _collecting
    _collecting = phase == "start"


def install() -> None:
    """Install the hook for all callbacks of this process."""
    warnings._warn_unawaited_coroutine = _fail  # type: ignore[attr-defined]
    if _collection not in gc.callbacks:
        gc.callbacks.append(_collection)


@contextmanager
def installed() -> Iterator[None]:
    """Install the hook for the duration of a callback."""
    before = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]
    install()
    try:
        yield
    finally:
        warnings._warn_unawaited_coroutine = before  # type: ignore[attr-defined]
        if before is not _fail:
            gc.callbacks.remove(_collection)


def _is_of_the_filter(file: str) -> bool:
    """Whether code of this file is the filter's own: neither a library's nor Python's."""
    return "site-packages" not in file and not file.startswith(_LIBRARY)


is_of_the_filter: Callable[[str], bool] = _is_of_the_filter
"""Replaced in a VM, where files have other names."""


def _has_handled_exception(frame: FrameType) -> bool:
    """Whether what `frame` executes is the end of an `except` or `with`, which drops the exception.

    For `except … as error` that is POP_EXCEPT and, two instructions later, the end of `error = None`.
    """
    code, at = frame.f_code.co_code, frame.f_lasti
    return code[at] == _POP_EXCEPT or (at >= 4 and code[at - 4] == _POP_EXCEPT)


def _pop_except() -> int:
    """That opcode of the running Python, seen at work: the names in `opcode` would take 20 kB in every VM."""
    seen: list[int] = []

    def note(_coroutine: AnyCoroutine) -> None:
        frame = sys._getframe(1)
        seen.append(frame.f_code.co_code[frame.f_lasti])

    async def nothing() -> None: ...

    def fail(_coroutine: AnyCoroutine) -> None:
        raise RuntimeError

    before = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]
    warnings._warn_unawaited_coroutine = note  # type: ignore[attr-defined]
    try:
        try:  # noqa: SIM105  the instructions of `except` are what is wanted
            fail(nothing())
        except RuntimeError:
            pass
    finally:
        warnings._warn_unawaited_coroutine = before  # type: ignore[attr-defined]
    return seen[0]


_POP_EXCEPT = _pop_except()


def _fail(coroutine: AnyCoroutine) -> None:
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    said = f"coroutine {name!r} was never awaited"
    frame = sys._getframe()
    dropping = frame.f_back
    dropped_in = dropping.f_code.co_filename if dropping is not None else ""
    if dropping is None or not is_of_the_filter(dropped_in) or _collecting or _has_handled_exception(dropping):
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
