"""The standard `logging` module, into Envoy's log. Imported only where `logging` is (see `log`)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from .._abi import LogLevel
from .._stream.log import LEVELS, log_lines, takes
from ..errors import PhaseError


class LoggingHandler(logging.Handler):
    """Sends records to Envoy's log, with their level.

    CRITICAL, ERROR, WARNING, INFO and DEBUG are Envoy's levels of the same name, whatever is below is TRACE. Line
    breaks in a message are escaped like those of `pwasm.log_info`; the lines of a traceback stay lines, marked so
    that none looks like a record. What Envoy would not log is not formatted.
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
    """Let the root logger write to Envoy's log, and leave it to Envoy what is logged.

    Handlers that write to a stream are taken away: `logging.basicConfig()` in a filter makes one, and its stream is
    that of the build.
    """
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, LoggingHandler):
            return
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    root.addHandler(LoggingHandler())
    if root.level == logging.WARNING:  # the default, which would hide what Envoy's log level lets through
        root.setLevel(logging.NOTSET)


@contextmanager
def installed() -> Iterator[None]:
    """The handler for the duration of a block; for the emulator, whose process is not its own."""
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
