"""What the parts of the emulated host need of each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pwasm._abi import Status

from .rules import holds

if TYPE_CHECKING:
    from .clock import Clock
    from .stream import Stream

OK, NOT_FOUND, BAD_ARGUMENT = int(Status.OK), int(Status.NOT_FOUND), int(Status.BAD_ARGUMENT)
UNIMPLEMENTED = int(Status.UNIMPLEMENTED)


class Part:
    """State of the host that every part sees; `HostEmulator` is all parts together."""

    clock: Clock

    def __init__(self) -> None:
        self.callback = ""
        self.crash = ""
        self.context_id = 0
        self.effective_id = 0
        self.streams: dict[int, Stream] = {}
        self.roots: list[int] = []

    @property
    def now_nanoseconds(self) -> int:
        """The wall clock, in nanoseconds since 1970. It stands still until it is moved, and so do the other clocks."""
        return self.clock.now_nanoseconds

    @now_nanoseconds.setter
    def now_nanoseconds(self, now: int) -> None:
        self.clock.now_nanoseconds = now

    def call(self, export: str, context_id: int, *args: int) -> object:
        """Enter the plugin."""
        raise NotImplementedError

    def run_pending(self) -> None:
        """Let happen what Envoy's event loop would do next."""
        raise NotImplementedError

    def after(self, action: Callable[[], object]) -> None:
        """Do something when the running callback has returned."""
        raise NotImplementedError

    def soon(self, action: Callable[[], object]) -> None:
        """Do something in a later turn of the event loop."""
        raise NotImplementedError

    def kill(self, number: str) -> int:
        """One of the calls after which Envoy dies (abi.md §0.1): it says OK; see HostEmulator.call."""
        if holds(number):
            self.crash_on(number)
        return OK

    def crash_on(self, what: str) -> None:
        """Note that Envoy would not survive the running callback."""
        self.crash = f"{what}: Envoy would crash after this {self.callback} (see pwasm._stream.guards)"

    def _stream(self) -> Stream | None:
        return self.streams.get(self.effective_id)

    def _own_stream(self) -> Stream | None:
        return self.streams.get(self.context_id)

    def _root_id(self) -> int:
        """The plugin the running call is for; that of the selected stream, as in Envoy."""
        stream = self._stream() or self._own_stream()
        return self.context_id if stream is None else stream.root_id
