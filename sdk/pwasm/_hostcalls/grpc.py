"""gRPC calls and streams to other services. Messages are bytes: encoding protobuf is up to the filter."""

from __future__ import annotations

from collections.abc import Callable

from .. import _validate
from .._abi import BufferType, MapType
from .._async.callouts import check_functions, forget, remember, root_for
from .._serde import encode_pairs
from .._stream.current import current
from .._stream.guards import failed
from .._stream.records import Root
from .._validate import Headers
from . import header_maps
from .grpc_target import target_of
from .http_call import MAX_TIMEOUT_MS, MAX_U32, buffer_reader, only_in
from .trace_context import with_trace_context

GrpcCallback = Callable[[int, int], object]
GrpcFunction = Callable[[int], object]


def dispatch_grpc_call(
    upstream: str | bytes,
    service: str,
    method: str,
    initial_metadata: Headers = (),
    message: bytes | str = b"",
    timeout_ms: int = 5000,
    callback: GrpcCallback | None = None,
) -> int:
    """Make a unary gRPC call; the answer arrives in a later callback.

    May be called in every callback; the call belongs to a stream or to the plugin, as for `dispatch_http_call`.

    Args:
        upstream: name of a cluster (str), or a serialized `envoy.config.core.v3.GrpcService` (bytes) with a target.
        service: full name of the service, such as `auth.v1.Auth`.
        method: name of the method. Both are parts of the request's path, so blanks and the like are refused.
        initial_metadata: pairs or a mapping.
        message: the serialized request message.
        timeout_ms: timeout in milliseconds.
        callback: called once with the gRPC status (0: success) and the size of the message in bytes, which
            `get_grpc_receive_buffer` reads. Without it, `PluginContext.on_grpc_receive` or `on_grpc_close` is called.

    Returns:
        The token of the call.

    Raises:
        TypeError, ValueError: an argument cannot be sent.
        InternalFailure: no such cluster, or the call could not be started.

    Source: proxy_grpc_call, proxy_on_grpc_receive, proxy_on_grpc_close.
    """
    check_functions({"callback": callback})
    root, token = send_grpc_call(upstream, service, method, initial_metadata, message, timeout_ms)
    remember(root, token, {} if callback is None else _unary(callback))
    return token


def send_grpc_call(
    upstream: str | bytes,
    service: str,
    method: str,
    initial_metadata: Headers,
    message: bytes | str,
    timeout_ms: int,
) -> tuple[Root, int]:
    """Check and send; returns the plugin and the token of the call. Arguments and errors: `dispatch_grpc_call`."""
    target, metadata = _target(upstream, service, method, initial_metadata)
    content = _validate.data("message", message)
    _validate.integer("timeout_ms", timeout_ms, 0, MAX_TIMEOUT_MS)
    root = root_for("dispatch_grpc_call")
    status, token = current.host.proxy_grpc_call(target, service, method, metadata, content, timeout_ms)
    if status:
        raise failed(status, "proxy_grpc_call", upstream)
    return root, token


def open_grpc_stream(
    upstream: str | bytes,
    service: str,
    method: str,
    initial_metadata: Headers = (),
    *,
    on_initial_metadata: GrpcFunction | None = None,
    on_message: GrpcFunction | None = None,
    on_trailing_metadata: GrpcFunction | None = None,
    on_close: GrpcFunction | None = None,
) -> int:
    """Open a gRPC stream; its messages arrive in later callbacks.

    May be called in every callback. A stream opened for an HTTP or TCP stream is cancelled when the latter ends.

    Args:
        upstream, service, method, initial_metadata: as for `dispatch_grpc_call`.
        on_initial_metadata, on_trailing_metadata: called with the number of entries, which
            `get_grpc_receive_initial_metadata` and `get_grpc_receive_trailing_metadata` read.
        on_message: called with the size of a message in bytes, which `get_grpc_receive_buffer` reads.
        on_close: called with the gRPC status when the stream ends.

    If none of the four is given, the methods of `PluginContext` are called.

    Returns:
        The token of the stream.

    Raises:
        The exceptions of `dispatch_grpc_call`.

    Source: proxy_grpc_stream.
    """
    target, metadata = _target(upstream, service, method, initial_metadata)
    given = check_functions(
        {
            "on_initial_metadata": on_initial_metadata,
            "on_message": on_message,
            "on_trailing_metadata": on_trailing_metadata,
            "on_close": on_close,
        }
    )
    root = root_for("open_grpc_stream")
    status, token = current.host.proxy_grpc_stream(target, service, method, metadata)
    if status:
        raise failed(status, "proxy_grpc_stream", upstream)
    remember(root, token, {_METHODS[argument]: function for argument, function in given.items()}, keeps=True)
    return token


def send_grpc_stream_message(token: int, message: bytes | str = b"", end_of_stream: bool = False) -> None:
    """Send a message on a gRPC stream.

    May be called in every callback.

    Args:
        token: the token that `open_grpc_stream` returned.
        message: the serialized message.
        end_of_stream: True for the last message.

    Raises:
        TypeError, ValueError: an argument has the wrong type or is out of range.
        NotFound: no such stream.
        BadArgument: `token` does not belong to a stream.

    Source: proxy_grpc_send.
    """
    _validate.integer("token", token, 0, MAX_U32)
    content = _validate.data("message", message)
    if not isinstance(end_of_stream, bool):
        _validate.type_error("end_of_stream", "bool", end_of_stream)
    status = current.host.proxy_grpc_send(token, content, end_of_stream)
    if status:
        raise failed(status, "proxy_grpc_send", token)


def cancel_grpc_call(token: int) -> None:
    """Cancel a gRPC call; no answer will arrive (proxy_grpc_cancel).

    May be called in every callback.

    Raises:
        TypeError, ValueError: `token` is not an int from 0 to 2**32 - 1.
        NotFound: no such call, or it has been answered.
    """
    _end("proxy_grpc_cancel", token)


def close_grpc_stream(token: int) -> None:
    """Close our side of a gRPC stream; `on_close` is still called (proxy_grpc_close). Errors: `cancel_grpc_call`.

    May be called in every callback.
    """
    _validate.integer("token", token, 0, MAX_U32)
    status = current.host.proxy_grpc_close(token)
    if status:
        raise failed(status, "proxy_grpc_close", token)


def cancel_grpc_stream(token: int) -> None:
    """Reset a gRPC stream; none of its callbacks will be called (proxy_grpc_cancel). Errors: `cancel_grpc_call`.

    May be called in every callback.
    """
    _end("proxy_grpc_cancel", token)


_METHODS = {
    "on_initial_metadata": "on_grpc_receive_initial_metadata",
    "on_message": "on_grpc_receive",
    "on_trailing_metadata": "on_grpc_receive_trailing_metadata",
    "on_close": "on_grpc_close",
}


def _target(upstream: str | bytes, service: str, method: str, initial_metadata: Headers) -> tuple[bytes, bytes]:
    target = target_of(upstream)
    # They are the path of the request, and Envoy writes what is given: `POST /a b/c d HTTP/1.1`.
    _validate.segment("service", service, several=True)
    _validate.segment("method", method)
    pairs = _validate.headers("initial_metadata", initial_metadata, _validate.CALL_METADATA)
    return target, encode_pairs(with_trace_context(pairs), "initial_metadata")


def _unary(callback: GrpcCallback) -> dict[str, Callable[..., object]]:
    def received(message_size: int) -> object:
        return callback(0, message_size)

    def closed(status_code: int) -> object:
        return callback(status_code, 0)

    received.__qualname__ = closed.__qualname__ = getattr(callback, "__qualname__", repr(callback))
    return {"on_grpc_receive": received, "on_grpc_close": closed}


def _end(hostcall: str, token: int) -> None:
    _validate.integer("token", token, 0, MAX_U32)
    status = getattr(current.host, hostcall)(token)
    if status:
        raise failed(status, hostcall, token)
    forget(token)


_DOC = """{what}

May be called only in the callback that announces it.

Raises:
    PhaseError: another callback is running.
    HostcallError: the host refused.

Source: {source}."""

_INITIAL, _TRAILING = MapType.GRPC_CALL_INITIAL_METADATA, MapType.GRPC_CALL_TRAILING_METADATA


def _metadata(what: str, map_type: MapType, export: str) -> tuple[header_maps.GetAll[str], header_maps.GetAll[bytes]]:
    """The functions that read metadata, as str and as bytes."""
    text, raw = header_maps.get_all(map_type), header_maps.get_all_bytes(map_type)
    text.__name__ = f"get_grpc_receive_{what}_metadata"  # type: ignore[attr-defined]
    raw.__name__ = f"get_grpc_receive_{what}_metadata_bytes"  # type: ignore[attr-defined]
    source = f"proxy_get_header_map_pairs with {map_type.name}"
    doc = _DOC.format(what=f"The {what} metadata of a gRPC stream, as pairs of str.", source=source)
    return only_in((export,), text, doc), only_in((export,), raw, doc.replace("of str", "of bytes"))


get_grpc_receive_initial_metadata, get_grpc_receive_initial_metadata_bytes = _metadata(
    "initial", _INITIAL, "proxy_on_grpc_receive_initial_metadata"
)
get_grpc_receive_buffer = only_in(
    ("proxy_on_grpc_receive",),
    buffer_reader("get_grpc_receive_buffer", BufferType.GRPC_CALL_MESSAGE),
    _DOC.format(
        what="The bytes of the received gRPC message: `max_size` of them (None for all) from `start` on.",
        source=f"proxy_get_buffer_bytes with {BufferType.GRPC_CALL_MESSAGE.name}",
    ),
)
get_grpc_receive_trailing_metadata, get_grpc_receive_trailing_metadata_bytes = _metadata(
    "trailing", _TRAILING, "proxy_on_grpc_receive_trailing_metadata"
)
