"""The table of callbacks: the filter's method, the remedy for a failure, and the header maps that are unavailable."""

from __future__ import annotations

from .._abi import LogLevel, MapType, StreamType
from .._typing import Final
from .records import Phase

REQUEST: Final = int(StreamType.HTTP_REQUEST)
RESPONSE: Final = int(StreamType.HTTP_RESPONSE)
DOWNSTREAM: Final = int(StreamType.DOWNSTREAM)
UPSTREAM: Final = int(StreamType.UPSTREAM)

_STREAM_MAPS = (
    MapType.HTTP_REQUEST_HEADERS,
    MapType.HTTP_REQUEST_TRAILERS,
    MapType.HTTP_RESPONSE_HEADERS,
    MapType.HTTP_RESPONSE_TRAILERS,
)
NO_STREAM: dict[int, str] = {int(m): "no stream is selected" for m in _STREAM_MAPS}
NO_HTTP: dict[int, str] = {int(m): "a TCP stream has no headers" for m in _STREAM_MAPS}
_LOGGING: dict[int, str] = {int(m): "the stream is over" for m in _STREAM_MAPS}
_NO_RESPONSE_YET: dict[int, str] = {
    int(MapType.HTTP_RESPONSE_HEADERS): "there is no response yet",
    int(MapType.HTTP_RESPONSE_TRAILERS): "there is no response yet",
}
_REQUEST_IS_GONE: dict[int, str] = {
    int(MapType.HTTP_REQUEST_HEADERS): "the request has gone upstream",
    int(MapType.HTTP_REQUEST_TRAILERS): "the request has gone upstream",
}

# The remedies for a failure, see `policy`.
REPLY, CLOSE, CLOSE_TCP, LOG, REJECT = "reply", "close", "close_tcp", "log", "reject"


def _root(export: str, method: str, remedy: str = LOG, level: int = LogLevel.ERROR) -> Phase:
    return Phase(export, method, remedy, -1, NO_STREAM, NO_STREAM, level)


def _tcp(export: str, method: str, remedy: str, direction: int) -> Phase:
    return Phase(export, method, remedy, direction, NO_HTTP, NO_HTTP)


PHASES: Final[dict[str, Phase]] = {
    phase.export: phase
    for phase in (
        _root("proxy_on_context_create", "__init__", REJECT, LogLevel.CRITICAL),
        _root("proxy_on_vm_start", "on_vm_start", REJECT, LogLevel.CRITICAL),
        _root("proxy_on_configure", "on_plugin_start", REJECT, LogLevel.CRITICAL),
        _root("proxy_on_tick", "on_tick"),
        _root("proxy_on_queue_ready", "on_queue_ready"),
        _tcp("proxy_on_new_connection", "on_new_connection", CLOSE_TCP, DOWNSTREAM),
        _tcp("proxy_on_downstream_data", "on_downstream_data", CLOSE_TCP, DOWNSTREAM),
        _tcp("proxy_on_downstream_connection_close", "on_downstream_close", LOG, -1),
        _tcp("proxy_on_upstream_data", "on_upstream_data", CLOSE_TCP, UPSTREAM),
        _tcp("proxy_on_upstream_connection_close", "on_upstream_close", LOG, -1),
        Phase("proxy_on_request_headers", "on_http_request_headers", REPLY, REQUEST, no_write=_NO_RESPONSE_YET),
        Phase("proxy_on_request_body", "on_http_request_body", REPLY, REQUEST),
        Phase("proxy_on_request_trailers", "on_http_request_trailers", REPLY, REQUEST),
        Phase("proxy_on_response_headers", "on_http_response_headers", REPLY, RESPONSE, no_write=_REQUEST_IS_GONE),
        Phase("proxy_on_response_body", "on_http_response_body", CLOSE, RESPONSE, no_write=_REQUEST_IS_GONE),
        Phase("proxy_on_response_trailers", "on_http_response_trailers", CLOSE, RESPONSE, no_write=_REQUEST_IS_GONE),
        _root("proxy_on_http_call_response", "on_http_call_response"),
        _root("proxy_on_grpc_receive_initial_metadata", "on_grpc_receive_initial_metadata"),
        _root("proxy_on_grpc_receive", "on_grpc_receive"),
        _root("proxy_on_grpc_receive_trailing_metadata", "on_grpc_receive_trailing_metadata"),
        _root("proxy_on_grpc_close", "on_grpc_close"),
        _root("proxy_on_foreign_function", "on_foreign_function"),
        _root("proxy_on_done", "on_plugin_done"),
        Phase("proxy_on_log", "on_http_stream_done", LOG, no_write=_LOGGING),
        _root("proxy_on_delete", "__del__"),
    )
}
"""One row for each callback of the ABI: the filter's method, the remedy for a failure, and the unavailable maps.

Only maps that are certain to be unavailable are refused here. Whether request headers are available in
on_http_request_body, for example, depends on Envoy's configuration, so the host is asked.
"""

PLUGIN_LOG: Final = Phase("proxy_on_log", "on_log", LOG, no_write=_LOGGING)
TCP_DONE: Final = _tcp("proxy_on_log", "on_stream_done", LOG, -1)
STREAM_CREATE: Final = _root("proxy_on_context_create", "__init__", REPLY)
