"""The SDK's own records of contexts and coroutines.

The host's answers do not suffice: it returns OK for calls that crash it afterwards (see `guards`). The records are
below all the code that fills them, so attributes whose classes are defined higher up (a filter's context, a timer) have
type Any.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping

from .._typing import TYPE_CHECKING, Any
from .registration import Entry, Traits

if TYPE_CHECKING:
    from .._protocols import Host


class Phase:
    """The running callback: a row of `phases.PHASES`, or a variant of one for the rest of a callback.

    `direction` is the StreamType to which the callback belongs, or -1. `no_read` and `no_write` map unavailable header
    maps to the reason.
    """

    __slots__ = ("direction", "export", "level", "method", "no_read", "no_write", "origin", "remedy")

    def __init__(
        self,
        export: str,
        method: str,
        remedy: str,
        direction: int = -1,
        no_read: Mapping[int, str] | None = None,
        no_write: Mapping[int, str] | None = None,
        level: int = 4,
        origin: tuple[Phase, Stream | None] | None = None,
    ) -> None:
        self.export = export
        self.method = method
        self.remedy = remedy
        self.direction = direction
        self.no_read = no_read or {}
        self.no_write = no_write or {}
        self.level = level
        self.origin = origin

    def but(
        self,
        no_read: Mapping[int, str],
        no_write: Mapping[int, str],
        origin: tuple[Phase, Stream | None] | None = None,
    ) -> Phase:
        """The same callback with other maps available."""
        return Phase(
            self.export,
            self.method,
            self.remedy,
            self.direction,
            no_read,
            no_write,
            self.level,
            origin or self.origin,
        )


class Root:
    """The dispatcher's record of a plugin (root) context."""

    __slots__ = (
        "calls",
        "context",
        "failed",
        "http",
        "id",
        "make_http",
        "streams",
        "tasks",
        "tcp",
        "timers",
        "traits",
    )

    def __init__(self, context_id: int, streams: dict[int, Stream]) -> None:
        self.id = context_id
        self.calls: dict[int, Call] = {}
        self.context: Any = None  # a PluginContext
        self.failed = False
        self.http: Entry | None = None
        self.tcp: Entry | None = None
        self.make_http: type | None = None  # shortcut for `http`, if it is a class that takes no id
        self.traits: Traits | None = None
        self.streams = streams
        self.tasks: list[Task] | None = None  # waiting coroutines of the plugin's own callbacks, see `tasks`
        self.timers: Timers | None = None  # set once a tick period is set or a coroutine sleeps, see `timers`


class Call:
    """A pending callout, and the stream to which it belongs.

    `functions` are the callbacks passed with it, by the method of `PluginContext` that they replace.
    """

    __slots__ = ("functions", "keeps", "stream")
    awaited = False  # True if a coroutine waits for it, which knows its own phase

    def __init__(self, stream: Stream | None, functions: Mapping[str, Callable[..., object]], *, keeps: bool) -> None:
        self.stream = stream
        self.functions = functions
        self.keeps = keeps  # a gRPC stream, which has several answers

    @property
    def gone(self) -> bool:
        """Whether the stream that made the call can no longer take the answer."""
        return self.stream is not None and (self.stream.ended or self.stream.skip)


class Stream:
    """The dispatcher's record of a stream context.

    The flags are the stream's state machine. They only ever change from False to True, except those of the response
    (a local one may take its place) and `resumed`, which is the set (bits `1 << StreamType`) of directions resumed
    during the running callback.
    """

    # Slots, all set in `__init__`: the interpreter specializes a store to a slot, but not a store to an instance
    # attribute with a default in the class, which costs ten times as much.
    __slots__ = (
        "bare_request",
        "bare_response",
        "calls",
        "closed",
        "context",
        "ended",
        "http",
        "id",
        "local_response",
        "marks",
        "paused",
        "refuse",
        "response_seen",
        "resumed",
        "root",
        "skip",
        "snapshot",
        "traits",
        "waiting",
    )

    def __init__(self, context_id: int, root: Root) -> None:
        self.id = context_id
        self.root = root
        self.context: Any = None  # an HttpContext or TcpContext
        self.http = True
        self.response_seen = False  # a callback of the response has run
        self.bare_request = False  # its headers ended it: there is neither a body nor trailers
        self.bare_response = False
        self.local_response = False  # a local response was sent
        self.closed = False  # a close was requested
        self.ended = False  # on_log, on_done or on_delete has begun
        self.skip = False  # callbacks are not passed to the filter: it failed, or it has no context for this stream
        self.refuse = False  # it failed when it could not be answered; the next callback that can will answer it
        self.resumed = 0
        self.paused = 0  # directions the host holds since a callback returned PAUSE
        self.traits: Traits | None = None  # the class's declarations about bodies and headers, see `body_options`
        self.marks = 0  # the progress of `body_options` for this stream
        self.snapshot: bytes | None = None  # the request headers as they left this filter, encoded
        self.calls: list[int] | None = None  # tokens of its callouts
        self.waiting: Waiting | None = None  # its waiting coroutines, see `tasks`


# --- waiting coroutines -------------------------------------------------------------------------------------------

AnyCoroutine = Coroutine[Any, Any, Any]

Driver = Generator[Any, Any, None]
"""A generator that runs coroutines one after another; see `tasks`."""

Part = tuple[Phase, tuple[int, ...]]


class Wait:
    """Something that a coroutine waits for; derived classes define what.

    `await` passes it to the scheduler, which calls `begin`. The code that ends the wait sets `value` or `error` and
    calls `tasks.over`.
    """

    __slots__ = ("done", "error", "task", "value")

    def __init__(self) -> None:
        self.done = False
        self.error: BaseException | None = None
        self.value: Any = None  # the result of the wait; not valid before `done`
        self.task: Task | None = None

    def __await__(self) -> Generator[Wait, None, Any]:
        yield self
        if not self.done:
            raise RuntimeError("a coroutine was awaited again while it was still waiting for its result")
        if self.error is not None:
            raise self.error
        return self.value

    def begin(self, task: Task) -> bool:
        """Start the wait on behalf of `task`; True if it has already ended."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Abandon the wait: its task no longer waits."""


class Task:
    """A waiting coroutine, or one that another one waits for (`parent`)."""

    __slots__ = ("coroutine", "driver", "holds", "parent", "phase", "result", "root", "strange", "stream", "wait")

    def __init__(
        self,
        coroutine: AnyCoroutine,
        root: Root,
        stream: Stream | None,
        phase: Phase,
        parent: Callable[[Task, BaseException | None], None] | None = None,
    ) -> None:
        self.coroutine = coroutine
        self.driver: Driver | None = None
        self.root = root
        self.stream = stream
        self.phase = phase
        self.parent = parent
        self.wait: Wait | None = None
        self.result: Any = None
        self.holds = False
        self.strange = False


class Waiting:
    """The waiting coroutines of one stream; `Stream.waiting` while there are any.

    A waiting callback holds its direction: the host gets PAUSE for it, and for everything that arrives in that
    direction in the meantime. These parts are recorded here, with their callbacks (Envoy keeps the bytes), and are
    delivered, in order, when the coroutine has ended.
    """

    __slots__ = ("held", "parts", "tasks", "windows")

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.held = 0  # bits 1 << StreamType: a coroutine holds this direction
        self.parts: dict[int, list[Part]] | None = None
        self.windows: dict[int, Window] | None = None

    def keep(self, phase: Phase, args: tuple[int, ...]) -> None:
        """Record a part that arrived in a held direction; parts of one body are merged, as in Envoy."""
        if self.parts is None:
            self.parts = {}
        parts = self.parts.setdefault(phase.direction, [])
        if parts and parts[-1][0] is phase:
            parts.pop()
        parts.append((phase, args))

    def take(self, direction: int) -> Part | None:
        """Remove and return the first recorded part."""
        parts = self.parts.get(direction) if self.parts else None
        return parts.pop(0) if parts else None

    def has_parts(self, direction: int) -> bool:
        """Whether parts are recorded that have not been delivered."""
        return bool(self.parts and self.parts.get(direction))

    def window(self, direction: int) -> Window | None:
        """The bytes of the buffer that the running callback may see; None for all."""
        return self.windows.get(direction) if self.windows else None

    def close_window(self, host: Host, direction: int) -> None:
        """A callback waits: hide from it the bytes that arrive from now on."""
        total = host.proxy_get_buffer_status(direction)[1]
        window = self.window(direction)
        if window is None:
            if self.windows is None:
                self.windows = {}
            self.windows[direction] = Window(0, total)
        elif window.open:
            window.open, window.length = False, total - window.start

    def passed(self, direction: int) -> None:
        """The callback let its part continue: the next one sees the bytes after it."""
        window = self.window(direction)
        if window is not None and not window.open:
            window.start, window.length, window.open = window.start + window.length, 0, True

    def again(self, direction: int) -> None:
        """The callback asked for more (PAUSE): the next one sees this part again, with the bytes after it."""
        window = self.window(direction)
        if window is not None:
            window.open = True

    def sent(self, direction: int) -> None:
        """The host has sent everything in this direction."""
        if self.windows:
            self.windows.pop(direction, None)

    def visible(self, phase: Phase, args: tuple[int, ...]) -> tuple[int, ...]:
        """The arguments of a callback; the size excludes the bytes that an earlier callback has passed on."""
        window = self.window(phase.direction)
        if window is None or not phase.export.endswith(("_body", "_data")):
            return args
        return (max(args[0] - window.start, 0), *args[1:])

    def is_only(self, task: Task) -> bool:
        """Whether this task is all there is: no other task, part or window."""
        return self.parts is None and self.windows is None and self.tasks == [task]

    @property
    def idle(self) -> bool:
        """Whether nothing is left to keep."""
        return not (self.tasks or self.windows or (self.parts and any(self.parts.values())))


class Window:
    """The bytes of a buffer that a callback sees: `length` bytes from `start` on, or all of them while it is `open`.

    Envoy keeps the data it holds in a single buffer: if `on_http_request_body` waits after its first 10 bytes, the next
    part is appended to those 10. The filter has already seen them, so a window hides them from the next callback, and
    hides from the coroutine the bytes that arrive after its own part. Source: StopIterationAndBuffer, docs/abi.md §1.3.
    """

    __slots__ = ("length", "open", "start")

    def __init__(self, start: int, length: int) -> None:
        self.start = start
        self.length = length
        self.open = False


class Timers:
    """The timer of one plugin. Times are in nanoseconds."""

    __slots__ = ("armed", "last_now", "number", "own_next", "own_period", "shared", "sleepers", "ticking")

    def __init__(self) -> None:
        self.own_period = 0  # the filter's own period, in milliseconds
        self.own_next = 0  # when the filter's own tick is due
        self.shared = False  # the period set in the host differs from the filter's own
        self.armed = 0  # when the host will tick, if shared; 0 if unknown
        self.last_now = 0
        self.number = 0
        self.sleepers: list[tuple[int, int, Any]] = []  # deadline, number, its Timer; by deadline
        self.ticking = False
