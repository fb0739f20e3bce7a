"""The records of contexts and coroutines: what the SDK knows of them on its own.

The host's answers are not enough: it says OK to calls that crash it afterwards (see `guards`). The records stand below
all the code that fills them, so what has methods of consequence elsewhere (a filter's own context, a timer) is Any.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping

from .._typing import TYPE_CHECKING, Any
from .registration import Entry, Traits

if TYPE_CHECKING:
    from .._protocols import Host


class Phase:
    """What is running: a row of `guards.PHASES`, or a variation of one for the rest of a callback.

    `direction` is the StreamType the callback belongs to, or -1. `no_read` and `no_write` map the header maps that
    the host would not give to the reason.
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
    """A plugin (root) context as the dispatcher keeps it."""

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
        self.make_http: type | None = None  # of a class that wants no id: what `http` and `traits` say
        self.traits: Traits | None = None
        self.streams = streams
        self.tasks: list[Task] | None = None  # coroutines of its own callbacks that wait, see `tasks`
        self.timers: Timers | None = None  # once a tick period was set or a coroutine slept, see `timers`


class Call:
    """A callout whose answer has not come: whom it is for.

    `functions` are the callbacks given with it, by the method of `PluginContext` they stand for.
    """

    __slots__ = ("functions", "keeps", "stream")
    awaited = False  # by a coroutine, which knows its own phase

    def __init__(self, stream: Stream | None, functions: Mapping[str, Callable[..., object]], *, keeps: bool) -> None:
        self.stream = stream
        self.functions = functions
        self.keeps = keeps  # a gRPC stream, which has many answers

    @property
    def gone(self) -> bool:
        """Whether the stream that made the call does not want the answer any more."""
        return self.stream is not None and (self.stream.ended or self.stream.skip)


class Stream:
    """A stream context as the dispatcher keeps it.

    The flags are the stream's state machine. Each only ever goes from False to True, except `resumed`, which is the
    set (bits `1 << StreamType`) of directions resumed during the running callback.
    """

    # Slots, and every one set at once: a store to a slot is specialised by the interpreter, one to an instance
    # attribute with a default in the class is not, and costs ten times as much.
    __slots__ = (
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
        self.local_response = False  # a local response was sent
        self.closed = False  # a close was asked for
        self.ended = False  # on_log, on_done or on_delete has begun
        self.skip = False  # callbacks are not passed to the filter: it failed, or it has no context for this stream
        self.refuse = False  # it failed where nothing could be answered; the next callback that can will answer
        self.resumed = 0
        self.paused = 0  # directions the host holds since a callback returned PAUSE
        self.traits: Traits | None = None  # what the class declares about bodies and headers, see `body_options`
        self.marks = 0  # what `body_options` has done for this stream
        self.snapshot: bytes | None = None  # the request headers as they left this filter, encoded
        self.calls: list[int] | None = None  # tokens of its callouts
        self.waiting: Waiting | None = None  # its coroutines that wait, see `tasks`


# --- coroutines that wait -----------------------------------------------------------------------------------------

AnyCoroutine = Coroutine[Any, Any, Any]

Driver = Generator[Any, Any, None]
"""A generator that runs coroutines, one after the other; see `tasks`."""

Part = tuple[Phase, tuple[int, ...]]


class Wait:
    """What a coroutine waits for; derived classes say what that is.

    `await` gives it to the scheduler, which calls `begin`. Whoever ends the wait sets `value` or `error` and calls
    `tasks.over`.
    """

    __slots__ = ("done", "error", "task", "value")

    def __init__(self) -> None:
        self.done = False
        self.error: BaseException | None = None
        self.value: Any = None  # what it was waited for; not there before `done`
        self.task: Task | None = None

    def __await__(self) -> Generator[Wait, None, Any]:
        yield self
        if not self.done:
            raise RuntimeError("a coroutine was awaited a second time while its answer was still to come")
        if self.error is not None:
            raise self.error
        return self.value

    def begin(self, task: Task) -> bool:
        """Start waiting for `task`; True when there is nothing to wait for."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Nobody waits any more."""


class Task:
    """A coroutine that waits, or one that another one waits for (`parent`)."""

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
    """The coroutines of one stream that wait; `Stream.waiting` while there are any.

    A callback that waits holds its direction: the host gets PAUSE, and so it does for everything that arrives in that
    direction meanwhile. Those parts are kept here by their callbacks (Envoy keeps the bytes) and passed on, in order,
    when the coroutine is over.
    """

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
    """The bytes of a buffer that a callback sees: `length` from `start`, or all from there while it is `open`.

    Envoy buffers what it holds in one piece: after `on_http_request_body` waited for its first 10 bytes, the next part
    is seen behind those 10. The filter has been given them already, so a window hides them, and hides from the
    coroutine what arrives behind its own part. Source: StopIterationAndBuffer, docs/abi.md §1.3.
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
        self.own_period = 0  # milliseconds, the filter's own
        self.own_next = 0  # when the filter's own tick is due
        self.shared = False  # the host was told another period than the filter's own
        self.armed = 0  # when the host will tick, if shared; 0 when nobody knows
        self.last_now = 0
        self.number = 0
        self.sleepers: list[tuple[int, int, Any]] = []  # deadline, number, its Timer; by deadline
        self.ticking = False
