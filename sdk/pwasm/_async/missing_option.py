"""Notices that the host does not hold headers, although PWASM_HOLD_HEADERS says that it can (see `_stream.holding`).

Without `allow_on_headers_stop_iteration` PAUSE in a headers callback keeps the body callbacks away, so a stream that is
held by its headers until its body has been decided would wait for ever. The bytes arrive nevertheless, and Envoy counts
them: `request.total_size` grows while no body callback comes. A client that is slow to send its body adds nothing, and
is waited for.

Streams are watched until the first body callback proves that the option is there, so this costs nothing afterwards. A
filter that is earlier in the chain, and holds the body for more than a second, looks the same; until the proof, a
stream behind it may be refused without need.
"""

from __future__ import annotations

from .._abi import LogLevel
from .._stream.current import current
from .._stream.holding import NOT_HELD, refuse, size_property
from .._stream.log import log_lines
from .._stream.marks import HEADERS_HELD
from .._stream.records import Ended, Stream, Task
from .._stream.registration import MESSAGES
from .timers import Timer

_MISSING = (
    "PWASM_HOLD_HEADERS is set, but while the filter holds headers, Envoy calls no body callback although the body"
    " arrives\nhint: set allow_on_headers_stop_iteration: true in the plugin's configuration (Envoy 1.35 or later), or"
    " remove the variable"
)
_SECOND = 1_000_000_000


class _Check(Timer):
    """Looks at a stream every second, until its body has begun to arrive."""

    __slots__ = ("before", "direction", "grew", "stream")

    def __init__(self, stream: Stream, direction: int) -> None:
        super().__init__(_SECOND)
        self.stream = stream
        self.direction = direction
        self.before = _total_size(direction)
        self.grew = False

    def fire(self) -> None:
        stream, root = self.stream, self.stream.root
        if root.option_seen or not stream.marks & HEADERS_HELD << self.direction:
            return
        grew = _total_size(self.direction) > self.before
        if not (grew and self.grew):
            self.grew = grew
            self._set()
            return
        if root.option_seen is None:
            root.option_seen = False
            log_lines(LogLevel.CRITICAL, _MISSING)
        refuse(stream, self.direction, NOT_HELD)

    def _set(self) -> None:
        stream = self.stream
        self.task = Task(Ended(), stream.root, stream, current.phase)
        self.set(self.task)


def watch(stream: Stream, direction: int) -> None:
    """Headers are held from now on; look whether the body's callbacks come."""
    _Check(stream, direction)._set()


def _total_size(direction: int) -> int:
    return size_property(f"{MESSAGES[direction]}\0total_size".encode())
