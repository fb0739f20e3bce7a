"""Envoy bootstraps with Wasm filters in them, as a dict that `json.dumps` turns into what Envoy reads.

Envoy takes JSON wherever it takes YAML. JSON it is, because Envoy's YAML reader types plain scalars differently
from Python's (`y`, `on`, `0x10`), and in JSON every string is quoted.

    listener = HttpListener([WasmFilter("main.wasm", configuration={"header": "x-one"})], port=10000)
    bootstrap([listener], admin_port=9901)

Every address is on 127.0.0.1. Port 0 lets the kernel choose; `Envoy.listeners` tells what it chose.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal["http", "tcp", "plugin"]

LOOPBACK = "127.0.0.1"
DIRECT_RESPONSE_BODY = "hello from upstream (a direct response of Envoy)\n"
DIRECT_RESPONSE_BODY_LIMIT = 16 * 1024 * 1024

_TYPE = "type.googleapis.com/"
_HTTP_FILTERS = "envoy.extensions.filters.http"
_NETWORK_FILTERS = "envoy.extensions.filters.network"
_HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MESSAGES = {
    "http": f"{_HTTP_FILTERS}.wasm.v3.Wasm",
    "tcp": f"{_NETWORK_FILTERS}.wasm.v3.Wasm",
    "plugin": "envoy.extensions.wasm.v3.WasmService",
}
_NAMES = {"http": "envoy.filters.http.wasm", "tcp": "envoy.filters.network.wasm", "plugin": "envoy.bootstrap.wasm"}


@dataclass(frozen=True)
class WasmFilter:
    """One Wasm plugin: what Envoy calls PluginConfig with its VmConfig.

    `path` is read by Envoy relative to its working directory. A mapping as configuration is passed as its JSON
    text. `failure_policy` None leaves the field out, for an Envoy before 1.33, which does not know it.
    `reload_backoff_seconds` is Envoy's base interval (1 s unless set); with 1 ms Envoy 1.40 dies at the first reload.
    """

    path: str | Path
    kind: Kind = "http"
    name: str = ""
    root_id: str = ""
    vm_id: str = ""
    configuration: str | bytes | Mapping[str, Any] | None = None
    vm_configuration: str | bytes | Mapping[str, Any] | None = None
    failure_policy: str | None = "FAIL_RELOAD"
    reload_backoff_seconds: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    host_environment: Sequence[str] = ()
    allow_on_headers_stop_iteration: bool | None = None
    singleton: bool = False
    """Kind "plugin" only: one VM in the main thread instead of one for each worker."""

    def to_json(self) -> Json:
        """The filter (or bootstrap extension) as Envoy's configuration has it."""
        service = {"singleton": self.singleton} if self.kind == "plugin" else {}
        return {
            "name": _NAMES[self.kind],
            "typed_config": _any(_MESSAGES[self.kind], config=self._plugin_config(), **service),
        }

    def _plugin_config(self) -> Json:
        plugin: Json = {"name": self.name, "root_id": self.root_id, "vm_config": self._vm_config()}
        if self.configuration is not None:
            plugin["configuration"] = _payload(self.configuration)
        if self.failure_policy is not None:
            plugin["failure_policy"] = self.failure_policy
        if self.reload_backoff_seconds is not None:
            plugin["reload_config"] = {"backoff": {"base_interval": f"{self.reload_backoff_seconds:.3f}s"}}
        if self.allow_on_headers_stop_iteration is not None:
            plugin["allow_on_headers_stop_iteration"] = self.allow_on_headers_stop_iteration
        return plugin

    def _vm_config(self) -> Json:
        vm: Json = {
            "vm_id": self.vm_id,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": str(self.path)}},
        }
        if self.vm_configuration is not None:
            vm["configuration"] = _payload(self.vm_configuration)
        if self.environment or self.host_environment:
            vm["environment_variables"] = {
                "key_values": dict(self.environment),
                "host_env_keys": list(self.host_environment),
            }
        return vm


@dataclass(frozen=True)
class Upstream:
    """A cluster with one endpoint. `metadata` is the cluster's filter metadata."""

    host: str
    port: int
    name: str = "upstream"
    http2: bool = False
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> Json:
        """The cluster as Envoy's configuration has it."""
        endpoint = {"endpoint": {"address": _address(self.host, self.port)}}
        cluster: Json = {
            "name": self.name,
            "type": "STRICT_DNS",
            "dns_lookup_family": "V4_PREFERRED",
            "connect_timeout": "5s",
            "load_assignment": {"cluster_name": self.name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        }
        if self.http2:
            options = _any(_HTTP_PROTOCOL_OPTIONS, explicit_http_config={"http2_protocol_options": {}})
            cluster["typed_extension_protocol_options"] = {_HTTP_PROTOCOL_OPTIONS: options}
        return {**cluster, **_metadata(self.metadata)}


@dataclass(frozen=True)
class Route:
    """Paths that begin with `prefix` go to the cluster `upstream`, or are answered with `status` and `body`."""

    prefix: str = "/"
    upstream: str | None = None
    status: int = 200
    body: str = DIRECT_RESPONSE_BODY
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> Json:
        """The route as Envoy's configuration has it."""
        action: Json = {"route": {"cluster": self.upstream}}
        if self.upstream is None:
            action = {"direct_response": {"status": self.status, "body": {"inline_string": self.body}}}
        return {"match": {"prefix": self.prefix}, **action, **_metadata(self.metadata)}


@dataclass(frozen=True)
class HttpListener:
    """An HTTP listener; the filters see a request in this order and its response in the reverse order."""

    filters: Sequence[WasmFilter] = ()
    port: int = 0
    name: str = "http"
    routes: Sequence[Route] = (Route(),)

    def to_json(self) -> Json:
        """The listener as Envoy's configuration has it."""
        filters = [item.to_json() for item in self.filters]
        if any(route.upstream is None for route in self.routes):
            filters.append(_wait_for_the_body())
        filters.append({"name": "envoy.filters.http.router", "typed_config": _any(f"{_HTTP_FILTERS}.router.v3.Router")})
        host = {"name": "all", "domains": ["*"], "routes": [route.to_json() for route in self.routes]}
        manager = _any(
            f"{_NETWORK_FILTERS}.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix=self.name,
            route_config={"name": self.name, "virtual_hosts": [host]},
            http_filters=filters,
        )
        chain = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
        return _listener(self.name, self.port, chain)


@dataclass(frozen=True)
class TcpListener:
    """A TCP listener in front of the cluster `upstream`, or of an echo of what the client sends."""

    filters: Sequence[WasmFilter] = ()
    port: int = 0
    name: str = "tcp"
    upstream: str | None = None

    def to_json(self) -> Json:
        """The listener as Envoy's configuration has it."""
        last = {"name": "envoy.filters.network.echo", "typed_config": _any(f"{_NETWORK_FILTERS}.echo.v3.Echo")}
        if self.upstream is not None:
            proxy = _any(f"{_NETWORK_FILTERS}.tcp_proxy.v3.TcpProxy", stat_prefix=self.name, cluster=self.upstream)
            last = {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}
        return _listener(self.name, self.port, [*(item.to_json() for item in self.filters), last])


def bootstrap(
    listeners: Sequence[HttpListener | TcpListener] = (),
    *,
    plugins: Sequence[WasmFilter] = (),
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
        config["bootstrap_extensions"] = [plugin.to_json() for plugin in plugins]
    return config


def _listener(name: str, port: int, chain: Sequence[Json]) -> Json:
    return {"name": name, "address": _address(LOOPBACK, port), "filter_chains": [{"filters": list(chain)}]}


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _any(message: str, /, **fields: Any) -> Json:
    return {"@type": _TYPE + message, **fields}


def _metadata(metadata: Mapping[str, Mapping[str, Any]]) -> Json:
    return {"metadata": {"filter_metadata": {name: dict(values) for name, values in metadata.items()}}}


def _payload(value: str | bytes | Mapping[str, Any]) -> Json:
    """The `Any` from which Envoy passes exactly these bytes to the plugin.

    A Struct would not do for a mapping: Envoy writes it as JSON anew, with every number a double.
    """
    if isinstance(value, bytes):
        return _any("google.protobuf.BytesValue", value=base64.b64encode(value).decode("ascii"))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _any("google.protobuf.StringValue", value=text)


def _wait_for_the_body() -> Json:
    """A buffer filter behind the Wasm filters.

    A direct response is sent as soon as the router sees the request's headers, and a request that is answered has
    no more body callbacks. Holding the request here lets the Wasm filters see its body first.
    """
    buffer = _any(f"{_HTTP_FILTERS}.buffer.v3.Buffer", max_request_bytes=DIRECT_RESPONSE_BODY_LIMIT)
    return {"name": "envoy.filters.http.buffer", "typed_config": buffer}
