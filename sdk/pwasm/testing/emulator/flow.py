"""One direction of an HTTP stream around a plugin: its link in the chain, with what its callbacks see and return.

The rules are those of docs/abi.md §1.2, §1.3 and §1.5, measured by `tests/conformance`.
"""

from __future__ import annotations

from typing import Protocol

from pwasm._abi import MapType

from . import rules
from .base import Part
from .chain import Chain, Link
from .headers import Headers
from .rules import CONTINUE, DISCARD, HOLD, HOLD_ALL, holds

HEADERS = (int(MapType.HTTP_REQUEST_HEADERS), int(MapType.HTTP_RESPONSE_HEADERS))
TRAILERS = (int(MapType.HTTP_REQUEST_TRAILERS), int(MapType.HTTP_RESPONSE_TRAILERS))


class Side(Protocol):
    """The plugin's side of the exchange."""

    host: Part

    @property
    def reset_by_plugin(self) -> bool:
        """Whether the stream was closed without a response of the plugin."""

    @property
    def is_closed(self) -> bool:
        """Whether the stream was reset."""

    def call(self, export: str, *args: int) -> int:
        """Enter the plugin; returns its action."""

    def begin(self, direction: int) -> bool:
        """Whether the plugin has a context for this message; a request creates it."""


class Flow(Link):
    """The request (direction 0) or the response (1) of a stream, as one plugin meets it."""

    def __init__(self, side: Side, chain: Chain) -> None:
        super().__init__(chain)
        self.side = side
        self.direction = chain.direction
        self.name = chain.name
        self.begun = False
        """Whether the plugin has seen the headers."""
        self._visible: bytearray | None = None
        self._open = False
        """Whether what accumulates can be seen."""
        self.accumulates = False
        self.open_headers = False
        self.open_trailers = False
        self.created: Headers | None = None
        self.resumed_early = False
        self.dangling = False
        """Whether Envoy still has the address of a body that is gone: its callback ended the stream."""
        self.kept_headers = False
        """Whether Envoy still has the address of headers that were held, and that a body or trailers let go (K17)."""

    @property
    def headers(self) -> Headers | None:
        """The message's headers, once there are some."""
        return self.chain.headers

    @property
    def over(self) -> bool:
        """Whether nothing more happens in this direction."""
        return self.chain.over

    @property
    def held(self) -> bytearray | None:
        """What the chain holds of the body."""
        return self.chain.buffer

    @property
    def visible(self) -> bytearray | None:
        """The plugin's body buffer; while it accumulates that is the chain's, whatever happens to that."""
        if self.accumulates:
            return self.held if self._open else None
        return self._visible

    def _call(self, part: str, *args: int) -> int:
        self.resumed_early = False
        action = self.side.call(f"proxy_on_{self.name}_{part}", *args)
        if self.resumed_early and action != CONTINUE and not holds("a resume before the pause is lost"):
            return CONTINUE
        return action

    # --- headers --------------------------------------------------------------------------------------------------

    def receive_headers(self, end: bool) -> None:
        """Headers arrive at the plugin."""
        self.last_call_ended = end
        self.begun = self.side.begin(self.direction)
        if not self.begun:
            self.send_headers(end)
            return
        assert self.headers is not None
        self.open_headers = holds(f"{self.name} headers are there in their callback")
        action = self._call("headers", len(self.headers), end)
        if self.over:
            return
        what = rules.HEADER_ACTIONS.get(action, HOLD_ALL)
        if action == rules.PAUSE and self.side.host.allow_on_headers_stop_iteration:
            what = HOLD if holds("with allow_on_headers_stop_iteration the body still comes") else HOLD_ALL
        elif what == HOLD_ALL and not holds("PAUSE in headers holds the body too"):
            what = HOLD
        if self.resumed_early:
            self._resumed_in_headers(what, end)
        elif what == CONTINUE:
            if holds(f"{self.name} headers are gone when the callback has continued"):
                self.open_headers = False
            self.send_headers(end)
        if what != CONTINUE:
            if not holds(f"{self.name} headers stay while the {self.name} is held"):
                self.open_headers = False
            self.state = what

    def _resumed_in_headers(self, what: int, end: bool) -> None:
        """The headers were sent before the callback returned, so its action comes too late (docs/abi.md §0.2)."""
        if what == CONTINUE:
            self.side.host.crash_on(f"the {self.name}'s headers are sent twice")
        else:
            self.send_headers(end)

    # --- data and trailers ----------------------------------------------------------------------------------------

    def on_data(self, data: bytearray, end: bool) -> int:
        """The plugin's reaction to data."""
        if not self.begun:
            return CONTINUE
        self._open = True
        if self.accumulates and self.held is not None:
            self.chain.hold(data)
        else:
            self.accumulates, self._visible = False, data
        action = self._call("body", len(self.visible or b""), end)
        if self.over:
            self.dangling = True
            return CONTINUE
        what = rules.DATA_ACTIONS.get(action, DISCARD)
        self._keeps_headers(what)
        self.accumulates = what == HOLD and holds("PAUSE in a body callback accumulates")
        self._open = holds("the body stays while it is held")
        # The chain takes the bytes of a piece that is held; the plugin still sees them.
        self._visible = bytearray(data) if what != CONTINUE and self._open else None
        return what

    def filter_trailers(self) -> None:
        """Trailers pass the plugin."""
        if not self.begun:
            super().filter_trailers()
            return
        trailers = self.chain.trailers
        assert trailers is not None
        self.last_call_ended = True
        self.open_trailers = holds(f"{self.name} trailers are there in their callback")
        self._open, self._visible = True, None
        action = self._call("trailers", len(trailers))
        if self.over:
            if self.side.reset_by_plugin and self.direction == 1 and action == CONTINUE and self.state == CONTINUE:
                self.side.host.kill("K7")
            return
        if action != CONTINUE and holds("PAUSE in trailers holds the stream"):
            self.open_trailers = holds("request trailers stay while the request is held")
            self.state = HOLD
            return
        self.open_trailers = False
        self.accumulates, self._visible = False, None
        self._keeps_headers(CONTINUE)
        if self.state == HOLD:
            self.go_on()
        else:
            self.chain.after(self).receive_trailers()

    def _keeps_headers(self, what: int) -> None:
        if what == CONTINUE and self.direction == 0 and self.open_headers and self.state == HOLD:
            self.kept_headers = True

    # --- resuming -------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """The plugin called continue_stream, in a callback of this stream or elsewhere."""
        if self.direction == 1 and self.side.is_closed:
            self.side.host.kill("K9")
        if self.over or not self.begun:
            return
        if self.state == CONTINUE:
            self._resume_what_is_not_held()
        else:
            self.go_on()

    def _resume_what_is_not_held(self) -> None:
        """Envoy has no guard: it sends its data again (docs/abi.md §0.2; headers or trailers twice, or SIGSEGV)."""
        if not holds("a resume of what is not held sends it twice"):
            return
        self.resumed_early = True
        if self.headers_sent and self.chain.trailers is not None:
            self.side.host.crash_on(f"the {self.name}'s trailers are sent twice")

    def on_go_on(self) -> None:
        """The plugin continues: its body, and a request's headers, are gone."""
        self.accumulates, self._visible = False, None
        self.open_headers = self.open_headers and self.direction == 1

    # --- maps -----------------------------------------------------------------------------------------------------

    def headers_for_plugin(self) -> Headers | None:
        """The header map, if it is available now."""
        return self.headers if (self.open_headers or self.kept_headers) and not self.over else None

    def trailers_for_plugin(self, *, create: bool) -> Headers | None:
        """The trailers, if they are available now; with `create`, created where Envoy would (§1.5)."""
        if self.over:
            return None
        if self.open_trailers:
            return self.chain.trailers
        if self.created is not None:
            return self.created
        ended = self.last_call_ended or not holds("trailers can be created only when the body has ended")
        body = self.visible is not None or not holds("trailers can be created only when there was a body callback")
        if (
            create
            and ended
            and body
            and self.chain.trailers is None
            and holds("trailers can be created when the body has ended")
        ):
            self.created = self.chain.trailers = Headers()
            return self.created
        return None

    def continued(self) -> None:
        """`continue_stream` was called: the request's maps become unavailable before it has any other effect (§1.2)."""
        if self.direction == 0 and holds("request maps are gone after continue_stream"):
            self.open_headers = self.open_trailers = self.kept_headers = False
            self._open, self._visible = False, None
            self.created = None
