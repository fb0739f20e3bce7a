"""HTTP calls to other services, and the status of the last one.

def on_http_request_headers(self, num_headers, end_of_stream):
    headers = [(":method", "GET"), (":path", "/check"), (":authority", "auth")]
    pwasm.dispatch_http_call("auth", headers, callback=self.checked)
    return Action.PAUSE

def checked(self, num_headers, body_size, num_trailers):
    pwasm.resume_http_request()
"""

from __future__ import annotations

from collections.abc import Callable

from .. import _validate
from .._abi import BufferType, MapType, Status
from .._async.callouts import check_functions, remember, root_for
from .._serde import encode_pairs, to_text
from .._stream.current import current
from .._stream.guards import failed
from .._stream.records import Root
from .._typing import NamedTuple, TypeVar
from .._validate import Headers
from ..errors import PhaseError
from . import header_maps
from .published import publish
from .trace_context import with_trace_context

_T = TypeVar("_T")

HttpCallback = Callable[[int, int, int], object]

MAX_U32 = 2**32 - 1
MAX_TIMEOUT_MS = 2**31 - 1

# The host writes these itself; a wrong content-length made a call hang until its timeout (docs/abi.md §1.6).
_WRITTEN_BY_ENVOY = frozenset(_validate.FRAMED)
_REQUIRED = (":method", ":path", ":authority")


def dispatch_http_call(
    cluster: str,
    headers: Headers,
    body: bytes | str = b"",
    trailers: Headers = (),
    timeout_ms: int = 5000,
    callback: HttpCallback | None = None,
) -> int:
    """Send an HTTP request to a cluster of Envoy's configuration; the answer arrives in a later callback.

    May be called in every callback. Made in a stream's callback (or with a stream selected), the call belongs to the
    stream: the answer is delivered with the stream selected, so that `resume_http_request` and the like act on it, and
    is dropped if the stream has ended. Otherwise the call belongs to the plugin.

    Args:
        cluster: name of the cluster.
        headers: pairs or a mapping, with `:method`, `:path` and `:authority`. `content-length`, `transfer-encoding`,
            `host`, and what is for one connection only (`connection`, `keep-alive`, `te` …) are dropped, since Envoy
            writes them; so the headers of the stream's request can be passed on as they are.
        body: bytes, or a str that is encoded as UTF-8.
        trailers: pairs or a mapping; Envoy 1.40 accepts them but does not send them.
        timeout_ms: timeout in milliseconds; 0 for none. When it expires, Envoy generates a response with `:status` 504.
        callback: called with the number of headers (0: the call was reset, see `get_call_status`), the size of the
            body in bytes and the number of trailers. Without it, `PluginContext.on_http_call_response` is called.

    Returns:
        The token of the call.

    Raises:
        TypeError, ValueError: an argument cannot be sent, or a pseudo-header is missing.
        BadArgument: no such cluster.
        InternalFailure: the cluster has no healthy host.

    Source: proxy_http_call, proxy_on_http_call_response.
    """
    check_functions({"callback": callback})
    root, token = send_http_call(cluster, headers, body, trailers, timeout_ms)
    remember(root, token, {} if callback is None else {"on_http_call_response": callback})
    return token


def send_http_call(
    cluster: str, headers: Headers, body: bytes | str, trailers: Headers, timeout_ms: int
) -> tuple[Root, int]:
    """Check and send; returns the plugin and the token of the call. Arguments and errors: `dispatch_http_call`."""
    _validate.text("cluster", cluster)
    sent = _validate.headers("headers", headers, MapType.HTTP_REQUEST_HEADERS)
    names = {name for name, _ in sent}
    for required in _REQUIRED:
        if required not in names:
            raise ValueError(f"headers: {required} is missing")
    content = _validate.data("body", body)
    last = _validate.headers("trailers", trailers, MapType.HTTP_REQUEST_TRAILERS)
    _validate.integer("timeout_ms", timeout_ms, 0, MAX_TIMEOUT_MS)
    root = root_for("dispatch_http_call")
    kept = with_trace_context([pair for pair in sent if pair[0].lower() not in _WRITTEN_BY_ENVOY])
    status, token = current.host.proxy_http_call(
        cluster, encode_pairs(kept), content, encode_pairs(last, "trailers"), timeout_ms
    )
    if status:
        raise failed(status, "proxy_http_call", cluster)
    return root, token


class CallStatus(NamedTuple):
    """Why the last callout of the plugin failed: a code and Envoy's message; `(0, "")` if it succeeded.

    For an HTTP call that was reset, the code is 11 and the message "reset"; for a gRPC call, the code is its status.
    """

    code: int
    message: str


def get_call_status() -> CallStatus:
    """Why the callout whose answer is being delivered failed; for the callbacks of callouts.

    May be called in every callback, but is meaningful only in `on_http_call_response` and `on_grpc_close`.

    A call that was reset has code 11 and a message. The code is valid only if `num_headers` is 0, or in
    `on_grpc_close`: Envoy keeps it for later calls of this plugin, and clears only the message (measured with 1.40).

    Raises:
        HostcallError: the host refused.

    Source: proxy_get_status.
    """
    status, code, message = current.host.proxy_get_status()
    if status:
        raise failed(status, "proxy_get_status")
    return CallStatus(code, to_text(message))


def only_in(exports: tuple[str, ...], read: Callable[..., _T], doc: str) -> Callable[..., _T]:
    """Wrap `read` to refuse calls outside the callbacks in which the data is valid (elsewhere it is stale)."""

    def function(*args: object, **kwargs: object) -> _T:
        if current.phase.export not in exports:
            where = exports[0].removeprefix("proxy_on_")
            raise PhaseError(name, current.phase.method, f"there is no {where.replace('_', ' ')} in this callback")
        return read(*args, **kwargs)

    name = publish(function, read.__name__, doc)
    function.__wrapped__ = read  # type: ignore[attr-defined]  # for the signature that help() shows
    return function


def buffer_reader(name: str, buffer_type: BufferType) -> Callable[..., bytes]:
    """A function that reads a buffer that does not belong to a stream."""

    def function(start: int = 0, max_size: int | None = None) -> bytes:
        start = _validate.integer("start", start, 0, MAX_U32)
        size = MAX_U32 if max_size is None else _validate.integer("max_size", max_size, 0, MAX_U32)
        status, data = current.host.proxy_get_buffer_bytes(buffer_type, start, size)
        if status == Status.NOT_FOUND:  # a call that was reset has no buffer, and no headers either
            return b""
        if status:
            raise failed(status, "proxy_get_buffer_bytes", buffer_type.name)
        return data

    function.__name__ = name
    return function


_RESPONSE = ("proxy_on_http_call_response",)

_DOC = """{what} of the response to an HTTP call{more}

May be called only in the call's callback; they are not available afterwards.

Raises:
    PhaseError: no response is being delivered.
    HostcallError: the host refused.

Source: {source} with {kind}."""


def _doc(what: str, more: str, kind: str, source: str = "proxy_get_header_map_pairs") -> str:
    return _DOC.format(what=what, more=more, kind=kind, source=source)


_HEADERS, _TRAILERS = MapType.HTTP_CALL_RESPONSE_HEADERS, MapType.HTTP_CALL_RESPONSE_TRAILERS
_PAIRS = ", as pairs of str (UTF-8 with surrogateescape), `:status` included."
_BYTES_PAIRS = ", as pairs of bytes, `:status` included."
_TRAILER_PAIRS = ", as pairs of str; an empty list if there are none."

get_http_call_response_headers: header_maps.GetAll[str] = only_in(
    _RESPONSE, header_maps.get_all(_HEADERS), _doc("Headers", _PAIRS, _HEADERS.name)
)
get_http_call_response_headers_bytes: header_maps.GetAll[bytes] = only_in(
    _RESPONSE, header_maps.get_all_bytes(_HEADERS), _doc("Headers", _BYTES_PAIRS, _HEADERS.name)
)
get_http_call_response_body = only_in(
    _RESPONSE,
    buffer_reader("get_http_call_response_body", BufferType.HTTP_CALL_RESPONSE_BODY),
    _doc(
        "Bytes of the body",
        ": `max_size` of them (None for all) from `start` on.",
        BufferType.HTTP_CALL_RESPONSE_BODY.name,
        "proxy_get_buffer_bytes",
    ),
)
get_http_call_response_trailers: header_maps.GetAll[str] = only_in(
    _RESPONSE, header_maps.get_all(_TRAILERS), _doc("Trailers", _TRAILER_PAIRS, _TRAILERS.name)
)
get_http_call_response_trailers_bytes: header_maps.GetAll[bytes] = only_in(
    _RESPONSE,
    header_maps.get_all_bytes(_TRAILERS),
    _doc("Trailers", _TRAILER_PAIRS.replace("str", "bytes"), _TRAILERS.name),
)
