"""The interfaces between the parts of the emulated host and its streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, TypeAlias

from pwasm._abi import Status

from .clock import Clock
from .headers import Headers, Pairs
from .rules import HOLD_ALL, holds

OK, NOT_FOUND, BAD_ARGUMENT = int(Status.OK), int(Status.NOT_FOUND), int(Status.BAD_ARGUMENT)
UNIMPLEMENTED = int(Status.UNIMPLEMENTED)


class Buffered(Protocol):
    """The buffers of a stream in one direction (see `Flow`)."""

    state: int
    dangling: bool

    @property
    def over(self) -> bool:
        """Whether nothing more happens in this direction."""

    @property
    def held(self) -> bytearray | None:
        """What is held of the body."""

    @property
    def visible(self) -> bytearray | None:
        """What the plugin sees of the body."""


class Part:
    """State of the host that all parts share; `HostEmulator` combines the parts."""

    clock: Clock
    buffer_limit: int
    allow_on_headers_stop_iteration: bool
    is_python: bool
    neighbour_calls: list[NeighbourCall]
    """What the doubles of other filters in the chain wait, or have waited, for."""

    def __init__(self) -> None:
        self.callback = ""
        self.crash = ""
        self.context_id = 0
        self.effective_id = 0
        self.streams: dict[int, Stream] = {}
        self.roots: list[int] = []
        self.logged_stream: Stream | None = None
        """The stream of which an access logger is being told."""

    @property
    def now_nanoseconds(self) -> int:
        """The wall clock, in nanoseconds since 1970. Like the other clocks, it advances only when it is set."""
        return self.clock.now_nanoseconds

    @now_nanoseconds.setter
    def now_nanoseconds(self, now: int) -> None:
        self.clock.now_nanoseconds = now

    def call(self, export: str, context_id: int, *args: int) -> object:
        """Enter the plugin."""
        raise NotImplementedError

    def run_pending(self) -> None:
        """Do what Envoy's event loop would do next."""
        raise NotImplementedError

    def after(self, action: Callable[[], object]) -> None:
        """Run `action` after the running callback has returned."""
        raise NotImplementedError

    def soon(self, action: Callable[[], object]) -> None:
        """Run `action` in a later iteration of the event loop."""
        raise NotImplementedError

    def still_to_come(self) -> list[str]:
        """Descriptions of what the plugin waits for; any of it may resume a stream."""
        raise NotImplementedError

    def hears(self, export: str, context_id: int) -> bool:
        """Whether the filter has this callback of a stream."""
        raise NotImplementedError

    def forget(self, context_id: int) -> None:
        """Remove a stream that has ended."""
        raise NotImplementedError

    def kill(self, number: str) -> int:
        """A call that crashes Envoy afterwards (docs/abi.md §0.1): it returns OK; see HostEmulator.call."""
        if holds(number):
            self.crash_on(number)
        return OK

    def crash_on(self, what: str) -> None:
        """Record that Envoy would crash after the running callback."""
        self.crash = f"{what}: Envoy would crash after this {self.callback} (see pwasm._stream.guards)"

    def _stream(self) -> Stream | None:
        return self.streams.get(self.effective_id)

    def _seen(self) -> Stream | None:
        """The stream whose maps and properties can be read; that of an access logger can be read only."""
        logged = self.logged_stream if self.effective_id == self.context_id else None
        return logged or self._stream()

    def _own_stream(self) -> Stream | None:
        return self.streams.get(self.context_id)

    def _root_id(self) -> int:
        """The plugin for which the running call is made; that of the selected stream, as in Envoy."""
        stream = self._stream() or self._own_stream()
        return self.context_id if stream is None else stream.root_id


Answered: TypeAlias = "tuple[int, Headers, bytes]"
"""Status, headers and body."""


class NeighbourCall:
    """What the double of another filter waits for: an answer of `cluster`, or for "" only that `seconds` pass.

    A world answers it; around a bare emulator the test does, see `HostEmulator.neighbour_calls`.
    """

    def __init__(self, host: Part, cluster: str, headers: Headers, then: Callable[[Answered], object]) -> None:
        self.cluster = cluster
        self.headers = headers
        self.seconds = 0.0
        self.answered = False
        self._host = host
        self._then = then
        host.neighbour_calls.append(self)

    def answer(self, status: int = 200, headers: Pairs = (), body: bytes = b"") -> None:
        """The answer arrives."""
        if self.answered:
            raise RuntimeError("this call has already been answered")
        self.answered = True
        self._then((status, Headers(headers), body))
        self._host.run_pending()


class Stream:
    """A stream context, on which hostcalls act."""

    http: ClassVar[bool] = False

    def __init__(self, host: Part, context_id: int, root_id: int) -> None:
        self.host = host
        self.context_id = context_id
        self.root_id = root_id
        self.flows: tuple[Buffered, ...] = ()
        self.properties: dict[bytes, bytes] = {}
        self.phase = ""
        """The running one of the final callbacks; "" before them."""

    @property
    def ended(self) -> bool:
        """Whether the final callbacks have begun."""
        return bool(self.phase)

    def buffer(self, buffer_type: int) -> bytearray | None:
        """A buffer of the stream, if it can be read and written now."""
        flow = self.flows[buffer_type] if buffer_type < len(self.flows) else None
        if flow is not None and flow.dangling:
            self.host.kill("K10")
        if flow is None or flow.over:
            return None
        if flow.state == HOLD_ALL and not holds("the body is empty while the headers are held"):
            return flow.held
        return flow.visible

    def logged_map(self, map_type: int) -> Headers | None:
        """A map as on_log sees it."""
        raise NotImplementedError

    def closed_by_plugin(self) -> None:
        """The plugin closes the stream."""
        raise NotImplementedError

    def end(self, *exports: str) -> None:
        """Run the final callbacks, in the order of the stream's kind."""
        if self.ended:
            return
        for export in exports:
            self.phase = export
            self.host.call(export, self.context_id)
        self.host.forget(self.context_id)
