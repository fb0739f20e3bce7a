"""Envoy configuration for Wasm filters: the filter, what surrounds it, a complete bootstrap, a file for ECDS.

Everything is a dict that `json.dumps` turns into what Envoy reads. It is JSON wherever no human reads it, because
Envoy's YAML reader types plain scalars differently from Python's (`y`, `on`, `0x10`), and JSON quotes every string.

    listener = HttpListener([WasmFilter("main.wasm", configuration={"header": "x-one"})], port=10000)
    bootstrap([listener], admin_port=9901)

A filter gets `failure_policy: FAIL_RELOAD` by default, so that a trap costs one VM rather than the filter. Every
address is on 127.0.0.1. Port 0 lets the kernel choose; see `Envoy.listeners` for the result.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pwasm_compiler.envoy.kinds import FILTER_NAMES, TYPE, WASM, Json, Kind, typed
from pwasm_compiler.envoy.module import Remote

LOOPBACK = "127.0.0.1"
DIRECT_RESPONSE_BODY = "hello from upstream (a direct response of Envoy)\n"
DIRECT_RESPONSE_BODY_LIMIT = 16 * 1024 * 1024

NEWEST = (1, 40)
"""The newest Envoy known to pwasm."""
RELOAD_SINCE = (1, 33)
"""The first Envoy with `failure_policy`; older ones reject a configuration with it."""
RESTRICTED_VM_SINCE = (1, 40)
"""The first Envoy with the restriction in VmConfig. Older ones reject it there, newer ones warn elsewhere."""
NODE = {"id": "pwasm", "cluster": "pwasm"}
"""Required by Envoy before it reads anything over xDS, even from a file."""
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
FETCH_TIMEOUT = "30s"

_HTTP_FILTERS = "envoy.extensions.filters.http"
_NETWORK_FILTERS = "envoy.extensions.filters.network"
CONNECTION_MANAGER = f"{_NETWORK_FILTERS}.http_connection_manager.v3.HttpConnectionManager"
_HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_RESTRICTION = "capability_restriction_config"

Payload = str | bytes | Mapping[str, Any]
"""A plugin's configuration; a mapping is passed as JSON text."""
Metadata = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class WasmFilter:
    """One Wasm plugin: Envoy's PluginConfig with its VmConfig.

    `path` locates the code: a file, which Envoy resolves against its working directory, or a `Remote`.
    `reload_backoff_seconds` is Envoy's base interval (default 1 s); with 1 ms, Envoy 1.40 crashes at the first reload.
    """

    path: str | Path | Remote
    kind: Kind = "http"
    name: str = ""
    root_id: str = ""
    vm_id: str = ""
    configuration: Payload | None = None
    vm_configuration: Payload | None = None
    failure_policy: str | None = None
    """None means the kept one, else FAIL_RELOAD if the Envoy supports it."""
    reload_backoff_seconds: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    host_environment: Sequence[str] = ()
    """Variables inherited from Envoy's own environment."""
    allow_on_headers_stop_iteration: bool | None = None
    singleton: bool = False
    """Kind "plugin" only: one VM in the main thread instead of one per worker."""
    capabilities: Sequence[str] = ()
    """The functions it may call and the callbacks it may have; if empty, it is not restricted."""
    kept: Json = field(default_factory=dict)
    """The PluginConfig that it replaces, with keys in snake_case: what is unspecified here is kept from there."""
    envoy: tuple[int, int] = NEWEST
    """Version of the target Envoy; fields have moved between versions."""

    def to_json(self) -> Json:
        """The filter as an entry in a list of filters (or of bootstrap extensions)."""
        return {"name": FILTER_NAMES[self.kind], "typed_config": self.message()}

    def message(self) -> Json:
        """Its typed_config."""
        service = {"singleton": True} if self.kind == "plugin" and self.singleton else {}
        return typed(WASM[self.kind], config=self._plugin_config(), **service)

    def _plugin_config(self) -> Json:
        kept = {key: value for key, value in self.kept.items() if key != _RESTRICTION}
        plugin: Json = {"name": self.name, **kept, **_given(root_id=self.root_id or None)}
        plugin |= {"name": self.name, **self._policy(), "vm_config": self._vm_config(kept.get("vm_config", {}))}
        backoff = self.reload_backoff_seconds
        plugin |= _given(
            configuration=_payload(self.configuration),
            reload_config=None if backoff is None else {"backoff": {"base_interval": f"{backoff:.3f}s"}},
            allow_on_headers_stop_iteration=self.allow_on_headers_stop_iteration,
        )
        if self.capabilities:
            allowed: Json = {name: {} for name in self.capabilities}
            place = plugin["vm_config"] if self.envoy >= RESTRICTED_VM_SINCE else plugin
            place[_RESTRICTION] = {"allowed_capabilities": allowed}
        return plugin if self.failure_policy is None else _without_other_policy(plugin)

    def _policy(self) -> Json:
        if self.failure_policy is None and {"failure_policy", "fail_open"} & set(self.kept):
            return {}
        if self.envoy >= RELOAD_SINCE:
            return {"failure_policy": self.failure_policy or "FAIL_RELOAD"}
        return {"fail_open": True} if self.failure_policy == "FAIL_OPEN" else {}

    def _vm_config(self, kept: Json) -> Json:
        variables = {"key_values": dict(self.environment), "host_env_keys": list(self.host_environment)}
        variables = {key: value for key, value in variables.items() if value}
        return {
            "runtime": "envoy.wasm.runtime.v8",
            **{key: value for key, value in kept.items() if key != _RESTRICTION},
            **_given(vm_id=self.vm_id or None),
            "code": self._code(),
            **_given(configuration=_payload(self.vm_configuration), environment_variables=variables or None),
        }

    def _code(self) -> Json:
        if not isinstance(self.path, Remote):
            return {"local": {"filename": str(self.path)}}
        uri = {"uri": self.path.url, "cluster": self.path.cluster, "timeout": FETCH_TIMEOUT}
        return {"remote": {"http_uri": uri, "sha256": self.path.sha256}}


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

    def to_json(self) -> Json:
        """The route as in Envoy's configuration."""
        action: Json = {"route": {"cluster": self.upstream}}
        if self.upstream is None:
            action = {"direct_response": {"status": self.status, "body": {"inline_string": self.body}}}
        return {"match": {"prefix": self.prefix}, **action, **_metadata(self.metadata)}


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
            **_given(access_log=_entries(self.access_logs) or None),
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


def version_of(text: str) -> tuple[int, int]:
    """The version of Envoy in `1.40.0`; the newest known if Envoy does not report one."""
    major, _, rest = text.partition(".")
    return (int(major), int(rest.partition(".")[0])) if text else NEWEST


def _without_other_policy(plugin: Json) -> Json:
    """Envoy accepts either failure_policy or its old name, not both."""
    return {key: value for key, value in plugin.items() if key != "fail_open" or "failure_policy" not in plugin}


def _given(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


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


def _payload(value: Payload | None) -> Json | None:
    """The `Any` from which Envoy passes exactly these bytes to the plugin.

    A Struct would not work for a mapping: Envoy converts it back to JSON with every number a double.
    """
    if value is None:
        return None
    if isinstance(value, bytes):
        return typed("google.protobuf.BytesValue", value=base64.b64encode(value).decode("ascii"))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return typed("google.protobuf.StringValue", value=text)


def _body_buffer() -> Json:
    """A buffer filter after the Wasm filters.

    A direct response is sent as soon as the router sees the request's headers, and a request that has been answered
    gets no more body callbacks. Holding the request here lets the Wasm filters see its body first.
    """
    buffer = typed(f"{_HTTP_FILTERS}.buffer.v3.Buffer", max_request_bytes=DIRECT_RESPONSE_BODY_LIMIT)
    return {"name": "envoy.filters.http.buffer", "typed_config": buffer}
