"""Envoy configuration for Wasm filters: the filter, what surrounds it, a complete bootstrap, a file for ECDS.

Everything is a dict that `json.dumps` turns into what Envoy reads. It is JSON wherever no human reads it, because
Envoy's YAML reader types plain scalars differently from Python's (`y`, `on`, `0x10`), and JSON quotes every string.

    listener = HttpListener([WasmFilter("main.wasm", configuration={"header": "x-one"})], port=10000)
    bootstrap([listener], admin_port=9901)

A filter gets `failure_policy: FAIL_RELOAD` by default, so that a trap costs one VM rather than the filter. Every
address is on 127.0.0.1. Port 0 lets the kernel choose; see `Envoy.listeners` for the result.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pwasm_compiler.envoy.kinds import TYPE, WASM, Json, Kind, typed
from pwasm_compiler.envoy.module import Remote
from pwasm_compiler.envoy.wasm_filter import NEWEST, RELOAD_SINCE, RESTRICTED_VM_SINCE, WasmFilter, version_of

__all__ = [
    "CONNECTION_MANAGER",
    "DIRECT_RESPONSE_BODY",
    "DIRECT_RESPONSE_BODY_LIMIT",
    "LOOPBACK",
    "NEWEST",
    "NODE",
    "RELOAD_SINCE",
    "RESTRICTED_VM_SINCE",
    "SYSTEM_CA",
    "Entry",
    "HttpListener",
    "Metadata",
    "Route",
    "TcpListener",
    "Upstream",
    "WasmFilter",
    "bootstrap",
    "bootstrap_for",
    "config_discovery",
    "ecds_document",
    "ecds_entry",
    "ecds_resource",
    "remote_cluster",
    "version_of",
]

LOOPBACK = "127.0.0.1"
DIRECT_RESPONSE_BODY = "hello from upstream (a direct response of Envoy)\n"
DIRECT_RESPONSE_BODY_LIMIT = 16 * 1024 * 1024

NODE = {"id": "pwasm", "cluster": "pwasm"}
"""Required by Envoy before it reads anything over xDS, even from a file."""
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"

_HTTP_FILTERS = "envoy.extensions.filters.http"
_NETWORK_FILTERS = "envoy.extensions.filters.network"
CONNECTION_MANAGER = f"{_NETWORK_FILTERS}.http_connection_manager.v3.HttpConnectionManager"
_HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

Metadata = Mapping[str, Mapping[str, Any]]


Entry = WasmFilter | Json
"""An entry in a list of filters: a Wasm filter, or another one as in Envoy's configuration."""


@dataclass(frozen=True)
class Upstream:
    """A cluster with one endpoint. `metadata` is the cluster's filter metadata."""

    host: str
    port: int
    name: str = "upstream"
    http2: bool = False
    metadata: Metadata = field(default_factory=dict)

    def to_json(self) -> Json:
        """The cluster as in Envoy's configuration."""
        cluster = _cluster(self.name, self.host, self.port, dns_lookup_family="V4_PREFERRED")
        if self.http2:
            options = typed(_HTTP_PROTOCOL_OPTIONS, explicit_http_config={"http2_protocol_options": {}})
            cluster["typed_extension_protocol_options"] = {_HTTP_PROTOCOL_OPTIONS: options}
        return {**cluster, **_metadata(self.metadata)}


@dataclass(frozen=True)
class Route:
    """Paths that start with `prefix` go to the cluster `upstream`, or are answered with `status` and `body`."""

    prefix: str = "/"
    upstream: str | None = None
    status: int = 200
    body: str = DIRECT_RESPONSE_BODY
    metadata: Metadata = field(default_factory=dict)
    name: str = ""

    def to_json(self) -> Json:
        """The route as in Envoy's configuration."""
        action: Json = {"route": {"cluster": self.upstream}}
        if self.upstream is None:
            action = {"direct_response": {"status": self.status, "body": {"inline_string": self.body}}}
        named: Json = {"name": self.name} if self.name else {}
        return {**named, "match": {"prefix": self.prefix}, **action, **_metadata(self.metadata)}


@dataclass(frozen=True)
class HttpListener:
    """An HTTP listener; the filters see a request in this order and its response in the reverse order."""

    filters: Sequence[Entry] = ()
    port: int = 0
    name: str = "http"
    routes: Sequence[Route] = (Route(),)
    access_logs: Sequence[Entry] = ()
    """What is told of each finished stream."""

    def to_json(self) -> Json:
        """The listener as in Envoy's configuration."""
        filters = _entries(self.filters)
        if any(route.upstream is None for route in self.routes):
            filters.append(_body_buffer())
        filters.append(
            {"name": "envoy.filters.http.router", "typed_config": typed(f"{_HTTP_FILTERS}.router.v3.Router")}
        )
        host = {"name": "all", "domains": ["*"], "routes": [route.to_json() for route in self.routes]}
        manager = typed(
            CONNECTION_MANAGER,
            stat_prefix=self.name,
            route_config={"name": self.name, "virtual_hosts": [host]},
            http_filters=filters,
            **({"access_log": _entries(self.access_logs)} if self.access_logs else {}),
        )
        chain = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
        return _listener(self.name, self.port, chain)


@dataclass(frozen=True)
class TcpListener:
    """A TCP listener in front of the cluster `upstream`, or of an echo filter."""

    filters: Sequence[Entry] = ()
    port: int = 0
    name: str = "tcp"
    upstream: str | None = None

    def to_json(self) -> Json:
        """The listener as in Envoy's configuration."""
        last = {"name": "envoy.filters.network.echo", "typed_config": typed(f"{_NETWORK_FILTERS}.echo.v3.Echo")}
        if self.upstream is not None:
            proxy = typed(f"{_NETWORK_FILTERS}.tcp_proxy.v3.TcpProxy", stat_prefix=self.name, cluster=self.upstream)
            last = {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}
        return _listener(self.name, self.port, [*_entries(self.filters), last])


def bootstrap(
    listeners: Sequence[HttpListener | TcpListener] = (),
    *,
    plugins: Sequence[Entry] = (),
    upstreams: Sequence[Upstream] = (),
    admin_port: int = 0,
) -> Json:
    """A complete bootstrap; `plugins` are Wasm services without traffic, each of kind "plugin"."""
    config: Json = {
        "admin": {"address": _address(LOOPBACK, admin_port)},
        "static_resources": {
            "listeners": [listener.to_json() for listener in listeners],
            "clusters": [upstream.to_json() for upstream in upstreams],
        },
    }
    if plugins:
        config["bootstrap_extensions"] = _entries(plugins)
    return config


def bootstrap_for(
    plugin: WasmFilter,
    *,
    port: int = 0,
    admin_port: int = 0,
    upstream: tuple[str, int] | None = None,
    ecds_file: Path | None = None,
) -> Json:
    """A bootstrap around one filter, placed by its kind: traffic goes to `upstream`, or Envoy answers itself.

    With `ecds_file`, the filter is read from that file (`ecds_document`).
    """
    entry = plugin.to_json() if ecds_file is None else ecds_entry(plugin, ecds_file)
    upstreams = [Upstream(*upstream)] if upstream else []
    cluster = upstreams[0].name if upstreams else None
    listeners: dict[Kind, list[HttpListener | TcpListener]] = {
        "http": [HttpListener([entry], port, routes=[Route(upstream=cluster)])],
        "tcp": [TcpListener([entry], port, upstream=cluster)],
        "access_log": [HttpListener((), port, routes=[Route(upstream=cluster)], access_logs=[entry])],
        "plugin": [],
    }
    plugins = [entry] if plugin.kind == "plugin" else []
    config = bootstrap(listeners[plugin.kind], plugins=plugins, upstreams=upstreams, admin_port=admin_port)
    if isinstance(plugin.path, Remote) and plugin.path.own_cluster:
        config["static_resources"]["clusters"].append(remote_cluster(plugin.path))
    return config if ecds_file is None else {"node": NODE, **config}


def remote_cluster(remote: Remote) -> Json:
    """The cluster for the server that provides a filter's code."""
    parts = urllib.parse.urlsplit(remote.url)
    tls = parts.scheme == "https"
    cluster = _cluster(remote.cluster, parts.hostname or "", parts.port or (443 if tls else 80))
    if tls:
        validation = {
            "trusted_ca": {"filename": SYSTEM_CA},
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": parts.hostname}}],
        }
        context = typed(
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            sni=parts.hostname,
            common_tls_context={"validation_context": validation},
        )
        cluster["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return cluster


def ecds_entry(plugin: WasmFilter, file: Path) -> Json:
    """A filter entry whose configuration Envoy reads from `file`, and reloads when that is replaced."""
    return {"name": plugin.name, "config_discovery": config_discovery(file, TYPE + WASM[plugin.kind])}


def config_discovery(file: Path, type_url: str) -> Json:
    """The replacement for a filter's typed_config that is in `file`."""
    source = {"path_config_source": {"path": str(file)}, "resource_api_version": "V3"}
    return {"config_source": source, "type_urls": [type_url]}


def ecds_document(plugin: WasmFilter) -> Json:
    """The contents of that file."""
    return {"resources": [{**ecds_resource(plugin.name), "typed_config": plugin.message()}]}


def ecds_resource(name: str) -> Json:
    """The resource in such a file, without its typed_config."""
    return typed("envoy.config.core.v3.TypedExtensionConfig", name=name)


def _entries(filters: Sequence[Entry]) -> list[Json]:
    return [item.to_json() if isinstance(item, WasmFilter) else item for item in filters]


def _cluster(name: str, host: str, port: int, **fields: Any) -> Json:
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {
        "name": name,
        "type": "STRICT_DNS",
        **fields,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _listener(name: str, port: int, chain: Sequence[Json]) -> Json:
    return {"name": name, "address": _address(LOOPBACK, port), "filter_chains": [{"filters": list(chain)}]}


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _metadata(metadata: Metadata) -> Json:
    return {"metadata": {"filter_metadata": {name: dict(values) for name, values in metadata.items()}}}


def _body_buffer() -> Json:
    """A buffer filter after the Wasm filters.

    A direct response is sent as soon as the router sees the request's headers, and a request that has been answered
    gets no more body callbacks. Holding the request here lets the Wasm filters see its body first.
    """
    buffer = typed(f"{_HTTP_FILTERS}.buffer.v3.Buffer", max_request_bytes=DIRECT_RESPONSE_BODY_LIMIT)
    return {"name": "envoy.filters.http.buffer", "typed_config": buffer}
