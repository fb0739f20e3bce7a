"""Log functions: `log_info("user %s", name)`.

The message goes to Envoy's log, one record for each call. Arguments are put in with `%`, and only when the level
passes: then the level is asked for first, which is one more hostcall (about 0.1 µs), and never remembered, since an
operator may change it at run time. Without arguments there is nothing to save, and Envoy filters.

Line breaks and other control characters are escaped (`\\n`), because a record that contains a line break looks like
two in Envoy's log, and what a client sent must not be able to forge one. A tab is kept.

Every function may be called in every callback, and raises TypeError when `msg` is not a str. A message that does
not fit its arguments is logged as it is, with the arguments after it: a format error must not appear only once
somebody turns debug logging on.

The standard `logging` module works too: `LoggingHandler` sends its records to the same place, and is installed by
the build when the filter imports `logging`.

Source: proxy_log, proxy_get_log_level.
"""

from __future__ import annotations

import sys

from ._stream.log import (
    Log,
    log_critical,
    log_criticalf,
    log_debug,
    log_debugf,
    log_error,
    log_errorf,
    log_info,
    log_infof,
    log_trace,
    log_tracef,
    log_warn,
    log_warnf,
)
from ._typing import Any

__all__ = [
    "Log",
    "install_logging_handler",
    "log_critical",
    "log_criticalf",
    "log_debug",
    "log_debugf",
    "log_error",
    "log_errorf",
    "log_info",
    "log_infof",
    "log_trace",
    "log_tracef",
    "log_warn",
    "log_warnf",
]


def install_logging_handler() -> None:
    """Send the standard `logging` module's records to Envoy's log, if the filter has imported it.

    `pwasm build` calls this after importing the filter. A filter that never imports `logging` does not carry it.
    """
    if "logging" in sys.modules:
        from ._hostcalls import logging

        logging.install()


def __getattr__(name: str) -> Any:
    """`LoggingHandler`, made only when it is asked for, since it needs `logging`."""
    if name == "LoggingHandler":
        from ._hostcalls.logging import LoggingHandler

        return LoggingHandler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
