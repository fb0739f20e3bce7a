"""One direction of an exchange: the filters that it passes, and what belongs to all of them together.

This is Envoy's filter manager (docs/abi.md §1.3, §6; measured by `tests/conformance`). A `Chain` has the message, one
buffer for the body that any filter holds, and one mark for the end of the stream. A `Link` is the place of a filter in
it: headers, data and trailers enter through `receive_…`, pass the filter in `on_…`, and go to the next link, at once or
when the filter continues. Whoever continues passes on all that the buffer holds, whoever put it there.
"""

from __future__ import annotations

from typing import Protocol

from .headers import Headers
from .rules import CONTINUE, HOLD, HOLD_ALL, STREAM_HELD, holds

REQUEST, RESPONSE = 0, 1
NAMES = ("request", "response")


class Ends(Protocol):
    """What is at the end of a chain: it receives what all filters let pass."""

    def forward_headers(self, direction: int, headers: Headers, end_of_stream: bool) -> None:
        """Pass on headers."""

    def forward_data(self, direction: int, data: bytes, end_of_stream: bool) -> None:
        """Pass on a part of the body."""

    def forward_trailers(self, direction: int, trailers: Headers) -> None:
        """Pass on trailers."""

    def over_limit(self, direction: int) -> None:
        """The held data exceeds Envoy's buffer limit."""


class Chain:
    """The request (direction 0) or the response (1) of an exchange, on its way through the links."""

    def __init__(self, exchange: Ends, direction: int, limit: int) -> None:
        self.exchange = exchange
        self.direction = direction
        self.name = NAMES[direction]
        self.limit = limit
        self.headers: Headers | None = None
        self.trailers: Headers | None = None
        self.buffer: bytearray | None = None
        """What is held of the body, by any link; like Envoy's, it stays when it has been emptied."""
        self.ended = False
        """Whether everything has been received."""
        self.over = False
        """Whether nothing more happens in this direction."""
        self._links: list[Link] = [End(self)]

    def link(self, *links: Link) -> None:
        """Append links, in the order in which the message passes them."""
        self._links[-1:-1] = links

    def after(self, link: Link) -> Link:
        """The next one."""
        return self._links[self._links.index(link) + 1]

    def hold(self, data: bytes | bytearray) -> None:
        """Move data into the buffer."""
        if self.buffer is None:
            self.buffer = bytearray()
        if data is not self.buffer:
            self.buffer += data
            if isinstance(data, bytearray):
                data.clear()

    def check_limit(self) -> None:
        """Envoy's answer to a buffer that has grown too large."""
        if self.buffer is not None and len(self.buffer) > self.limit:
            self.exchange.over_limit(self.direction)

    # --- coming in ------------------------------------------------------------------------------------------------

    def receive_headers(self, headers: Headers, end: bool) -> None:
        """Headers arrive."""
        self.headers, self.ended = headers, end
        self._links[0].receive_headers(end)

    def receive_data(self, data: bytes, end: bool) -> None:
        """A piece of the body arrives."""
        if not self.over:
            self.ended = self.ended or end
            self._links[0].receive_data(bytearray(data), end)

    def receive_trailers(self, trailers: Headers) -> None:
        """Trailers arrive."""
        if not self.over:
            self.trailers, self.ended = trailers, True
            self._links[0].receive_trailers()


class Link:
    """A filter's place in a chain. Without methods of its own, it lets everything pass."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.state = CONTINUE
        """CONTINUE, HOLD (headers or data are held, more data reaches the filter) or HOLD_ALL (it does not)."""
        self.headers_sent = False
        self.last_call_ended = False
        """Whether the last callback had the end of the stream: this link and those behind get no more data."""

    @property
    def is_held(self) -> bool:
        """Whether the direction waits for this link to continue."""
        return self.state != CONTINUE and not self.chain.over

    @property
    def is_through(self) -> bool:
        """Whether data that still comes is dropped."""
        return self.last_call_ended and holds("no data comes after the end, whoever passed that on")

    # --- the filter -----------------------------------------------------------------------------------------------

    def on_headers(self, end: bool) -> int:
        """The filter's reaction to headers: CONTINUE, HOLD or HOLD_ALL."""
        del end
        return CONTINUE

    def on_data(self, data: bytearray, end: bool) -> int:
        """The filter's reaction to data: CONTINUE, HOLD, STREAM_HELD or DISCARD."""
        del data, end
        return CONTINUE

    def on_trailers(self) -> int:
        """The filter's reaction to trailers: CONTINUE or HOLD."""
        return CONTINUE

    def on_go_on(self) -> None:
        """The filter continues."""

    # --- on the way -----------------------------------------------------------------------------------------------

    def receive_headers(self, end: bool) -> None:
        """Headers arrive here."""
        self.last_call_ended = end
        what = self.on_headers(end)
        if self.chain.over:
            return
        if what == CONTINUE:
            self.send_headers(end)
        else:
            self.state = what

    def receive_data(self, data: bytearray, end: bool) -> None:
        """A piece of the body arrives here."""
        if self.chain.over:
            return
        if self.state == HOLD_ALL:
            self.chain.hold(data)
            if not holds("the limit does not count for headers held"):
                self.chain.check_limit()
        elif not self.is_through:
            self.filter_data(data, end)

    def receive_trailers(self) -> None:
        """Trailers arrive here."""
        if not self.chain.over and self.state != HOLD_ALL:
            self.filter_trailers()

    def filter_data(self, data: bytearray, end: bool) -> None:
        """Data passes the filter."""
        chain = self.chain
        self.last_call_ended = end
        had_trailers = chain.trailers is not None
        what = self.on_data(data, end)
        if chain.over:
            return
        if what == CONTINUE:
            self._pass_data(data, end, created=not had_trailers and chain.trailers is not None)
            return
        self.state = HOLD
        if what in {HOLD, STREAM_HELD}:
            counts = data is not chain.buffer or not holds("what is held already does not count again")
            chain.hold(data)
            if counts and (what == HOLD or not holds("the limit does not count for what streams")):
                chain.check_limit()
            return
        if data is not chain.buffer:
            data.clear()
        if end and chain.buffer is None:
            chain.hold(b"")  # the data is lost, but not its end

    def _pass_data(self, data: bytearray, end: bool, *, created: bool) -> None:
        """The filter let a piece pass."""
        chain = self.chain
        if self.state == HOLD:
            chain.hold(data)
            self.go_on()
            return
        chain.after(self).receive_data(data, end and not created)
        if created:
            assert chain.trailers is not None
            if holds("trailers that were created are not announced"):
                chain.after(self).receive_trailers()
            else:
                self.filter_trailers()

    def filter_trailers(self) -> None:
        """Trailers pass the filter."""
        self.last_call_ended = True
        what = self.on_trailers()
        if self.chain.over:
            return
        if what != CONTINUE:
            self.state = HOLD
        elif self.state == HOLD:
            self.go_on()
        else:
            self.chain.after(self).receive_trailers()

    def send_headers(self, end: bool) -> None:
        """Headers go to the next link."""
        self.headers_sent = True
        self.chain.after(self).receive_headers(end)

    def resume(self) -> None:
        """The filter continues what it holds, from outside of its callbacks."""
        if self.is_held:
            self.go_on()

    def go_on(self) -> None:
        """Pass on what the whole chain holds, in the order of its arrival."""
        chain, after = self.chain, self.chain.after(self)
        unseen = self.state == HOLD_ALL
        self.state = CONTINUE
        self.on_go_on()
        had_trailers = chain.trailers is not None
        ended = chain.ended and (self.last_call_ended or holds("who continues passes on the end, too"))
        if not self.headers_sent:
            self.send_headers(ended and chain.buffer is None and not had_trailers)
        if chain.buffer is not None and not chain.over:
            end = ended and not had_trailers
            if unseen:
                self._filter_held(chain.buffer, end)
            else:
                after.receive_data(chain.buffer, end)
        if had_trailers and not chain.over:
            if unseen and self.state != HOLD_ALL:
                self.filter_trailers()
            else:
                after.receive_trailers()

    def _filter_held(self, data: bytearray, end: bool) -> None:
        if holds("a held body comes in one piece") or not end:
            self.filter_data(data, end)
        else:
            self.filter_data(data, False)
            self.filter_data(bytearray(), True)


class End(Link):
    """Behind the last filter of a chain: what arrives leaves it."""

    def receive_headers(self, end: bool) -> None:
        """Headers leave."""
        assert self.chain.headers is not None
        self.last_call_ended = end
        self.chain.exchange.forward_headers(self.chain.direction, self.chain.headers, end)

    def receive_data(self, data: bytearray, end: bool) -> None:
        """A piece of the body leaves."""
        if self.chain.over or self.is_through:
            return
        self.last_call_ended = end
        sent = bytes(data)
        data.clear()
        self.chain.exchange.forward_data(self.chain.direction, sent, end)

    def receive_trailers(self) -> None:
        """Trailers leave."""
        assert self.chain.trailers is not None
        if not self.chain.over:
            self.chain.exchange.forward_trailers(self.chain.direction, self.chain.trailers)
