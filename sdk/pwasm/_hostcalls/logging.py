"""Connects the standard `logging` module to Envoy's log. Imported only together with `logging` (see `log`)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from .._abi import LogLevel
from .._stream.log import LEVELS, log_lines, takes
from ..errors import PhaseError


class LoggingHandler(logging.Handler):
    """Sends records to Envoy's log, with their level.

    CRITICAL, ERROR, WARNING, INFO and DEBUG map to Envoy's levels of the same name, lower levels to TRACE. Line breaks
    in a message are escaped as in `pwasm.log_info`; the lines of a traceback stay separate, marked so that none looks
    like a record. Records that Envoy would not log are not formatted.
    """

    def emit(self, record: logging.LogRecord) -> None:
        level = _level(record.levelno)
        try:
            if not takes(level):
                return
            message = self._prefix(record) + record.getMessage()
            if not record.exc_info and not record.stack_info:
                LEVELS[level](message)
                return
            formatter = self.formatter or _PLAIN
            lines = [message.replace("\r", "\\r").replace("\n", "\\n")]
            if record.exc_info:
                lines.append(formatter.formatException(record.exc_info))
            if record.stack_info:
                lines.append(formatter.formatStack(record.stack_info))
            log_lines(level, "\n".join(lines))
        except PhaseError:
            return  # at build time there is no proxy to log to
        except Exception:
            self.handleError(record)

    @staticmethod
    def _prefix(record: logging.LogRecord) -> str:
        return "" if record.name == "root" else f"{record.name}: "


_PLAIN = logging.Formatter()


def _level(number: int) -> LogLevel:
    return LogLevel(max(0, min(number // 10, LogLevel.CRITICAL)))


def install() -> None:
    """Make the root logger write to Envoy's log, and leave the filtering by level to Envoy.

    Handlers that write to a stream are removed: `logging.basicConfig()` in a filter installs one, whose stream belongs
    to the build.
    """
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, LoggingHandler):
            return
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    root.addHandler(LoggingHandler())
    if root.level == logging.WARNING:  # the default, which would hide records that Envoy's log level allows
        root.setLevel(logging.NOTSET)


@contextmanager
def installed() -> Iterator[None]:
    """Install the handler for the duration of a block; for the emulator, which shares its process with a test run."""
    root = logging.getLogger()
    handler, level = LoggingHandler(), root.level
    root.addHandler(handler)
    if level == logging.WARNING:
        root.setLevel(logging.NOTSET)
    try:
        yield
    finally:
        root.removeHandler(handler)
        if level == logging.WARNING and root.level == logging.NOTSET:
            root.setLevel(level)
