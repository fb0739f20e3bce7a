"""An HTTP stream of the host emulator: a client, filters, an upstream, and the messages between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from .base import Part
from .chain import REQUEST, RESPONSE, Chain
from .exchange import Exchange, Place
from .framing import awaited, last_chunk
from .headers import Headers, Pairs
from .held import why_held
from .local import LocalResponse, local_message
from .refusals import codec_refusal, refusal
from .rules import holds
from .side import HttpSide


class UpstreamResponse(NamedTuple):
    """A response of the upstream."""

    status: int = 200
    headers: Pairs = ()
    body: bytes | Iterable[bytes] = b""
    """One piece or several; `[b""]` is a body of unknown length that turns out to be empty."""
    trailers: Pairs | None = None


Upstream: TypeAlias = "UpstreamResponse | Callable[[HttpStream], UpstreamResponse | None]"
"""A response, or a function that creates it from the request that upstream has received; None if it comes later."""


def chunks_of(body: bytes | Iterable[bytes]) -> list[bytes]:
    """The pieces of a body."""
    if isinstance(body, bytes):
        return [body] if body else []
    return [bytes(chunk) for chunk in body]


class Neighbour(Protocol):
    """Another filter of the chain."""

    def join(self, stream: HttpStream, /) -> Place:
        """Its place in the chains of a stream."""


class HttpStream(HttpSide, Exchange):
    """One request and its outcome; `HostEmulator.request` returns it.

    While `paused` is not None, there is no response yet; a resume (from a tick, say) continues the stream immediately.
    After `HostEmulator.open_http_stream`, the test itself sends the parts in both directions.
    """

    def __init__(
        self,
        host: Part,
        context_id: int,
        root_id: int,
        upstream: Upstream | None,
        neighbours: tuple[Sequence[Neighbour], Sequence[Neighbour]] = ((), ()),
    ) -> None:
        """`neighbours` are the other filters of the chain, before and after this one in the list of filters."""
        HttpSide.__init__(self, host, context_id, root_id)
        Exchange.__init__(self)
        self.exchange = self
        self.upstream = upstream
        self.sides: list[HttpSide] = []
        """The plugins of the chain, in the order of the list."""
        before = [neighbour.join(self) for neighbour in neighbours[0]]
        self.sides.append(self)
        after = [neighbour.join(self) for neighbour in neighbours[1]]
        self._places: list[Place] = [*before, self.flow_in, *after]
        self.chains = [self._new_chain(REQUEST), self._new_chain(RESPONSE)]

    def __repr__(self) -> str:
        what = why_held(self) or ("closed" if self.closed else f"status {self.status}")
        return f"<HttpStream {self.context_id}: {what}>"

    @property
    def paused(self) -> str | None:
        """ "request" or "response" while the plugin holds the stream, else None."""
        return None if self.ended else next((flow.name for flow in self.flows if flow.is_held), None)

    def _new_chain(self, direction: int) -> Chain:
        """A chain of all filters: requests pass their list forwards, responses backwards."""
        chain = Chain(self, direction, self.host.buffer_limit)
        chain.link(*(place(chain) for place in (self._places if direction == REQUEST else reversed(self._places))))
        return chain

    def rejected(self, status: int, request: Pairs) -> None:
        """Envoy, or a filter that comes earlier, has answered the request: the plugin sees only the end."""
        self.status = status
        self.chains[RESPONSE].headers = self.headers = Headers([(":status", str(status))])
        if request:
            self.chains[REQUEST].headers = self.request_headers = Headers(request)
        self._end()

    # --- actions of the client and the upstream -------------------------------------------------------------------

    def send_request_headers(self, headers: Headers, *, end_of_stream: bool = False) -> None:
        """The client's request begins."""
        if not self._refused_by_codec(headers):
            self.request_headers = headers
            self.chains[REQUEST].receive_headers(headers, end_of_stream)
        self.host.run_pending()

    def send_request_body(self, data: bytes, *, end_of_stream: bool = False) -> None:
        """The client sends a piece of the body."""
        self.request_size += len(data)
        self.chains[REQUEST].receive_data(data, end_of_stream)
        self.host.run_pending()

    def send_request_trailers(self, trailers: Pairs = ()) -> None:
        """The client ends the request with trailers."""
        self.chains[REQUEST].receive_trailers(Headers(trailers))
        self.host.run_pending()

    def send_response_headers(self, headers: Pairs = (), *, status: int = 200, end_of_stream: bool = False) -> None:
        """Upstream's response begins."""
        pairs = Headers([(":status", str(status)), *headers])
        if not self.over_for_upstream:
            self.details = "via_upstream"
            self.chains[RESPONSE].receive_headers(pairs, end_of_stream)
        self.host.run_pending()

    def send_response_body(self, data: bytes, *, end_of_stream: bool = False) -> None:
        """Upstream sends a piece of the body."""
        if not self.over_for_upstream:
            self.chains[RESPONSE].receive_data(data, end_of_stream)
        self.host.run_pending()

    def send_response_trailers(self, trailers: Pairs = ()) -> None:
        """Upstream ends the response with trailers."""
        if not self.over_for_upstream:
            self.chains[RESPONSE].receive_trailers(Headers(trailers))
        self.host.run_pending()

    def disconnect(self) -> None:
        """The client goes away."""
        if not self.ended:
            self._reset("downstream_remote_disconnect")
        self.host.run_pending()

    @property
    def over_for_upstream(self) -> bool:
        """Whether anything that upstream still sends is ignored."""
        return self.ended or self.closed or self.local_response is not None

    def feed(self, headers: Headers, chunks: list[bytes], trailers: Headers | None) -> None:
        """Send a whole request, part by part."""
        only_headers = not chunks and trailers is None
        if self._refused_by_codec(headers):
            return
        self.request_headers = headers
        self.request_size = sum(map(len, chunks))
        self.request_trailers = trailers
        self.chains[REQUEST].receive_headers(headers, only_headers)
        _feed_body(self.chains[REQUEST], chunks, trailers, only_headers)

    def respond(self) -> None:
        """Upstream answers the whole request."""
        if self.upstream is None or self.over_for_upstream or self.unanswered:
            return
        answer = self.upstream(self) if callable(self.upstream) else self.upstream
        if answer is None:
            return
        status, pairs, body, trailing = answer
        headers = Headers([(":status", str(status)), *pairs])
        chunks = chunks_of(body)
        if self.request_headers.get(":method") == "HEAD":
            chunks, trailing = [], None
        trailers = None if trailing is None else Headers(trailing)
        only_headers = not chunks and trailers is None
        self.details = "via_upstream"
        self.chains[RESPONSE].receive_headers(headers, only_headers)
        _feed_body(self.chains[RESPONSE], chunks, trailers, only_headers)

    def _refused_by_codec(self, headers: Headers) -> bool:
        """Envoy answers a request that its HTTP codec refuses before any filter; the plugin sees only the end."""
        refused = codec_refusal(headers)
        if refused is None:
            return False
        self.status, self.body = refused
        self.headers = Headers([(":status", str(self.status))])
        if self.body:
            self.headers.add(b"content-type", b"text/plain")
        self.chains[RESPONSE].headers = self.headers
        self._end()
        return True

    # --- past the plugin ------------------------------------------------------------------------------------------

    def forward_headers(self, direction: int, headers: Headers, end: bool) -> None:
        """Headers leave the plugin."""
        if direction == REQUEST:
            self.has_body = not end
            self._route(headers)
            self.upstream_began = not self.answered_locally
        elif not self.response_headers_leave(headers):
            return
        if end:
            self._complete(direction)

    def forward_data(self, direction: int, data: bytes, end: bool) -> None:
        """A piece of a body leaves the plugin."""
        if direction == REQUEST:
            self.request_body += data
        else:
            self.body += data
        if end:
            self._complete(direction)

    def forward_trailers(self, direction: int, trailers: Headers) -> None:
        """Trailers leave the plugin."""
        if direction == REQUEST and self.upstream_called:
            if holds("trailers that another filter released are sent twice"):
                self.request_rest += last_chunk(trailers)
            return
        if direction == REQUEST:
            self.request_trailers = trailers
        else:
            self.trailers = trailers
        self._complete(direction)

    def _complete(self, direction: int) -> None:
        if direction == REQUEST:
            if not self.over_for_upstream:
                self.unanswered = awaited(self.request_headers, self.request_body, has_body=self.has_body)
                self.upstream_called = not self.unanswered
                self.host.soon(self.respond)
        else:
            self._end()

    def _route(self, headers: Headers) -> None:
        """Apply the router's requirements on a request (docs/abi.md §5, cases 30, 31, 34)."""
        refused = refusal(headers)
        if refused is not None:
            status, details, text = refused
            self.reply_locally(LocalResponse(status, details, text, Headers(), -1))

    def response_headers_leave(self, headers: Headers) -> bool:
        """Send the response headers to the client; False if Envoy cannot send them."""
        status = headers.first(b":status") or b""
        if holds("a response needs a status") and not status.isdigit():
            self._direct(LocalResponse(502, "", b"missing required header: :status", Headers(), -1))
            return False
        self.status = int(status) if status.isdigit() else 502
        self.headers = headers
        return True

    # --- local responses and closing ------------------------------------------------------------------------------

    def reply_locally(self, local: LocalResponse) -> None:
        """Send a response that Envoy generates (docs/abi.md §1.16)."""
        if self.ended or self.closed:
            return
        self.local_response = local
        self.details = local.details
        self.chains[REQUEST].over = True
        if self.status is not None and holds("a local response after the headers went out cuts the response"):
            self._reset()
        elif self.response.headers is not None and holds("a local response to a held response replaces it unseen"):
            self._direct(local)
        else:
            headers, body = local_message(local, self.request_headers)
            self.chains[RESPONSE] = self._new_chain(RESPONSE)
            if not holds("a local response passes the response callbacks"):
                self._direct(local)
                return
            self.chains[RESPONSE].receive_headers(headers, not body)
            if body:
                self.chains[RESPONSE].receive_data(body, True)

    def _direct(self, local: LocalResponse) -> None:
        """Send a local response that bypasses the plugin."""
        headers, body = local_message(local, self.request_headers)
        self.local_response = local
        self.details = local.details
        self.chains[RESPONSE].over = True
        self.chains[RESPONSE].headers = headers
        self.headers, self.status, self.body = headers, local.status, body
        self._end()

    def over_limit(self, direction: int) -> None:
        """Handle more buffered data than `per_connection_buffer_limit_bytes` allows (docs/abi.md §1.5)."""
        if direction == REQUEST:
            if holds("a request that is buffered beyond the limit is refused"):
                self._too_large()
        elif holds("a response that is buffered beyond the limit is cut"):
            details = "response_payload_too_large"
            if self.status is None:
                self._direct(LocalResponse(500, details, b"Internal Server Error", Headers(), -1))
            else:
                self._reset(details)

    def _too_large(self) -> None:
        self.reply_locally(LocalResponse(413, "request_payload_too_large", b"Payload Too Large", Headers(), -1))

    def logged_map(self, map_type: int) -> Headers | None:
        """A map as on_log sees it, including what Envoy has added after the plugin (docs/abi.md §1.5)."""
        found = {
            0: ("on_log can read the request headers", self.request_headers if self.request.headers else None),
            2: ("on_log can read the response headers", self._logged_response()),
            3: ("on_log can read the response trailers", self.chains[RESPONSE].trailers),
        }
        rule, headers = found.get(map_type, ("", None))
        if map_type == 1 and not holds("on_log cannot read the request trailers"):
            return self.request_trailers
        return headers if rule and holds(rule) else None

    def _logged_response(self) -> Headers | None:
        """The response headers with those that Envoy adds to every response."""
        if self.response.headers is None or self.status is None:
            return self.response.headers
        sent = [pair for pair in self.response.headers if pair[0] != "transfer-encoding"]
        return Headers([*sent, ("date", "Tue, 14 Nov 2023 22:13:20 GMT"), ("server", "envoy")])

    def reset(self) -> None:
        """A plugin closes the stream."""
        self._reset()

    def _reset(self, details: str = "wasm_close_stream") -> None:
        if self.closed or self.ended:
            return
        self.closed = True
        if self.status is None and not holds("a closed stream has no response"):
            self.status = 500
        if self.local_response is None:
            self.details = details
        self._end()

    def _end(self) -> None:
        for chain in self.chains:
            chain.over = True
        for side in self.sides:
            side.finish()


def _feed_body(chain: Chain, chunks: list[bytes], trailers: Headers | None, only_headers: bool) -> None:
    if only_headers:
        return
    for chunk in filter(None, chunks):  # a piece without data is no event
        end = not holds("a body that streams ends with an empty callback") and chunk is chunks[-1] and trailers is None
        chain.receive_data(chunk, end)
    if trailers is not None:
        if not holds("with trailers no body callback is the last"):
            chain.receive_data(b"", True)
        chain.receive_trailers(trailers)
    elif holds("a body that streams ends with an empty callback"):
        chain.receive_data(b"", True)
