"""A record of what the host saw, in order: callbacks with their results, and their hostcalls and log lines."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from pwasm import _abi
from pwasm._serde import decode_pairs

from .. import deadline
from .headers import Headers
from .host import HostEmulator

KEPT_LINES = 2000
_SHOWN_CHARACTERS = 160
_LEVELS = [level.name.lower() for level in _abi.LogLevel]
STATUSES = {str(int(status)): status.name for status in _abi.Status}
ACTIONS = {str(int(action)): action.name for action in _abi.Action}
_HOSTCALLS = {call.name: call for call in _abi.HOSTCALLS}
_PAIRS = {"headers", "trailers", "pairs", "initial_metadata"}
_ENUMS = {"map_type": _abi.MapType, "buffer_type": _abi.BufferType, "stream_type": _abi.StreamType}
_RESULTS = {callback.name: callback.result for callback in _abi.CALLBACKS}


class Trace:
    """Lines about what happened, formatted only on demand."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, Callable[..., str], tuple[Any, ...]]] = deque(maxlen=KEPT_LINES)
        self.depth = 0

    def add(self, make: Callable[..., str], *values: Any) -> None:
        """Record a line that `make(*values)` will format."""
        self._lines.append((self.depth, make, values))

    def text(self) -> str:
        """All lines; those inside a callback are indented."""
        return "\n".join("    " * depth + make(*values) for depth, make, values in list(self._lines))


class TracedHost(HostEmulator):
    """A `HostEmulator` that keeps a `trace` and has only the `known` clusters (None: any)."""

    def __init__(self, *filters: type, known: set[str] | None = None, **options: Any) -> None:
        self.trace = Trace()
        self.logged: list[tuple[str, _abi.LogLevel, str]] = []
        """Like `logs`, with the callback in which each record was logged."""
        self._known = known
        super().__init__(*filters, **options)

    def start_plugin(self, root_id: str = "") -> bool:
        """As in the emulator, with the known clusters."""
        self.clusters = self._known
        return super().start_plugin(root_id)

    def call(self, export: str, context_id: int, *args: int) -> object:
        """As in the emulator, with a line for the callback and one for its result."""
        trace, start = self.trace, time.perf_counter()
        trace.add(_callback_line, export, context_id, args)
        trace.depth += 1
        try:
            result = super().call(export, context_id, *args)
        except BaseException as error:
            trace.add(_raised_line, export, error)
            deadline.check()
            raise
        finally:
            trace.depth -= 1
        deadline.check()
        trace.add(_result_line, export, result, time.perf_counter() - start)
        return result


def _traced(name: str) -> Callable[..., Any]:
    original = getattr(HostEmulator, name)
    make = _log_line if name == "proxy_log" else _hostcall_line

    def hostcall(self: TracedHost, *args: Any) -> Any:
        answer = original(self, *args)
        self.trace.add(make, name, args, answer)
        self.logged += [(self.callback, *record) for record in self.logs[len(self.logged) :]]
        return answer

    hostcall.__name__ = name
    return hostcall


def _callback_line(export: str, context_id: int, args: tuple[int, ...]) -> str:
    return f"{export}({', '.join(map(str, (context_id, *args)))})"


def _result_line(export: str, result: object, seconds: float) -> str:
    shown = {"action": f" {ACTIONS.get(str(result), result)}", "bool": f" {bool(result)}"}.get(_RESULTS[export], "")
    return f"→{shown} in {seconds * 1000:.2f} ms"


def _raised_line(export: str, error: BaseException) -> str:
    return f"{export} raised {type(error).__name__}: {short(str(error))}"


def _log_line(_name: str, args: tuple[Any, ...], _answer: int) -> str:
    level, message = args
    text = message if isinstance(message, str) else message.decode("utf-8", "backslashreplace")
    return f"log {_LEVELS[level] if level < len(_LEVELS) else level}: {text}"


def _hostcall_line(name: str, args: tuple[Any, ...], answer: Any) -> str:
    status, *results = answer if isinstance(answer, tuple) else (answer,)
    call = _HOSTCALLS[name]
    given = ", ".join(_shown(field, arg) for field, arg in zip(_abi.names(call.params), args, strict=False))
    shown = STATUSES.get(str(int(status)), str(status))
    if status == _abi.Status.OK and results:
        shown = ", ".join(
            _shown(field, result) for field, result in zip(_abi.names(call.results), results, strict=False)
        )
    return f"{name.removeprefix('proxy_')}({given}) = {shown}"


def _shown(field: str, value: Any) -> str:
    if field in _PAIRS and isinstance(value, bytes):
        return short(repr(list(Headers(decode_pairs(value)))))
    if field in _ENUMS and value in list(_ENUMS[field]):
        return _ENUMS[field](value).name
    return short(repr(value))


def short(text: str) -> str:
    """A text, shortened if it is too long to be shown."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"


for _call in _abi.HOSTCALLS:
    setattr(TracedHost, _call.name, _traced(_call.name))
