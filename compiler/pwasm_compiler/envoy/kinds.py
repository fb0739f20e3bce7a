"""What a module is for in Envoy: HTTP, TCP, an access log, or no traffic at all; and Envoy's names for each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal["http", "tcp", "access_log", "plugin"]

TYPE = "type.googleapis.com/"
WASM: dict[Kind, str] = {
    "http": "envoy.extensions.filters.http.wasm.v3.Wasm",
    "tcp": "envoy.extensions.filters.network.wasm.v3.Wasm",
    "access_log": "envoy.extensions.access_loggers.wasm.v3.WasmAccessLog",
    "plugin": "envoy.extensions.wasm.v3.WasmService",
}
"""The message that configures a filter of each kind."""
FILTER_NAMES: dict[Kind, str] = {
    "http": "envoy.filters.http.wasm",
    "tcp": "envoy.filters.network.wasm",
    "access_log": "envoy.access_loggers.wasm",
    "plugin": "envoy.bootstrap.wasm",
}

_HTTP_CALLBACK = re.compile(r"proxy_on_(http_)?(request|response)_(headers|body|trailers|metadata)")
_TCP_CALLBACK = re.compile(r"proxy_on_(new_connection|downstream_|upstream_)")


def kind_of(callbacks: Iterable[str]) -> Kind:
    """The kind of a module, determined by the callbacks it exports."""
    names = tuple(callbacks)
    traffic = traffic_of(names)
    return traffic[0] if traffic else "access_log" if "proxy_on_log" in names else "plugin"


def traffic_of(callbacks: Iterable[str]) -> tuple[Kind, ...]:
    """The kinds of traffic that a module with these callbacks sees."""
    names = tuple(callbacks)
    patterns: tuple[tuple[Kind, re.Pattern[str]], ...] = (("http", _HTTP_CALLBACK), ("tcp", _TCP_CALLBACK))
    return tuple(kind for kind, pattern in patterns if any(pattern.match(name) for name in names))


def typed(message: str, /, **fields: Any) -> Json:
    """A protobuf `Any` that contains this message."""
    return {"@type": TYPE + message, **fields}
