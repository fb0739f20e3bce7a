"""Streams of the host emulator: what Envoy's filter chain does around the plugin's callbacks.

A stream's life is a generator that stops where the plugin pauses it, and goes on when the plugin resumes it. What
the plugin asks for during a callback (local response, close) happens after the callback, as in Envoy.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, NamedTuple

from pwasm._abi import Action, MapType, StreamType

from .headers import Headers, Pairs

if TYPE_CHECKING:
    from .emulator import HostEmulator

REQUEST, RESPONSE = int(StreamType.HTTP_REQUEST), int(StreamType.HTTP_RESPONSE)
_HEADERS = {REQUEST: MapType.HTTP_REQUEST_HEADERS, RESPONSE: MapType.HTTP_RESPONSE_HEADERS}
_TRAILERS = {REQUEST: MapType.HTTP_REQUEST_TRAILERS, RESPONSE: MapType.HTTP_RESPONSE_TRAILERS}
_NAMES = {REQUEST: "request", RESPONSE: "response"}


class UpstreamResponse(NamedTuple):
    """What the upstream answers."""

    status: int = 200
    headers: Pairs = ()
    body: bytes | Iterable[bytes] = b""
    trailers: Pairs | None = None


class LocalResponse(NamedTuple):
    """What the plugin passed to `send_http_response`."""

    status: int
    details: str
    body: bytes
    headers: Headers
    grpc_status: int


class _LocalReply(Exception):  # noqa: N818, control flow
    pass


class _Closed(Exception):  # noqa: N818, control flow
    pass


class Stream:
    """What HTTP and TCP streams have in common; the hostcalls work on this."""

    def __init__(self, host: HostEmulator, context_id: int, root_id: int) -> None:
        self.host = host
        self.context_id = context_id
        self.root_id = root_id
        self.maps: dict[int, Headers] = {}
        self.open_maps: set[int] = set()
        self.buffers: dict[int, bytearray] = {}
        self.creates_trailers = -1  # the direction whose last body callback is running
        self.properties: dict[bytes, bytes] = {}
        self.logging = False
        self.ended = False
        self.http = False
        self.response_begun = False
        self.wants_close = False
        self.wants_local: LocalResponse | None = None
        self.paused_in: int | None = None
        self.resumed = 0  # bits 1 << StreamType, since the last callback

    @property
    def paused(self) -> str | None:
        """ "request" or "response" while the plugin holds the stream, else None."""
        return None if self.paused_in is None else _NAMES.get(self.paused_in, "connection")

    def advance(self) -> None:
        """Go on after a resume, a local response or a close that came from another callback."""

    def end(self, *exports: str) -> None:
        """The last callbacks, in the order of the stream's kind."""
        self.paused_in = None
        self.open_maps.clear()
        self.logging = True
        for export in exports:
            self.ended = True
            self.host.call(export, self.context_id, stream=self)
        self.host.forget(self.context_id)


class HttpStream(Stream):
    """One request and what became of it; `HostEmulator.request` returns it.

    While `paused` is not None the response is not there yet; resuming (from a tick, say) carries on at once.
    """

    def __init__(
        self,
        host: HostEmulator,
        context_id: int,
        root_id: int,
        request: tuple[Headers, list[bytes], Headers | None],
        upstream: UpstreamResponse,
    ) -> None:
        super().__init__(host, context_id, root_id)
        self.http = True
        self.upstream = upstream
        self.request_headers, self._request_chunks, self.request_trailers = request
        self.request_body = b""
        """What upstream received, as far as it was sent."""
        self.request_size = sum(map(len, self._request_chunks))
        self.upstream_called = False
        self.status: int | None = None
        """Status the client got; None while there is none, or when the stream was closed."""
        self.headers = Headers()
        self.body = b""
        self.trailers: Headers | None = None
        self.local_response: LocalResponse | None = None
        self.closed = False
        """The stream was reset: the client got no response, or a part of one."""
        self.actions: list[tuple[str, int]] = []
        """Every action the plugin returned, by callback."""
        self._life = self._run()

    def advance(self) -> None:
        """Run until the plugin pauses the stream or it is over."""
        try:
            if self.wants_close:
                self._life.throw(_Closed())
            elif self.wants_local is not None and self.local_response is None and self.paused_in is not None:
                self._life.throw(_LocalReply())
            else:
                next(self._life)
        except StopIteration:
            return

    def _run(self) -> Generator[None]:
        try:
            yield from self._exchange()
        except _Closed:
            self.closed = True
        self.end("proxy_on_log", "proxy_on_done", "proxy_on_delete")

    def _exchange(self) -> Generator[None]:
        try:
            sent = bytearray()
            yield from self._pass(REQUEST, self.request_headers, self._request_chunks, self.request_trailers, sent)
            self.request_body = bytes(sent)
            self.upstream_called = True
            headers = Headers([(":status", str(self.upstream.status)), *self.upstream.headers])
            body = self.upstream.body
            chunks = [body] if isinstance(body, bytes) and body else [bytes(chunk) for chunk in body] if body else []
            trailers = None if self.upstream.trailers is None else Headers(self.upstream.trailers)
        except _LocalReply:
            headers, chunks, trailers = self._take_local_response()
        begun = bytearray()
        try:
            yield from self._pass(RESPONSE, headers, chunks, trailers, begun)
        except _LocalReply:
            if self.status is not None:
                # The headers are out: the client sees them, and then the connection closes (abi.md §1.16).
                self._take_local_response()
                raise _Closed from None
            headers, chunks, trailers = self._take_local_response()
            self._client_gets(headers)
            begun = bytearray(b"".join(chunks))
        self.body = bytes(begun)
        self.trailers = trailers

    def _take_local_response(self) -> tuple[Headers, list[bytes], Headers | None]:
        local = self.local_response = self.wants_local
        assert local is not None
        self.paused_in = None
        self.open_maps.clear()
        extra = [pair for pair in local.headers if pair[0] not in {":status", "content-length"}]
        headers = Headers([(":status", str(local.status)), ("content-length", str(len(local.body))), *extra])
        if local.body and "content-type" not in headers:
            headers.add(b"content-type", b"text/plain")
        return headers, [local.body] if local.body else [], None

    def _client_gets(self, headers: Headers) -> None:
        self.headers = headers
        self.status = int(headers.get(":status") or 502)

    def _pass(
        self,
        direction: int,
        headers: Headers,
        chunks: list[bytes],
        trailers: Headers | None,
        out: bytearray,
    ) -> Generator[None]:
        """One direction through the plugin, by the rules of abi.md §1.3 and §1.5."""
        name = _NAMES[direction]
        self.response_begun = direction == RESPONSE
        self._offer(_HEADERS[direction], headers)
        only_headers = not chunks and trailers is None
        action = self._call(f"proxy_on_{name}_headers", len(headers), only_headers)
        yield from self._hold(action, direction, early_resume_counts=only_headers)
        self.open_maps.discard(_HEADERS[direction])
        if direction == RESPONSE:
            self._client_gets(headers)
        buffer = self.buffers[direction] = bytearray()  # BufferType of a body is its StreamType
        parts = [(chunk, False) for chunk in chunks]
        if self.local_response is not None:
            parts = [(chunk, True) for chunk in chunks]
        elif chunks and trailers is None:
            parts.append((b"", True))  # the end of a body is a callback of its own
        for chunk, last in parts:
            buffer += chunk
            self.creates_trailers = direction if last else -1
            action = self._call(f"proxy_on_{name}_body", len(buffer), last)
            self.creates_trailers = -1
            if last:
                yield from self._hold(action, direction)
            if action == Action.CONTINUE or last or self.resumed & 1 << direction:
                out += buffer
                buffer.clear()
        if trailers is not None:
            self._offer(_TRAILERS[direction], trailers)
            action = self._call(f"proxy_on_{name}_trailers", len(trailers))
            yield from self._hold(action, direction)
            self.open_maps.discard(_TRAILERS[direction])
            out += buffer
        self.buffers.pop(direction, None)

    def _offer(self, map_type: int, headers: Headers) -> None:
        self.maps[map_type] = headers
        self.open_maps.add(map_type)

    def _call(self, export: str, *args: int) -> int:
        self.resumed = 0
        action = self.host.call(export, self.context_id, *args, stream=self)
        assert type(action) is int
        self.actions.append((export, action))
        if self.wants_close:
            raise _Closed
        if self.wants_local is not None and self.local_response is None:
            raise _LocalReply
        return action

    def _hold(self, action: int, direction: int, *, early_resume_counts: bool = False) -> Generator[None]:
        """Wait for a resume. One that came during the callback is lost, except where Envoy was seen to be lucky."""
        if action == Action.CONTINUE or (early_resume_counts and self.resumed & 1 << direction):
            return
        self.paused_in = direction
        while self.paused_in is not None:
            yield


class TcpStream(Stream):
    """One TCP connection; `HostEmulator.connect` returns it."""

    def __init__(self, host: HostEmulator, context_id: int, root_id: int) -> None:
        super().__init__(host, context_id, root_id)
        self.to_upstream = b""
        self.to_downstream = b""
        self.closed = False

    def open(self) -> None:
        """The client connects."""
        self._call(2, "proxy_on_new_connection")

    def downstream(self, data: bytes, *, end_of_stream: bool = False) -> int:
        """The client sends data; returns the plugin's action."""
        return self._data(2, "proxy_on_downstream_data", data, end_of_stream)

    def upstream(self, data: bytes, *, end_of_stream: bool = False) -> int:
        """Upstream sends data; returns the plugin's action."""
        return self._data(3, "proxy_on_upstream_data", data, end_of_stream)

    def close(self, peer_type: int = 1) -> None:
        """Both connections are closed."""
        self.host.call("proxy_on_upstream_connection_close", self.context_id, 0, stream=self)
        self.host.call("proxy_on_downstream_connection_close", self.context_id, peer_type, stream=self)
        self.end("proxy_on_done", "proxy_on_log", "proxy_on_delete")
        self.host.run_pending()

    def advance(self) -> None:
        """Pass on what was held back."""
        if self.wants_close and not self.closed:
            self.closed = True
        elif self.paused_in is None:
            for direction in self.buffers:
                self._flush(direction)

    def _data(self, direction: int, export: str, data: bytes, end_of_stream: bool) -> int:
        if self.closed:
            raise RuntimeError("the connection is closed")
        self.buffers.setdefault(direction, bytearray()).extend(data)
        action = self._call(direction, export, len(self.buffers[direction]), end_of_stream)
        if action == Action.CONTINUE and not self.closed:
            self._flush(direction)
        self.host.run_pending()
        return action

    def _flush(self, direction: int) -> None:
        data = bytes(self.buffers[direction])
        self.buffers[direction].clear()
        if direction == StreamType.DOWNSTREAM:
            self.to_upstream += data
        else:
            self.to_downstream += data

    def _call(self, direction: int, export: str, *args: int) -> int:
        action = self.host.call(export, self.context_id, *args, stream=self)
        assert isinstance(action, int)
        self.paused_in = direction if action == Action.PAUSE else None
        self.closed = self.closed or self.wants_close
        return action
