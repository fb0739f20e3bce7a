"""HTTP and gRPC calls that the plugin makes, which the test inspects and answers (docs/abi.md §1.6, §1.7).

stream = host.request()
(call,) = host.http_calls
host.answer(call, body=b"yes")
assert stream.status == 200
"""

from __future__ import annotations

from collections.abc import Iterable

from pwasm._abi import BufferType, MapType, Status
from pwasm._protobuf import decode_fields, fields_of
from pwasm._serde import decode_pairs, to_bytes, to_text

from .base import BAD_ARGUMENT, NOT_FOUND, OK, Part
from .headers import Headers, Pairs

_REQUIRED = (b":method", b":path", b":authority")
_RESET = 11
_GRPC_CALL, _GRPC_STREAM = 1, 2
_TARGETS = (1, _GOOGLE_GRPC := 2)


def cluster_of(upstream: bytes) -> bytes | None:
    """The cluster of a gRPC call; None if Envoy finds a GrpcService without a target, which it does not survive.

    It takes for a name only what it cannot decode (docs/abi.md §6). Another target than a cluster is returned as it is.
    """
    fields = fields_of(upstream)
    if fields is None:
        return upstream
    targets = [(number, value) for number, _, value in fields if number in _TARGETS and isinstance(value, bytes)]
    if any(fields_of(value) is None for _, value in targets):
        return upstream
    if not targets:
        return None
    number, target = targets[-1]
    name = decode_fields(target).get(1, b"")
    return upstream if number == _GOOGLE_GRPC or not isinstance(name, bytes) else name


class HttpCall:
    """An HTTP call made by the plugin."""

    def __init__(self, token: int, root_id: int, cluster: str, message: tuple[Headers, bytes, Headers], timeout: int):
        self.token = token
        self.root_id = root_id
        self.cluster = cluster
        self.headers, self.body, self.trailers = message
        self.timeout_ms = timeout
        self.answered = False


class GrpcCall:
    """A unary gRPC call or a gRPC stream made by the plugin."""

    def __init__(self, token: int, root_id: int, target: tuple[bytes, str, str], metadata: Headers) -> None:
        self.token = token
        self.root_id = root_id
        self.upstream, self.service, self.method = target
        self.initial_metadata = metadata
        self.message = b""
        """The request of a unary call."""
        self.timeout_ms = 0
        self.sent: list[bytes] = []
        """The messages sent on a stream."""
        self.half_closed = False
        """Whether the plugin has closed its sending side."""
        self.cancelled = False
        self.finished = False

    @property
    def is_stream(self) -> bool:
        """Whether it was opened with `open_grpc_stream`."""
        return self.token & 3 == _GRPC_STREAM


class Callouts(Part):
    """The hostcalls for callouts, and the methods that answer them."""

    def __init__(self) -> None:
        Part.__init__(self)
        self.clusters: set[str] | None = None
        """The clusters that exist; None for any."""
        self.unhealthy_clusters: set[str] = set()
        """Clusters without a healthy host: calls to them fail immediately."""
        self.http_calls: list[HttpCall] = []
        """Every HTTP call made, in order."""
        self.grpc_calls: list[GrpcCall] = []
        """Every unary gRPC call made."""
        self.grpc_streams: list[GrpcCall] = []
        """Every gRPC stream opened."""
        self.call_maps: dict[int, Headers] = {}
        self.call_buffers: dict[int, bytes] = {}
        self._call_status = (0, b"")
        self._calls_made = 0

    # --- hostcalls ------------------------------------------------------------------------------------------------

    def _token(self, kind: int) -> int:
        self._calls_made += 1
        return 4 * self._calls_made + kind

    def _knows(self, cluster: str) -> bool:
        return bool(cluster) and (self.clusters is None or cluster in self.clusters)

    def proxy_get_status(self) -> tuple[int, int, bytes]:
        return OK, *self._call_status

    def proxy_http_call(
        self,
        cluster: str | bytes,
        headers: bytes,
        body: bytes,
        trailers: bytes,
        timeout_milliseconds: int,
        /,
    ) -> tuple[int, int]:
        name = to_text(to_bytes(cluster))
        sent = Headers(decode_pairs(headers))
        if not self._knows(name) or timeout_milliseconds >= 2**31 or any(sent.first(key) is None for key in _REQUIRED):
            return BAD_ARGUMENT, 0
        if name in self.unhealthy_clusters or any(byte < 32 and byte != 9 for _, value in sent.raw for byte in value):
            return int(Status.INTERNAL_FAILURE), 0
        message = (sent, body, Headers(decode_pairs(trailers)))
        call = HttpCall(self._token(0), self._root_id(), name, message, timeout_milliseconds)
        self.http_calls.append(call)
        return OK, call.token

    def _new_grpc(
        self, kind: int, cluster: bytes, service: str | bytes, method: str | bytes, metadata: bytes
    ) -> GrpcCall | Status:
        name = cluster_of(cluster)
        if name is None:
            self.kill("K12" if cluster else "K8")
        if not name or not self._knows(to_text(name)):
            return Status.PARSE_FAILURE if name == cluster else Status.INTERNAL_FAILURE
        target = (name, to_text(to_bytes(service)), to_text(to_bytes(method)))
        return GrpcCall(self._token(kind), self._root_id(), target, Headers(decode_pairs(metadata)))

    def proxy_grpc_call(
        self,
        cluster: bytes,
        service: str | bytes,
        method: str | bytes,
        initial_metadata: bytes,
        message: bytes,
        timeout_milliseconds: int,
        /,
    ) -> tuple[int, int]:
        call = self._new_grpc(_GRPC_CALL, cluster, service, method, initial_metadata)
        if isinstance(call, Status):
            return int(call), 0
        call.message, call.timeout_ms = message, timeout_milliseconds
        self.grpc_calls.append(call)
        return OK, call.token

    def proxy_grpc_stream(
        self,
        cluster: bytes,
        service: str | bytes,
        method: str | bytes,
        initial_metadata: bytes,
        /,
    ) -> tuple[int, int]:
        stream = self._new_grpc(_GRPC_STREAM, cluster, service, method, initial_metadata)
        if isinstance(stream, Status):
            return int(stream), 0
        self.grpc_streams.append(stream)
        return OK, stream.token

    def _open_grpc(self, token: int) -> GrpcCall | None:
        calls = (*self.grpc_calls, *self.grpc_streams)
        return next((call for call in calls if call.token == token and not call.finished), None)

    def proxy_grpc_send(self, token: int, message: bytes, end_of_stream: bool, /) -> int:
        if token & 3 != _GRPC_STREAM:
            return BAD_ARGUMENT
        stream = self._open_grpc(token)
        if stream is None:
            return NOT_FOUND
        stream.sent.append(message)
        stream.half_closed = stream.half_closed or end_of_stream
        return OK

    def proxy_grpc_close(self, token: int, /) -> int:
        if token & 3 not in {_GRPC_CALL, _GRPC_STREAM}:
            return BAD_ARGUMENT
        call = self._open_grpc(token)
        if call is None:
            return NOT_FOUND
        call.half_closed = True
        if not call.is_stream:
            call.cancelled = call.finished = True
        return OK

    def proxy_grpc_cancel(self, token: int, /) -> int:
        if token & 3 not in {_GRPC_CALL, _GRPC_STREAM}:
            return BAD_ARGUMENT
        call = self._open_grpc(token)
        if call is None:
            return NOT_FOUND
        call.cancelled = call.finished = True
        return OK

    # --- answers --------------------------------------------------------------------------------------------------

    def answer(
        self,
        call: HttpCall,
        headers: Pairs = (),
        body: bytes = b"",
        trailers: Pairs = (),
        *,
        status: int = 200,
    ) -> None:
        """Answer an HTTP call.

        Args:
            call: one of `http_calls`.
            headers: `:status` is inserted first unless it is among them.
            body, trailers: the rest of the response.
            status: `:status`.
        """
        pairs = list(headers)
        if not any(name == ":status" for name, _ in pairs):
            pairs.insert(0, (":status", str(status)))
        self._answer(call, Headers(pairs), body, Headers(trailers))

    def time_out(self, call: HttpCall) -> None:
        """Let an HTTP call time out: Envoy generates a response."""
        if call.timeout_ms == 0:
            raise RuntimeError("the call has no timeout")
        self._local_answer(call, 504, b"upstream request timeout")

    def refuse(self, call: HttpCall) -> None:
        """Refuse the connection of an HTTP call: Envoy generates a response."""
        text = b"upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
        self._local_answer(call, 503, text)

    def fail(self, call: HttpCall) -> None:
        """Reset an HTTP call: there is no response at all, and `get_call_status` has the reason."""
        self._call_status = (_RESET, b"reset")
        self._answer(call, Headers(), b"", Headers())

    def _local_answer(self, call: HttpCall, status: int, text: bytes) -> None:
        self.answer(call, [("content-length", str(len(text))), ("content-type", "text/plain")], text, status=status)

    def _answer(self, call: HttpCall, headers: Headers, body: bytes, trailers: Headers) -> None:
        if call.answered:
            raise RuntimeError(f"call {call.token} has already been answered")
        call.answered = True
        self.call_maps = {
            MapType.HTTP_CALL_RESPONSE_HEADERS: headers,
            MapType.HTTP_CALL_RESPONSE_TRAILERS: trailers,
        }
        self.call_buffers = {BufferType.HTTP_CALL_RESPONSE_BODY: body}
        self._enter("proxy_on_http_call_response", call, len(headers), len(body), len(trailers))

    def answer_grpc(self, call: GrpcCall, message: bytes = b"") -> None:
        """Answer a unary gRPC call, or send a message on a gRPC stream."""
        self._check_open(call)
        call.finished = not call.is_stream
        self.call_buffers = {BufferType.GRPC_CALL_MESSAGE: message}
        self._enter("proxy_on_grpc_receive", call, len(message))

    def send_grpc_initial_metadata(self, stream: GrpcCall, metadata: Pairs = ()) -> None:
        """Send the initial metadata of a gRPC stream."""
        self._send_metadata(
            stream, metadata, MapType.GRPC_CALL_INITIAL_METADATA, "proxy_on_grpc_receive_initial_metadata"
        )

    def send_grpc_trailing_metadata(self, stream: GrpcCall, metadata: Pairs = ()) -> None:
        """Send the trailing metadata of a gRPC stream."""
        self._send_metadata(
            stream, metadata, MapType.GRPC_CALL_TRAILING_METADATA, "proxy_on_grpc_receive_trailing_metadata"
        )

    def _send_metadata(
        self, stream: GrpcCall, metadata: Iterable[tuple[str, str]], map_type: MapType, export: str
    ) -> None:
        self._check_open(stream)
        headers = Headers(metadata)
        self.call_maps = {map_type: headers}
        self._enter(export, stream, len(headers))

    def close_grpc(self, call: GrpcCall, status: int = 0, message: str = "") -> None:
        """End a gRPC stream, or let a unary call fail, with a gRPC status."""
        self._check_open(call)
        call.finished = True
        self._call_status = (status, message.encode())
        self._enter("proxy_on_grpc_close", call, status)

    @staticmethod
    def _check_open(call: GrpcCall) -> None:
        if call.finished:
            raise RuntimeError(f"gRPC call {call.token} has ended")

    def _enter(self, export: str, call: HttpCall | GrpcCall, *args: int) -> None:
        try:
            if call.root_id in self.roots:
                self.call(export, call.root_id, call.token, *args)
        finally:
            self.call_maps, self.call_buffers, self._call_status = {}, {}, (0, b"")
        self.run_pending()
