"""Reports an exception as a single log record.

    AddHeader.on_http_request_headers failed for context 2: answered with 500 (on_error = fail_closed)
      | Traceback (most recent call last):
      |   File "filter.py", line 9, in on_http_request_headers
      |     raise ValueError("boom")
      | ValueError: boom

No exception may escape from here: this runs where an exception has just been caught, directly below the host.
"""

from __future__ import annotations

import traceback
from types import TracebackType

from ..errors import StepBudgetExceeded, TimeBudgetExceeded
from . import budget
from .current import current
from .in_vm import BUDGET_EXCEEDED, BY_CALLBACK, ERRORS, InVm
from .log import log_lines, takes

_MAX_SIZE = 16 * 1024
"""Maximum size of a record in characters. An exception's message can contain a whole body."""

HIDDEN = "TRACEBACK_STARTS_BELOW"
"""Modules that call the filter define a global of this name; their frames are removed from the top of tracebacks."""


def report(level: int, what: str, error: BaseException) -> None:
    """Log that `what` failed with `error`, with the traceback from the filter's first frame on, and count it."""
    budget.renew()
    try:
        # Formatting a traceback costs a thousand times as much as asking whether it will be logged.
        if takes(level):
            log_lines(level, f"{what}\n{_text(error)}")
    except BaseException:
        _report_briefly(level, what, error)
    try:
        root = current.active_root()
        vm = InVm(current.host) if root is None else root.vm
        vm.add(ERRORS)
        vm.add(BY_CALLBACK + current.phase.method.strip("_"))
        if isinstance(error, (TimeBudgetExceeded, StepBudgetExceeded)):
            vm.add(BUDGET_EXCEEDED)
    except BaseException:
        return


def _text(error: BaseException) -> str:
    text = "".join(traceback.format_exception(type(error), error, _from_filter(error.__traceback__)))
    if len(text) <= _MAX_SIZE:
        return text
    return f"{text[: _MAX_SIZE // 2]}\n[… {len(text) - _MAX_SIZE} characters …]\n{text[-_MAX_SIZE // 2 :]}"


def _from_filter(tb: TracebackType | None) -> TracebackType | None:
    while tb is not None and HIDDEN in tb.tb_frame.f_globals:
        tb = tb.tb_next
    return tb


def _report_briefly(level: int, what: str, error: BaseException) -> None:
    """Log only the type, since formatting has failed (out of memory, a broken __str__ or source cache)."""
    try:
        current.host.proxy_log(level, f"{what}: {type(error).__name__} (it could not be formatted)")
    except BaseException:
        return
