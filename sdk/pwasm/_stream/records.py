"""The SDK's one piece of module state: `current`, and the records it points to.

Why module state at all: the public functions mirror the Go SDK's (`pwasm.log_info(…)`), so they take no host and no
context; what they act on must lie somewhere. The rules that keep it harmless:

- Only the dispatcher writes `host`, `phase`, `root` and `stream`, at the start of *every* callback, so a value
never outlives the
  callback it belongs to, and two dispatchers in one process (two emulators in one test) do not see each other.
- `set_effective_context` and the resume functions replace `phase` (and `stream`) for the rest of that callback.
- There are no threads in a Wasm VM, and the host enters a plugin again only after it has returned.

The records are what the SDK knows of contexts on its own. The host's answers are not enough: it says OK to calls that
crash it afterwards (see `guards.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .._typing import TYPE_CHECKING, Any, NamedTuple, cast
from ..errors import PhaseError

if TYPE_CHECKING:
    from .._async.tasks import Task
    from .._async.timers import Timers
    from .._protocols import Host
    from ..types import HttpContext, PluginContext, TcpContext
    from .body_options import Traits
    from .waiting import Waiting


class Entry(NamedTuple):
    """One registered class or factory, and where it was registered."""

    factory: Callable[..., Any]
    takes_context_id: bool
    where: str

    @property
    def name(self) -> str:
        """What a message calls it: `AddHeader (filter.py:12)`."""
        return f"{self.factory_name} ({self.where})" if self.where else self.factory_name

    @property
    def factory_name(self) -> str:
        """What its author calls it: `AddHeader`."""
        name: str = getattr(self.factory, "__qualname__", type(self.factory).__qualname__)
        return name

    def create(self, context_id: int) -> Any:
        """Make a context object."""
        return self.factory(context_id) if self.takes_context_id else self.factory()


class Registration(NamedTuple):
    """The filter's entry points; None where nothing is registered.

    `named` are those registered for one `root_id`, each a Registration of its own. `step_budget` is 0 for none.
    """

    vm: Entry | None = None
    plugin: Entry | None = None
    http: Entry | None = None
    tcp: Entry | None = None
    named: tuple[tuple[str, Registration], ...] = ()
    step_budget: int = 0

    @property
    def empty(self) -> bool:
        """Whether no class is registered."""
        return not any((self.vm, self.plugin, self.http, self.tcp, self.named))

    def for_root(self, root_id: str) -> Registration | None:
        """What a plugin with this `root_id` runs; None when nothing is registered for it.

        A kind that is not registered for the root id falls back to the one registered without. HTTP and TCP do so
        together, or a TCP filter would get the default HTTP contexts.
        """
        own = dict(self.named).get(root_id)
        if own is None:
            # A plugin context alone is shared by the named filters; it filters nothing by itself.
            filters = any(registered.http or registered.tcp for _, registered in self.named)
            usable = self.http or self.tcp or self.vm or (self.plugin and not filters)
            return self if usable else None
        streams = own if own.http or own.tcp else self
        return self._replace(plugin=own.plugin or self.plugin, http=streams.http, tcp=streams.tcp)


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
        self.context: PluginContext | None = None
        self.failed = False
        self.http: Entry | None = None
        self.tcp: Entry | None = None
        self.make_http: type[HttpContext] | None = (
            None  # of a class that wants no id: what `http` and `body_options` say
        )
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
        self.context: HttpContext | TcpContext | None = None
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


class NoHost:
    """Stands where the host will be: every hostcall before the first callback is an error that says so."""

    def __getattr__(self, name: str) -> Any:
        raise PhaseError(
            name,
            "",
            "there is no proxy yet: this code runs when the filter is imported, which `pwasm build` does at build time",
            "call it from a callback, for example PluginContext.on_plugin_start",
        )


class Current:
    """What the running callback acts on."""

    __slots__ = ("host", "phase", "registration", "root", "stream")

    def __init__(self) -> None:
        self.host: Host = cast("Host", NoHost())
        self.registration = Registration()
        self.phase = Phase("", "", "log")
        self.root: Root | None = None
        self.stream: Stream | None = None

    def active_root(self) -> Root | None:
        """The plugin context the running callback belongs to; in a stream callback that of the stream."""
        return self.root if self.stream is None else self.stream.root


current = Current()
