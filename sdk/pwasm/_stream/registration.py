"""The registration of a filter, and the declarations of its classes."""

from __future__ import annotations

from collections.abc import Callable

from .._abi import StreamType
from .._reflect import name_of
from .._typing import Any, Final, NamedTuple

DEFAULT_TIME_BUDGET: Final = 2000
"""Milliseconds that a callback may take: no request should, and Envoy's clients have not given up."""


class Entry(NamedTuple):
    """A registered class or factory, and the place of its registration."""

    factory: Callable[..., Any]
    takes_context_id: bool
    where: str

    @property
    def name(self) -> str:
        """The name in messages: `AddHeader (filter.py:12)`."""
        return f"{self.factory_name} ({self.where})" if self.where else self.factory_name

    @property
    def factory_name(self) -> str:
        """The name in the source: `AddHeader`."""
        return name_of(self.factory)


class Registration(NamedTuple):
    """The filter's entry points; None for a kind without registration.

    `named` has a separate Registration for each `root_id`. `step_budget` and `time_budget` (in milliseconds) are 0 for
    none.
    """

    vm: Entry | None = None
    plugin: Entry | None = None
    http: Entry | None = None
    tcp: Entry | None = None
    named: tuple[tuple[str, Registration], ...] = ()
    step_budget: int = 0
    time_budget: int = DEFAULT_TIME_BUDGET

    @property
    def empty(self) -> bool:
        """Whether no class is registered."""
        return not any((self.vm, self.plugin, self.http, self.tcp, self.named))

    def for_root(self, root_id: str) -> Registration | None:
        """The registration for a plugin with this `root_id`; None if there is none.

        A kind that is not registered for the root id falls back to the one registered without a root id. HTTP and TCP
        fall back together, or a TCP filter would get the default HTTP contexts.
        """
        own = dict(self.named).get(root_id)
        if own is None:
            # A plugin context on its own is shared by the named filters; by itself it filters nothing.
            filters = any(registered.http or registered.tcp for _, registered in self.named)
            usable = self.http or self.tcp or self.vm or (self.plugin and not filters)
            return self if usable else None
        streams = own if own.http or own.tcp else self
        return self._replace(plugin=own.plugin or self.plugin, http=streams.http, tcp=streams.tcp)


MESSAGES: Final = {int(StreamType.HTTP_REQUEST): "request", int(StreamType.HTTP_RESPONSE): "response"}
"""Direction → the message that flows in it."""

_DERIVED = frozenset({"hold", "at_headers"})


class Traits:
    """The declarations of one class; pairs are (request, response).

    Not a NamedTuple, whose attributes the interpreter reads three times as slowly.
    """

    __slots__ = (
        "at_headers",
        "buffers",
        "early",
        "edits",
        "hold",
        "holds",
        "max_body_bytes",
        "snapshot",
        "upgrade",
        "watches",
    )

    def __init__(
        self,
        *,
        snapshot: bool = False,
        buffers: tuple[bool, bool] = (False, False),
        edits: tuple[bool, bool] = (False, False),
        max_body_bytes: int = 0,
        holds: tuple[bool, bool] = (False, False),
        upgrade: str = "stream",
        early: bool = False,
        watches: tuple[bool, bool] = (False, False),
    ) -> None:
        self.snapshot = snapshot
        self.buffers = buffers
        self.edits = edits
        self.max_body_bytes = max_body_bytes
        self.holds = holds  # holds_request_headers, holds_response_headers
        self.upgrade = upgrade  # with the default filled in
        self.early = early  # a body of known length is delivered before its end, which is then too late for trailers
        self.watches = watches  # bodies are changed undeclared, which is allowed where there is no content-length
        self.hold = (False, False)  # whether the headers wait for the body, in this host
        self.at_headers = self._at_headers()

    def _at_headers(self) -> tuple[bool, bool]:
        """Whether there is anything to do at the headers besides the callback."""
        of_both = [self.buffers[at] or self.edits[at] or self.watches[at] or self.hold[at] for at in MESSAGES]
        upgrades = self.upgrade != "stream" or any(self.buffers)
        return of_both[0] or self.snapshot or upgrades, of_both[1] or (upgrades and self.upgrade != "refuse")

    @property
    def wants_held_headers(self) -> bool:
        """Whether streams are held better, or can only be held, by their headers (`PWASM_HOLD_HEADERS`)."""
        return any(self.holds) or any(self.buffers)

    def where_headers_are_held(self) -> Traits:
        """The same declarations in a host with `PWASM_HOLD_HEADERS`."""
        traits = Traits(**{name: getattr(self, name) for name in self.__slots__ if name not in _DERIVED})
        traits.hold = (self.holds[0] or self.buffers[0], self.holds[1] or self.buffers[1])
        traits.at_headers = traits._at_headers()
        return traits

    def callbacks(self) -> set[str]:
        """The callbacks that these declarations need, whether or not the class overrides their methods."""
        needed = {"proxy_on_request_headers"} if self.snapshot else set()
        if self.upgrade != "stream" or any(self.buffers):
            needed.add("proxy_on_request_headers")
            if self.upgrade != "refuse":
                needed.add("proxy_on_response_headers")
        for direction, name in MESSAGES.items():
            edits = self.edits[direction] or self.watches[direction]
            if edits or self.buffers[direction] or self.holds[direction]:
                needed.add(f"proxy_on_{name}_headers")
            if self.buffers[direction] or self.holds[direction]:
                needed |= {f"proxy_on_{name}_body", f"proxy_on_{name}_trailers"}
        return needed


NOTHING: Final = Traits()
"""The traits of a stream whose class has none, while one of its coroutines waits, or bytes are held."""
