"""The one log record an exception becomes.

    AddHeader.on_http_request_headers failed for context 2: answered with 500 (on_error = fail_closed)
      | Traceback (most recent call last):
      |   File "filter.py", line 9, in on_http_request_headers
      |     raise ValueError("boom")
      | ValueError: boom

Nothing may escape from here: this runs where an exception has just been caught, and the next stop is the host.
"""

from __future__ import annotations

import traceback
from types import TracebackType

from .._abi import MetricType
from . import budget
from .current import current
from .log import log_lines, takes

_MAX_SIZE = 16 * 1024
"""Characters of a record. An exception's message can hold a whole body."""

COUNTER = "pwasm.errors"
"""Name of the counter of caught exceptions; Envoy shows it as `wasmcustom.pwasm.errors`, the sum over all workers."""

HIDDEN = "TRACEBACK_STARTS_BELOW"
"""A module that calls the filter has a global of this name, and its frames are left out at the top of a traceback."""


def report(level: int, what: str, error: BaseException) -> None:
    """Log that `what` failed with `error`, with the traceback from the filter's own frame on, and count it."""
    budget.renew()
    try:
        # A traceback costs a thousand times what asking costs: not for a log that does not take it.
        if takes(level):
            log_lines(level, f"{what}\n{_text(error)}")
    except BaseException:
        _report_briefly(level, what, error)
    try:
        _count()
    except BaseException:
        return


def _text(error: BaseException) -> str:
    text = "".join(traceback.format_exception(type(error), error, _from_filter(error.__traceback__)))
    if len(text) <= _MAX_SIZE:
        return text
    return f"{text[: _MAX_SIZE // 2]}\n[… {len(text) - _MAX_SIZE} characters …]\n{text[-_MAX_SIZE // 2 :]}"


def _count() -> None:
    """Defining a metric again finds it."""
    status, metric_id = current.host.proxy_define_metric(MetricType.COUNTER, COUNTER)
    if not status:
        current.host.proxy_increment_metric(metric_id, 1)


def _from_filter(tb: TracebackType | None) -> TracebackType | None:
    while tb is not None and HIDDEN in tb.tb_frame.f_globals:
        tb = tb.tb_next
    return tb


def _report_briefly(level: int, what: str, error: BaseException) -> None:
    """Formatting failed (no memory, a broken __str__ or source cache): name the type, which needs neither."""
    try:
        current.host.proxy_log(level, f"{what}: {type(error).__name__} (it could not be formatted)")
    except BaseException:
        return
