"""An HTTP stream of the host emulator: a client, one plugin, an upstream, and the messages between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from .base import Part, Stream
from .flow import Flow
from .framing import awaited
from .headers import Headers, Pairs
from .held import why_held
from .refusals import codec_refusal, refusal
from .rules import holds

REQUEST, RESPONSE = 0, 1


class UpstreamResponse(NamedTuple):
    """A response of the upstream."""

    status: int = 200
    headers: Pairs = ()
    body: bytes | Iterable[bytes] = b""
    """One piece or several; `[b""]` is a body of unknown length that turns out to be empty."""
    trailers: Pairs | None = None


class LocalResponse(NamedTuple):
    """The arguments that the plugin passed to `send_http_response`."""

    status: int
    details: str
    body: bytes
    headers: Headers
    grpc_status: int


Upstream: TypeAlias = "UpstreamResponse | Callable[[HttpStream], UpstreamResponse]"
"""A response, or a function that creates it from the request that upstream has received."""


def chunks_of(body: bytes | Iterable[bytes]) -> list[bytes]:
    """The pieces of a body."""
    if isinstance(body, bytes):
        return [body] if body else []
    return [bytes(chunk) for chunk in body]


class HttpStream(Stream):
    """One request and its outcome; `HostEmulator.request` returns it.

    While `paused` is not None, there is no response yet; a resume (from a tick, say) continues the stream immediately.
    After `HostEmulator.open_http_stream`, the test itself sends the parts in both directions.
    """

    http = True
    flows: tuple[Flow, ...]

    def __init__(self, host: Part, context_id: int, root_id: int, upstream: Upstream | None) -> None:
        super().__init__(host, context_id, root_id)
        self.upstream = upstream
        self.request = Flow(self, REQUEST)
        self.response = Flow(self, RESPONSE)
        self.flows = (self.request, self.response)
        self.request_headers = Headers()
        self.request_trailers: Headers | None = None
        self.request_body = b""
        """The body that upstream has received so far."""
        self.request_size = 0
        self.upstream_called = False
        """Whether upstream received the whole request."""
        self.unanswered = ""
        """Why upstream does not answer, if it waits for more of the request than the plugin lets pass."""
        self.status: int | None = None
        """The status that the client received; None while there is none, or if the stream was closed."""
        self.headers = Headers()
        self.body = b""
        self.trailers: Headers | None = None
        self.local_response: LocalResponse | None = None
        self.closed = False
        """Whether the stream was reset: the client got no response, or only part of one."""
        self.actions: list[tuple[str, int]] = []
        """The actions that the plugin returned, as pairs of callback and action."""
        self.details: str | None = None
        """`response.code_details`; None while Envoy has none."""
        self.running = ""
        self.wants_local: LocalResponse | None = None

    def __repr__(self) -> str:
        what = why_held(self) or ("closed" if self.closed else f"status {self.status}")
        return f"<HttpStream {self.context_id}: {what}>"

    @property
    def paused(self) -> str | None:
        """ "request" or "response" while the plugin holds the stream, else None."""
        return None if self.ended else next((flow.name for flow in self.flows if flow.is_held), None)

    @property
    def answered_locally(self) -> bool:
        """Whether the plugin has sent a local response."""
        return self.local_response is not None

    # --- actions of the client and the upstream -------------------------------------------------------------------

    def send_request_headers(self, headers: Headers, *, end_of_stream: bool = False) -> None:
        """The client's request begins."""
        if not self._refused_by_codec(headers):
            self.request_headers = headers
            self.request.receive_headers(headers, end_of_stream)
        self.host.run_pending()

    def send_request_body(self, data: bytes, *, end_of_stream: bool = False) -> None:
        """The client sends a piece of the body."""
        self.request_size += len(data)
        self.request.receive_data(data, end_of_stream)
        self.host.run_pending()

    def send_request_trailers(self, trailers: Pairs = ()) -> None:
        """The client ends the request with trailers."""
        self.request.receive_trailers(Headers(trailers))
        self.host.run_pending()

    def send_response_headers(self, headers: Pairs = (), *, status: int = 200, end_of_stream: bool = False) -> None:
        """Upstream's response begins."""
        pairs = Headers([(":status", str(status)), *headers])
        if not self.over_for_upstream:
            self.details = "via_upstream"
            self.response.receive_headers(pairs, end_of_stream)
        self.host.run_pending()

    def send_response_body(self, data: bytes, *, end_of_stream: bool = False) -> None:
        """Upstream sends a piece of the body."""
        if not self.over_for_upstream:
            self.response.receive_data(data, end_of_stream)
        self.host.run_pending()

    def send_response_trailers(self, trailers: Pairs = ()) -> None:
        """Upstream ends the response with trailers."""
        if not self.over_for_upstream:
            self.response.receive_trailers(Headers(trailers))
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
        self.request.receive_headers(headers, only_headers)
        _feed_body(self.request, chunks, trailers, only_headers)

    def respond(self) -> None:
        """Upstream answers the whole request."""
        if self.upstream is None or self.over_for_upstream or self.unanswered:
            return
        status, pairs, body, trailing = self.upstream(self) if callable(self.upstream) else self.upstream
        headers = Headers([(":status", str(status)), *pairs])
        chunks = chunks_of(body)
        if self.request_headers.get(":method") == "HEAD":
            chunks, trailing = [], None
        trailers = None if trailing is None else Headers(trailing)
        only_headers = not chunks and trailers is None
        self.details = "via_upstream"
        self.response.receive_headers(headers, only_headers)
        _feed_body(self.response, chunks, trailers, only_headers)

    def _refused_by_codec(self, headers: Headers) -> bool:
        """Envoy answers a request that its HTTP codec refuses before any filter; the plugin sees only the end."""
        refused = codec_refusal(headers)
        if refused is None:
            return False
        self.status, self.body = refused
        self.headers = Headers([(":status", str(self.status))])
        if self.body:
            self.headers.add(b"content-type", b"text/plain")
        self.response.headers = self.headers
        self._end()
        return True

    # --- callbacks ------------------------------------------------------------------------------------------------

    def call(self, export: str, *args: int) -> int:
        """Run a callback that returns an action, and then do what the plugin has requested in it."""
        outer, self.running = self.running, export
        action = self.host.call(export, self.context_id, *args)
        self.running = outer
        assert type(action) is int
        self.actions.append((export, action))
        if self.wants_local is not None:
            self._reply()
        return action

    # --- past the plugin ------------------------------------------------------------------------------------------

    def forward_headers(self, direction: int, headers: Headers, end: bool) -> None:
        """Headers leave the plugin."""
        if direction == REQUEST:
            self._route(headers)
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
        if direction == REQUEST:
            self.request_trailers = trailers
        else:
            self.trailers = trailers
        self._complete(direction)

    def _complete(self, direction: int) -> None:
        if direction == REQUEST:
            if not self.over_for_upstream:
                self.unanswered = awaited(self.request_headers, self.request_body, has_body=self.request.body_sent)
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

    def send_local_response(self, local: LocalResponse) -> None:
        """The plugin requested a local response."""
        if self.wants_local is not None and self.running and holds("the first local response wins"):
            return
        if self.running:
            self.wants_local = local
        else:
            self.host.after(lambda: self.reply_locally(local))

    def _reply(self) -> None:
        local, self.wants_local = self.wants_local, None
        if local is None or self.ended or self.closed:
            return
        self.reply_locally(local)

    def reply_locally(self, local: LocalResponse) -> None:
        """Send a response that Envoy generates (docs/abi.md §1.16)."""
        if self.ended or self.closed:
            return
        self.local_response = local
        self.details = local.details
        self.request.over = True
        if self.status is not None and holds("a local response after the headers went out cuts the response"):
            self._reset()
        elif self.response.headers is not None and holds("a local response to a held response replaces it unseen"):
            self._direct(local)
        else:
            headers, body = self._local_message(local)
            self.response = Flow(self, RESPONSE)
            self.flows = (self.request, self.response)
            if not holds("a local response passes the response callbacks"):
                self._direct(local)
                return
            self.response.receive_headers(headers, not body)
            if body:
                self.response.receive_data(body, True)

    def _local_message(self, local: LocalResponse) -> tuple[Headers, bytes]:
        body = local.body
        own = {":status"} if holds("a local response cannot set the status by a header") else set()
        extra = [pair for pair in local.headers if pair[0] not in own]
        if self._is_grpc() and holds("a local response to gRPC is trailers only"):
            return self._grpc_message(local, extra), b""
        headers = Headers([(":status", str(local.status)), *extra])
        if body:
            if "content-length" not in headers or holds("a local response has its own content-length"):
                headers.replace(b"content-length", str(len(body)).encode())
            if "content-type" not in headers and holds("a local response with a body is text unless it says otherwise"):
                headers.add(b"content-type", b"text/plain")
        head = self.request_headers.get(":method") == "HEAD" and holds("a local response to HEAD has no body")
        return headers, b"" if head else body

    def _is_grpc(self) -> bool:
        kind = self.request_headers.get("content-type") or ""
        return kind == "application/grpc" or kind.startswith("application/grpc+")

    def _grpc_message(self, local: LocalResponse, extra: list[tuple[str, str]]) -> Headers:
        status = local.grpc_status if local.grpc_status >= 0 else _GRPC_OF_HTTP.get(local.status, 2)
        headers = Headers([(":status", "200"), *extra])
        headers.replace(b"content-type", b"application/grpc")
        headers.replace(b"grpc-status", str(status).encode())
        if local.body:
            headers.replace(b"grpc-message", local.body)
        return headers

    def _direct(self, local: LocalResponse) -> None:
        """Send a local response that bypasses the plugin."""
        headers, body = self._local_message(local)
        self.local_response = local
        self.details = local.details
        self.response.over = True
        self.response.headers = headers
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
            3: ("on_log can read the response trailers", self.response.trailers),
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
        """The stream is reset."""
        if not self.ended:
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
        for flow in self.flows:
            flow.over = True
        self.end("proxy_on_log", "proxy_on_done", "proxy_on_delete")


_GRPC_OF_HTTP = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}


def _feed_body(flow: Flow, chunks: list[bytes], trailers: Headers | None, only_headers: bool) -> None:
    if only_headers:
        return
    for chunk in filter(None, chunks):  # a piece without data is no event
        end = not holds("a body that streams ends with an empty callback") and chunk is chunks[-1] and trailers is None
        flow.receive_data(chunk, end)
    if trailers is not None:
        if not holds("with trailers no body callback is the last"):
            flow.receive_data(b"", True)
        flow.receive_trailers(trailers)
    elif holds("a body that streams ends with an empty callback"):
        flow.receive_data(b"", True)
