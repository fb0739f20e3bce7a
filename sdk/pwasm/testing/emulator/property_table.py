"""The callbacks in which properties have a value: docs/abi.md §1.11, measured by `tests/conformance` (cases 99 to 101).

Values that depend on the deployment (addresses, names, metadata) are placeholders; set real ones in
`HostEmulator.properties`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pwasm._serde import encode_pairs, to_bytes

from .base import Stream
from .chain import RESPONSE
from .exchange import Exchange
from .headers import Headers
from .rules import holds
from .side import HttpSide

Make = Callable[[Exchange], bytes]


def u64(number: int) -> bytes:
    """A number in the encoding of properties."""
    return number.to_bytes(8, "little")


def _size(headers: Headers | None) -> bytes:
    return u64(0 if headers is None else headers.size())


def _number(headers: Headers | None, name: str, otherwise: int) -> int:
    text = (None if headers is None else headers.get(name)) or ""
    return int(text) if text.isdecimal() else otherwise


def _pairs(headers: Headers | None) -> bytes:
    return encode_pairs([(name, ",".join(headers.get_all(name))) for name in dict(headers)]) if headers else b""


def visible_request(side: HttpSide) -> Headers | None:
    """The request headers while the plugin has access to them: properties use the same pointer (measured)."""
    if not holds("properties of the request need its headers"):
        return side.exchange.request_headers
    if side.ended:
        return side.logged_map(0) if side.phase == "proxy_on_log" else None
    return side.request.headers_for_plugin()


OF_REQUEST_HEADERS: Final[Mapping[str, str]] = {
    "request.path": ":path",
    "request.host": ":authority",
    "request.scheme": ":scheme",
    "request.method": ":method",
    "request.referer": "referer",
    "request.useragent": "user-agent",
    "request.id": "x-request-id",
}
"""Property → the header it is derived from."""

OF_CONNECTION: Final[Mapping[str, Callable[[Stream], bytes]]] = {
    "source.address": lambda _: b"127.0.0.1:40000",
    "source.port": lambda _: u64(40000),
    "destination.address": lambda _: b"127.0.0.1:10000",
    "destination.port": lambda _: u64(10000),
    "connection.id": lambda stream: u64(stream.context_id),
    "connection.mtls": lambda _: b"\0",
    "connection.requested_server_name": lambda _: b"",
    "connection_id": lambda stream: u64(stream.context_id),
}
"""Properties that TCP streams have too."""

ALWAYS: Final[Mapping[str, Make]] = {
    "request.protocol": lambda _: b"HTTP/1.1",
    "request.time": lambda stream: u64(stream.host.now_nanoseconds),
    "request.size": lambda stream: u64(stream.request_size),
    "request.headers_bytes": lambda stream: _size(stream.request_headers),
    "response.size": lambda stream: u64(len(stream.body)),
    "response.total_size": lambda stream: u64(len(stream.body) + stream.headers.size()),
    "response.flags": lambda _: u64(0),
    "response.headers": lambda stream: _pairs(stream.chains[RESPONSE].headers),
    "response.headers_bytes": lambda stream: _size(stream.chains[RESPONSE].headers),
    "response.trailers": lambda stream: _pairs(stream.chains[RESPONSE].trailers),
    "upstream.request_attempt_count": lambda _: u64(1),
    "metadata": lambda _: b"",
    **{
        f"xds.{name}": lambda _: b""
        for name in (
            *("cluster_name", "route_name", "virtual_host_name", "listener_metadata", "route_metadata"),
            *("cluster_metadata", "filter_chain_name"),
        )
    },
    "xds.listener_direction": lambda _: u64(0),
}
"""Properties that every callback of a stream can read."""

WITH_RESPONSE: Final[Mapping[str, Make]] = {
    "response.code": lambda stream: u64(_number(stream.chains[RESPONSE].headers, ":status", 0)),
    "response.grpc_status": lambda stream: u64(_number(stream.chains[RESPONSE].headers, "grpc-status", 2)),
    "upstream.address": lambda _: b"127.0.0.1:8080",
    "upstream.port": lambda _: u64(8080),
    "upstream.local_address": lambda _: b"127.0.0.1:50000",
    "upstream.transport_failure_reason": lambda _: b"",
    "xds.upstream_host_metadata": lambda _: b"",
}
"""Properties that can be read once there is a response."""

AT_THE_END: Final[Mapping[str, Make]] = {
    "request.duration": lambda _: u64(1_000_000),
    "response.backend_latency": lambda _: u64(1_000_000),
}
"""Properties that can be read only in on_log."""

EVERYWHERE: Final[Mapping[str, bytes]] = {"xds.node": b"", "xds.node.id": b""}
"""Properties that a plugin context can read too."""

NOT_SERIALISABLE: Final = frozenset(
    {"", "filter_state", "request", "response", "connection", "source", "destination", "upstream", "xds"}
)
"""Paths that exist but are not values."""


def of_stream(stream: Stream | None, path: str) -> bytes | None:
    """The current value of a property for this stream."""
    if stream is None or path in OF_CONNECTION:
        return None if stream is None else OF_CONNECTION[path](stream)
    return _of_http(stream, path) if isinstance(stream, HttpSide) else None


def _of_http(side: HttpSide, path: str) -> bytes | None:
    stream = side.exchange
    found = _of_headers(side, path)
    if found is not None:
        return found
    if path == "response.code_details":
        return None if stream.details is None else to_bytes(stream.details)
    if path in ALWAYS:
        return ALWAYS[path](stream)
    if path in WITH_RESPONSE:
        there = stream.chains[RESPONSE].headers is not None or not holds("properties of the response need a response")
        return WITH_RESPONSE[path](stream) if there else None
    if path in AT_THE_END:
        there = side.ended or not holds("some properties come at the end")
        return AT_THE_END[path](stream) if there else None
    return None


def _of_headers(side: HttpSide, path: str) -> bytes | None:  # noqa: PLR0911, a table would be longer
    kind, _, name = path.partition(".headers.")
    if name:
        headers = visible_request(side) if kind == "request" else side.response.headers
        known = headers is not None and name in headers
        return to_bytes(",".join(headers.get_all(name))) if headers is not None and known else None
    headers = visible_request(side)
    if path == "request.headers":
        return _pairs(headers)
    if path == "request.total_size":  # the headers count while the plugin has access to them (measured)
        return u64(side.exchange.request_size + (headers.size() if headers is not None else 0))
    if headers is None:
        return None
    if path in OF_REQUEST_HEADERS:
        return headers.first(OF_REQUEST_HEADERS[path].encode())
    target = headers.first(b":path")
    if target is None or path not in {"request.url_path", "request.query"}:
        return None
    before, _, after = target.partition(b"#")[0].partition(b"?")
    return before if path == "request.url_path" else after
