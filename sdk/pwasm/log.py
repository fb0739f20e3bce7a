"""Log functions: `log_info("user %s", name)`.

Each call writes one record to Envoy's log. Arguments are formatted with `%`, but only if the level is enabled. To find
out, a call with arguments asks the host for its log level, one more hostcall (about 0.1 µs). The answer is never
cached, since an operator may change the level at run time. Without arguments there is nothing to save, and Envoy does
the filtering.

Line breaks and other control characters are escaped (`\\n`): a record with a line break in it looks like two records
in Envoy's log, and data from a client must not be able to forge one. Tabs are kept.

Every function may be called in every callback, and raises TypeError if `msg` is not a str. A message that does not
match its arguments is logged unformatted, followed by the arguments: a format error must not surface only after
somebody has turned on debug logging.

The standard `logging` module works too: `LoggingHandler` sends its records to the same place, and the build installs
it if the filter imports `logging`.

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

    `pwasm build` calls this after importing the filter. The module of a filter that never imports `logging` does not
    contain it.
    """
    if "logging" in sys.modules:
        from ._hostcalls import logging

        logging.install()


def __getattr__(name: str) -> Any:
    """`LoggingHandler`, imported only on access, since it needs `logging`."""
    if name == "LoggingHandler":
        from ._hostcalls.logging import LoggingHandler

        return LoggingHandler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
