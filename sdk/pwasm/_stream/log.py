"""The log functions of `pwasm.log`, which documents them."""

from __future__ import annotations

import re
from collections.abc import Callable

from .._abi import LogLevel
from .._typing import Protocol
from .current import current

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_NEWLINE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_SHORT = {"\n": "\\n", "\r": "\\r"}


class Log(Protocol):
    """Signature of the log functions."""

    def __call__(self, msg: str, *args: object) -> None: ...


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    return _SHORT.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}")


def _encodable(text: str) -> str | bytes:
    """`text`, with lone surrogates that are not escaped bytes backslash-escaped, since they cannot be encoded."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")
    return text


def takes(level: int) -> bool:
    """Whether the host logs this level; True if it does not tell."""
    status, least = current.host.proxy_get_log_level()
    return bool(status) or level >= least


def formatted(msg: str, args: tuple[object, ...]) -> str:
    """`msg % args`; if that fails, `msg` followed by `args`."""
    try:
        return msg % args
    except Exception as error:
        # The repr of the arguments cannot be trusted either: it may be what failed.
        try:
            return f"{msg} (cannot be formatted with {args!r}: {error})"
        except Exception:
            return f"{msg} (cannot be formatted: {type(error).__name__})"


def _check(msg: object) -> None:
    if not isinstance(msg, str):
        raise TypeError(f"msg must be str, not {type(msg).__name__}")


_DOC = """Log `msg`, `%`-formatted with `args` if there are any, at level {level}.

May be called in every callback. Line breaks and control characters are escaped; a message that cannot be formatted is
logged unformatted.

Raises:
    TypeError: `msg` is not a str.

Source: proxy_log."""


def _log(level: LogLevel) -> Log:
    def function(msg: str, *args: object) -> None:
        if args:
            _check(msg)
            if not takes(level):
                return
            msg = formatted(msg, args)
        try:
            plain = msg.isprintable()  # True if it has neither control characters nor lone surrogates
        except AttributeError:
            plain = False
        if plain:
            current.host.proxy_log(level, msg)
        else:
            _check(msg)
            current.host.proxy_log(level, _encodable(_CONTROL.sub(_escape, msg)))

    function.__name__ = function.__qualname__ = f"log_{level.name.lower()}"
    function.__doc__ = _DOC.format(level=level.name)
    return function


def log_lines(level: int, text: str) -> None:
    """Log one record of several lines, for the SDK's tracebacks.

    Every line after the first is prefixed with "  | ", so that an exception's message cannot be mistaken for a record.
    """
    text = _CONTROL_BUT_NEWLINE.sub(_escape, text.rstrip("\n")).replace("\n", "\n  | ")
    current.host.proxy_log(level, _encodable(text))


log_trace: Log = _log(LogLevel.TRACE)
log_debug: Log = _log(LogLevel.DEBUG)
log_info: Log = _log(LogLevel.INFO)
log_warn: Log = _log(LogLevel.WARN)
log_error: Log = _log(LogLevel.ERROR)
log_critical: Log = _log(LogLevel.CRITICAL)

# The Go SDK's spelling of "with arguments" (LogInfof); here the plain functions take arguments too.
log_tracef: Log = log_trace
log_debugf: Log = log_debug
log_infof: Log = log_info
log_warnf: Log = log_warn
log_errorf: Log = log_error
log_criticalf: Log = log_critical

LEVELS: tuple[Callable[..., None], ...] = (log_trace, log_debug, log_info, log_warn, log_error, log_critical)
