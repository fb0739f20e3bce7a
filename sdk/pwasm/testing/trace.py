"""What the host saw, in order: callbacks with their results, and inside them hostcalls and log lines."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from pwasm import _abi

from .emulator import HostEmulator
from .streams import Stream

KEPT_LINES = 2000
_SHOWN_CHARACTERS = 160
_LEVELS = [level.name.lower() for level in _abi.LogLevel]
_STATUSES = {int(status): status.name for status in _abi.Status}
_ACTIONS = {int(action): action.name for action in _abi.Action}
_RESULTS = {callback.name: callback.result for callback in _abi.CALLBACKS}


class Trace:
    """Lines about what happened, made into text only when somebody asks."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, Callable[..., str], tuple[Any, ...]]] = deque(maxlen=KEPT_LINES)
        self.depth = 0

    def add(self, make: Callable[..., str], *values: Any) -> None:
        """Keep a line that `make(*values)` will write."""
        self._lines.append((self.depth, make, values))

    def text(self) -> str:
        """All lines; those inside a callback are indented."""
        return "\n".join("    " * depth + make(*values) for depth, make, values in list(self._lines))


class TracedHost(HostEmulator):
    """A `HostEmulator` that keeps a `trace` and has only the `known` clusters, from the start of the first plugin."""

    def __init__(self, known: set[str], **options: Any) -> None:
        self.trace = Trace()
        self._known = known
        super().__init__(**options)

    def start_plugin(self, root_id: str = "") -> bool:
        """As the emulator's."""
        self.clusters = self._known
        return super().start_plugin(root_id)

    def call(self, export: str, context_id: int, *args: int, stream: Stream | None = None) -> object:
        """As the emulator's, with a line for the callback and one for its result if that says something."""
        trace, start = self.trace, time.perf_counter()
        trace.add(_callback_line, export, context_id, args)
        trace.depth += 1
        try:
            result = super().call(export, context_id, *args, stream=stream)
        except BaseException as error:
            trace.add(_raised_line, export, error)
            raise
        finally:
            trace.depth -= 1
        trace.add(_result_line, export, result, time.perf_counter() - start)
        return result


def _traced(name: str) -> Callable[..., Any]:
    original = getattr(HostEmulator, name)
    make = _log_line if name == "proxy_log" else _hostcall_line

    def hostcall(self: TracedHost, *args: Any) -> Any:
        answer = original(self, *args)
        self.trace.add(make, name, args, answer)
        return answer

    hostcall.__name__ = name
    return hostcall


def _callback_line(export: str, context_id: int, args: tuple[int, ...]) -> str:
    return f"{export}({', '.join(map(str, (context_id, *args)))})"


def _result_line(export: str, result: object, seconds: float) -> str:
    shown = f" {_ACTIONS.get(result, result)}" if _RESULTS[export] == "action" and isinstance(result, int) else ""
    if _RESULTS[export] == "bool":
        shown = f" {bool(result)}"
    return f"→{shown} in {seconds * 1000:.2f} ms"


def _raised_line(export: str, error: BaseException) -> str:
    return f"{export} raised {type(error).__name__}: {short(str(error))}"


def _log_line(_name: str, args: tuple[Any, ...], _answer: int) -> str:
    level, message = args
    text = message if isinstance(message, str) else message.decode("utf-8", "backslashreplace")
    return f"log {_LEVELS[level] if level < len(_LEVELS) else level}: {text}"


def _hostcall_line(name: str, args: tuple[Any, ...], answer: Any) -> str:
    status, *results = answer if isinstance(answer, tuple) else (answer,)
    values = [short(repr(result)) for result in results] if status == _abi.Status.OK else []
    shown = ", ".join(values) if values else _STATUSES.get(int(status), str(status))
    return f"{name.removeprefix('proxy_')}({', '.join(short(repr(arg)) for arg in args)}) = {shown}"


def short(text: str) -> str:
    """The beginning of a text that is too long to be shown."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"


for _call in _abi.HOSTCALLS:
    setattr(TracedHost, _call.name, _traced(_call.name))
