"""The SDK's own records of contexts and coroutines.

The host's answers do not suffice: it returns OK for calls that crash it afterwards (see `guards`). The records are
below all the code that fills them, so attributes whose classes are defined higher up (a filter's context, a timer) have
type Any.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping

from .._typing import Any
from .held import Held
from .in_vm import InVm
from .registration import Entry, Traits

_PARTS = {"headers": "headers", "body": "body", "data": "body", "trailers": "trailers"}


class Phase:
    """The running callback: a row of `phases.PHASES`, or a variant of one for the rest of a callback.

    `direction` is the StreamType to which the callback belongs, or -1; `part` is "headers", "body" (also for the data
    of a TCP stream), "trailers" or "". `no_read` and `no_write` map unavailable header maps to the reason.
    """

    __slots__ = ("direction", "export", "level", "method", "no_read", "no_write", "origin", "part", "remedy")

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
        self.part = _PARTS.get(export.rpartition("_")[2], "") if direction >= 0 else ""
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
        "holds_headers",
        "http",
        "id",
        "make_http",
        "option_seen",
        "rules",
        "streams",
        "tasks",
        "tcp",
        "timers",
        "traits",
        "unfinished",
        "vm",
    )

    def __init__(self, context_id: int, streams: dict[int, Stream], vm: InVm | None = None) -> None:
        self.id = context_id
        self.vm = vm or InVm()
        self.holds_headers = False  # whether the host lets a filter hold a stream by its headers, see `holding`
        self.option_seen: bool | None = None  # whether body callbacks come while headers are held; None: not known yet
        self.calls: dict[int, Call] = {}
        self.context: Any = None  # a PluginContext
        self.failed = False
        self.http: Entry | None = None
        self.tcp: Entry | None = None
        self.make_http: type | None = None  # shortcut for `http`, if it is a class that takes no id
        self.traits: Traits | None = None
        self.rules: Any = None  # a `by_rules.Rules`, if several configurations apply to its streams
        self.unfinished: set[Root] | None = None  # of all plugins with this id, if several: who is to call plugin_done
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
        "last",
        "local_response",
        "marks",
        "paused",
        "refuse",
        "request_begun",
        "request_length",
        "response_begun",
        "response_length",
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
        self.marks = 0  # what has happened to its messages, see `holding`
        self.last = False  # the running body callback has the end of the stream
        self.request_begun = False  # a part of the request's body has gone on
        self.request_length = 0  # what content-length announced, if the body is buffered
        self.response_begun = False
        self.response_length = 0
        self.snapshot: bytes | None = None  # the request headers as they left this filter, encoded
        self.calls: list[int] | None = None  # tokens of its callouts
        self.waiting: Waiting | None = None  # its waiting coroutines, see `tasks`


class Queued:
    """The streams on which the host will act when the running callback has returned; see `guards`."""

    __slots__ = ("by_key", "streams", "unkeyed")

    def __init__(self) -> None:
        self.streams: set[Stream] = set()
        self.by_key: dict[bytes, Stream] = {}  # the first one of each HTTP stream
        self.unkeyed: list[Stream] = []  # those whose key nobody has asked for yet

    def add(self, stream: Stream) -> None:
        """Add a stream, once."""
        if stream not in self.streams:
            self.streams.add(stream)
            if stream.http:
                self.unkeyed.append(stream)


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


class Ended:
    """In place of a coroutine, for a task that only waits for a tick: a part that goes on then, or a check."""

    def close(self) -> None:
        """It has nothing to clean up."""


class Task:
    """A waiting coroutine, or one that another one waits for (`parent`)."""

    __slots__ = ("coroutine", "driver", "holds", "parent", "phase", "result", "root", "strange", "stream", "wait")

    def __init__(
        self,
        coroutine: AnyCoroutine | Ended,
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
    """The waiting coroutines and the held bytes of one stream; `Stream.waiting` while there are any.

    A waiting callback holds its direction: the host gets PAUSE for it, and for everything that arrives in that
    direction in the meantime. These parts are recorded here, with their callbacks, and are delivered, in order, when
    the coroutine has ended. The same goes for PAUSE in a headers callback, until the filter resumes the stream.
    """

    __slots__ = ("bytes", "held", "parts", "tasks")

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.held = 0  # bits 1 << StreamType: a coroutine holds this direction
        self.parts: dict[int, list[Part]] | None = None
        self.bytes: dict[int, Held] = {}

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

    def overtake(self, direction: int) -> None:
        """End the waits of parts that only have to go on: the next part takes them along."""
        tasks = [task for task in self.tasks if task.phase.direction == direction]
        if not all(isinstance(task.coroutine, Ended) for task in tasks):
            return
        for task in tasks:
            self.tasks.remove(task)
            if task.wait is not None:
                task.wait.cancel()
                task.wait.task = None
        self.held &= ~(1 << direction)
        if direction in self.bytes:
            self.bytes[direction].pass_on()

    def forget(self) -> None:
        """Drop parts and bytes: nothing of the stream will be delivered any more."""
        self.parts = None
        for held in self.bytes.values():
            held.release()
            held.forget_sent()
        self.bytes = {}

    def is_only(self, task: Task) -> bool:
        """Whether this task is all there is: no other task, no part, no bytes."""
        return self.parts is None and not self.bytes and self.tasks == [task]

    @property
    def idle(self) -> bool:
        """Whether nothing is left to keep."""
        return not (self.tasks or self.bytes or (self.parts and any(self.parts.values())))


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
