"""What a stream keeps while coroutines of it wait: who holds it, what arrived meanwhile, which bytes a callback sees.

A callback that waits holds its direction: the host gets PAUSE, and so it does for everything that arrives in that
direction meanwhile. Those parts are kept here by their callbacks (Envoy keeps the bytes) and passed on, in order, when
the coroutine is over.

Envoy buffers what it holds in one piece: after `on_http_request_body` waited for its first 10 bytes, the next part is
seen behind those 10. The filter has been given them already, so a `Window` hides them, and hides from the coroutine
what arrives behind its own part. Source: StopIterationAndBuffer, design notes abi.md §1.3.
"""

from __future__ import annotations

from .._typing import TYPE_CHECKING
from .records import Phase, Stream

if TYPE_CHECKING:
    from .._async.tasks import Task
    from .._protocols import Host

Part = tuple[Phase, tuple[int, ...]]

ALL_BYTES = 2**31 - 1


class Waiting:
    """The coroutines of one stream; `Stream.waiting` while there are any."""

    __slots__ = ("held", "parts", "tasks", "windows")

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.held = 0  # bits 1 << StreamType: a coroutine holds this direction
        self.parts: dict[int, list[Part]] | None = None
        self.windows: dict[int, Window] | None = None

    def keep(self, phase: Phase, args: tuple[int, ...]) -> None:
        """A part arrived in a direction that is held; parts of one body become one, as they do in Envoy."""
        if self.parts is None:
            self.parts = {}
        parts = self.parts.setdefault(phase.direction, [])
        if parts and parts[-1][0] is phase:
            parts.pop()
        parts.append((phase, args))

    def take(self, direction: int) -> Part | None:
        """The first part that is kept."""
        parts = self.parts.get(direction) if self.parts else None
        return parts.pop(0) if parts else None

    def has_parts(self, direction: int) -> bool:
        """Whether something arrived that its callback has not seen."""
        return bool(self.parts and self.parts.get(direction))

    def window(self, direction: int) -> Window | None:
        """What the running callback may see of the buffer; None for all of it."""
        return self.windows.get(direction) if self.windows else None

    def close_window(self, host: Host, direction: int) -> None:
        """A callback waits: what arrives from now on is not for it."""
        total = host.proxy_get_buffer_status(direction)[1]
        window = self.window(direction)
        if window is None:
            if self.windows is None:
                self.windows = {}
            self.windows[direction] = Window(0, total)
        elif window.open:
            window.open, window.length = False, total - window.start

    def passed(self, direction: int) -> None:
        """The callback lets its part go on: the next one sees what is behind it."""
        window = self.window(direction)
        if window is not None and not window.open:
            window.start, window.length, window.open = window.start + window.length, 0, True

    def again(self, direction: int) -> None:
        """The callback wants more (PAUSE): the next one sees its part again, with what is behind it."""
        window = self.window(direction)
        if window is not None:
            window.open = True

    def sent(self, direction: int) -> None:
        """The host has let everything go on."""
        if self.windows:
            self.windows.pop(direction, None)

    def visible(self, phase: Phase, args: tuple[int, ...]) -> tuple[int, ...]:
        """The arguments of a callback, its size without what an earlier callback let go."""
        window = self.window(phase.direction)
        if window is None or not phase.export.endswith(("_body", "_data")):
            return args
        return (max(args[0] - window.start, 0), *args[1:])

    def is_only(self, task: Task) -> bool:
        """Whether there is this task and nothing else."""
        return self.parts is None and self.windows is None and self.tasks == [task]

    @property
    def idle(self) -> bool:
        """Nothing is left to keep."""
        return not (self.tasks or self.windows or (self.parts and any(self.parts.values())))


class Window:
    """The bytes of a buffer that a callback sees: `length` from `start`, or all from there while it is `open`."""

    __slots__ = ("length", "open", "start")

    def __init__(self, start: int, length: int) -> None:
        self.start = start
        self.length = length
        self.open = False


def read(host: Host, buffer_type: int, window: Window, start: int, size: int) -> tuple[int, bytes]:
    """Bytes that a callback sees (as `proxy_get_buffer_bytes`)."""
    if not window.open:
        size = min(size, max(window.length - start, 0))
    if not size:
        return 0, b""
    return host.proxy_get_buffer_bytes(buffer_type, window.start + start, size)


def write(host: Host, buffer_type: int, window: Window, start: int, size: int, data: bytes) -> int:
    """Change what a callback sees and nothing else (as `proxy_set_buffer_bytes`, which cannot start in the middle)."""
    status, whole = host.proxy_get_buffer_bytes(buffer_type, 0, ALL_BYTES)
    if status:
        return status
    end = len(whole) if window.open else window.start + window.length
    seen = whole[window.start : end]
    changed = seen[:start] + data + seen[start + size :]
    window.length = len(changed)
    return host.proxy_set_buffer_bytes(buffer_type, 0, ALL_BYTES, whole[: window.start] + changed + whole[end:])


def window_of(stream: Stream, buffer_type: int) -> Window | None:
    """The window on a buffer of this stream; the number of a body or of TCP data is that of its direction."""
    return None if stream.waiting is None else stream.waiting.window(buffer_type)
