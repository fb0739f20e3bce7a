"""One direction of an HTTP stream around the plugin: the data that is held, passed on, and visible to callbacks.

This is Envoy's filter manager for a chain of one filter, with the same order of steps (docs/abi.md §1.3, §1.5; measured
by `tests/conformance`): headers, data and trailers enter through `receive_…`, pass the plugin's callback, and leave
through `stream.forward_…`, immediately or when the plugin resumes.
"""

from __future__ import annotations

from typing import Protocol

from pwasm._abi import MapType

from . import rules
from .base import Part
from .headers import Headers
from .rules import CONTINUE, DISCARD, HOLD, HOLD_ALL, STREAM_HELD, holds

NAMES = ("request", "response")
HEADERS = (int(MapType.HTTP_REQUEST_HEADERS), int(MapType.HTTP_RESPONSE_HEADERS))
TRAILERS = (int(MapType.HTTP_REQUEST_TRAILERS), int(MapType.HTTP_RESPONSE_TRAILERS))


class Carrier(Protocol):
    """The stream of a flow: it calls the plugin, and receives what the plugin lets pass."""

    host: Part
    closed: bool

    @property
    def answered_locally(self) -> bool:
        """Whether the plugin has sent a local response."""

    def call(self, export: str, *args: int) -> int:
        """Enter the plugin; returns its action."""

    def forward_headers(self, direction: int, headers: Headers, end_of_stream: bool) -> None:
        """Pass on headers."""

    def forward_data(self, direction: int, data: bytes, end_of_stream: bool) -> None:
        """Pass on a part of the body."""

    def forward_trailers(self, direction: int, trailers: Headers) -> None:
        """Pass on trailers."""

    def over_limit(self, direction: int) -> None:
        """The held data exceeds Envoy's buffer limit."""


class Flow:
    """The request (direction 0) or the response (1) of a stream."""

    def __init__(self, stream: Carrier, direction: int) -> None:
        self.stream = stream
        self.direction = direction
        self.name = NAMES[direction]
        self.headers: Headers | None = None
        self.trailers: Headers | None = None
        self.state = CONTINUE
        """CONTINUE, HOLD (headers or data are held, more data reaches the plugin) or HOLD_ALL (it does not)."""
        self.headers_sent = False
        self.body_sent = False
        """Whether the headers left without being the end."""
        self.ended = False
        """Whether everything has been received."""
        self.over = False
        """Whether nothing more happens in this direction."""
        self.held: bytearray | None = None
        self.visible: bytearray | None = None
        """The plugin's body buffer."""
        self.accumulates = False
        self.last_call_ended = False
        self.open_headers = False
        self.open_trailers = False
        self.created: Headers | None = None
        self.resumed_early = False

    @property
    def is_held(self) -> bool:
        """Whether the direction waits for a resume."""
        return self.state != CONTINUE and not self.over

    def _call(self, part: str, *args: int) -> int:
        self.resumed_early = False
        action = self.stream.call(f"proxy_on_{self.name}_{part}", *args)
        if self.resumed_early and action != CONTINUE and not holds("a resume before the pause is lost"):
            return CONTINUE
        return action

    # --- coming in ------------------------------------------------------------------------------------------------

    def receive_headers(self, headers: Headers, end: bool) -> None:
        """Headers arrive."""
        self.headers, self.ended, self.last_call_ended = headers, end, end
        self.open_headers = holds(f"{self.name} headers are there in their callback")
        action = self._call("headers", len(headers), end)
        if self.over:
            return
        what = rules.HEADER_ACTIONS.get(action, HOLD_ALL)
        if action == rules.PAUSE and self.stream.host.allow_on_headers_stop_iteration:
            what = HOLD if holds("with allow_on_headers_stop_iteration the body still comes") else HOLD_ALL
        elif what == HOLD_ALL and not holds("PAUSE in headers holds the body too"):
            what = HOLD
        if self.resumed_early:
            self._resumed_in_headers(what, end)
        elif what == CONTINUE:
            if holds(f"{self.name} headers are gone when the callback has continued"):
                self.open_headers = False
            self._send_headers(end)
        if what != CONTINUE:
            if not holds(f"{self.name} headers stay while the {self.name} is held"):
                self.open_headers = False
            self.state = what

    def receive_data(self, data: bytes, end: bool) -> None:
        """A piece of the body arrives."""
        if self.over:
            return
        self.ended = self.ended or end
        if self.state == HOLD_ALL:
            self._hold(data)
            if not holds("the limit does not count for headers held"):
                self._check_limit()
        else:
            self._filter_data(bytearray(data), end)

    def receive_trailers(self, trailers: Headers) -> None:
        """Trailers arrive."""
        if self.over:
            return
        self.trailers, self.ended = trailers, True
        if self.state != HOLD_ALL:
            self._filter_trailers()

    # --- past the plugin ------------------------------------------------------------------------------------------

    def _filter_data(self, data: bytearray, end: bool) -> None:
        if self.accumulates and self.held is not None:
            self.held += data
            data = bytearray()
            self.visible = self.held
        else:
            self.visible = data
        self.last_call_ended = end
        had_trailers = self.trailers is not None
        action = self._call("body", len(self.visible), end)
        if self.over:
            return
        what = rules.DATA_ACTIONS.get(action, DISCARD)
        self.accumulates = what == HOLD and holds("PAUSE in a body callback accumulates")
        if what == CONTINUE:
            self.visible = None
            self._pass_data(data, end, created=not had_trailers and self.trailers is not None)
            return
        self.state = HOLD
        if what in {HOLD, STREAM_HELD}:
            self._hold(data)
            if what == HOLD or not holds("the limit does not count for what streams"):
                self._check_limit()
            self.visible = self.held if self.accumulates else self.visible
        elif end:
            self._hold(b"")  # the data is lost, but not its end
        if not holds("the body stays while it is held"):
            self.visible = None

    def _pass_data(self, data: bytearray, end: bool, *, created: bool) -> None:
        """The plugin let a piece pass."""
        if self.state == HOLD:
            self._hold(data)
            self.go_on()
            return
        self.stream.forward_data(self.direction, bytes(data), end and not created)
        if created:
            assert self.trailers is not None
            if holds("trailers that were created are not announced"):
                self.stream.forward_trailers(self.direction, self.trailers)
            else:
                self._filter_trailers()

    def _filter_trailers(self) -> None:
        assert self.trailers is not None
        self.open_trailers = holds(f"{self.name} trailers are there in their callback")
        self.visible = self.held if self.accumulates else None
        action = self._call("trailers", len(self.trailers))
        if self.over:
            reset = self.stream.closed and not self.stream.answered_locally
            if reset and self.direction == 1 and action == CONTINUE and self.state == CONTINUE:
                self.stream.host.kill("K7")
            return
        if action != CONTINUE and holds("PAUSE in trailers holds the stream"):
            self.open_trailers = holds("request trailers stay while the request is held")
            self.state = HOLD
            return
        self.open_trailers = False
        self.visible = None
        if self.state == HOLD:
            self.go_on()
        else:
            self.stream.forward_trailers(self.direction, self.trailers)

    # --- holding and resuming -------------------------------------------------------------------------------------

    def _hold(self, data: bytes | bytearray) -> None:
        if self.held is None:
            self.held = bytearray()
        self.held += data

    def _check_limit(self) -> None:
        if self.held is not None and len(self.held) > self.stream.host.buffer_limit:
            self.stream.over_limit(self.direction)

    def _send_headers(self, end: bool) -> None:
        assert self.headers is not None
        self.headers_sent = True
        self.body_sent = not end
        self.stream.forward_headers(self.direction, self.headers, end)

    def resume(self) -> None:
        """The plugin called continue_stream, in a callback of this stream or elsewhere."""
        if self.over or self.headers is None:
            return
        if self.state == CONTINUE:
            self._resume_what_is_not_held()
        else:
            self.go_on()

    def _resume_what_is_not_held(self) -> None:
        """Envoy has no guard: it sends its data again (§0.2; measured: headers or trailers sent twice, or SIGSEGV)."""
        if not holds("a resume of what is not held sends it twice"):
            return
        self.resumed_early = True
        if self.headers_sent and self.trailers is not None:
            self.stream.host.crash_on(f"the {self.name}'s trailers are sent twice")

    def _resumed_in_headers(self, what: int, end: bool) -> None:
        """The headers were sent before the callback returned, so its action comes too late (§0.2)."""
        if what == CONTINUE:
            self.stream.host.crash_on(f"the {self.name}'s headers are sent twice")
        else:
            self._send_headers(end)

    def go_on(self) -> None:
        """Pass on the held data, in the order of its arrival."""
        unseen = self.state == HOLD_ALL
        self.state = CONTINUE
        self.accumulates = False
        self.visible = None
        self.open_headers = self.open_headers and self.direction == 1
        had_trailers = self.trailers is not None
        if not self.headers_sent:
            self._send_headers(self.ended and self.held is None and not had_trailers)
        data, self.held = self.held, None
        if data is not None and not self.over:
            end = self.ended and not had_trailers
            if unseen:
                self._filter_held(data, end)
            else:
                self.stream.forward_data(self.direction, bytes(data), end)
        if had_trailers and not self.over:
            assert self.trailers is not None
            if unseen and self.state != HOLD_ALL:
                self._filter_trailers()
            else:
                self.stream.forward_trailers(self.direction, self.trailers)

    def _filter_held(self, data: bytearray, end: bool) -> None:
        if holds("a held body comes in one piece") or not end:
            self._filter_data(data, end)
        else:
            self._filter_data(data, False)
            self._filter_data(bytearray(), True)

    # --- maps -----------------------------------------------------------------------------------------------------

    def headers_for_plugin(self) -> Headers | None:
        """The header map, if it is available now."""
        return self.headers if self.open_headers and not self.over else None

    def trailers_for_plugin(self, *, create: bool) -> Headers | None:
        """The trailers, if they are available now; with `create`, created where Envoy would (§1.5)."""
        if self.over:
            return None
        if self.open_trailers:
            return self.trailers
        if self.created is not None:
            return self.created
        ended = self.last_call_ended or not holds("trailers can be created only when the body has ended")
        body = self.visible is not None or not holds("trailers can be created only when there was a body callback")
        if (
            create
            and ended
            and body
            and self.trailers is None
            and holds("trailers can be created when the body has ended")
        ):
            self.created = self.trailers = Headers()
            return self.created
        return None

    def continued(self) -> None:
        """`continue_stream` was called: the request's maps become unavailable before it has any other effect (§1.2)."""
        if self.direction == 0 and holds("request maps are gone after continue_stream"):
            self.open_headers = self.open_trailers = False
            self.visible = None
            self.created = None
