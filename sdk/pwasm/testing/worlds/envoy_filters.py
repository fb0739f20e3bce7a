"""The neighbours of a chain as the real filters, in Envoy's configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pwasm_compiler.envoy.config import WasmFilter as EnvoyWasmFilter
from pwasm_compiler.envoy.kinds import Json, typed

from ..emulator.neighbours import HOLD_HEADERS, ExtAuthz, LuaBody, LuaCall, NeighbourFilter, SlowUpstream, WasmFilter
from .filters import built_module
from .world import payload

_SECONDS = 15
_FILTERS = "envoy.extensions.filters.http"
_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def filters_of(neighbours: Sequence[NeighbourFilter]) -> list[Json]:
    """Entries of `http_filters`; every cluster has the codec at its end anyway."""
    return [_MAKE[type(item)](item) for item in neighbours if not isinstance(item, SlowUpstream)]


def upstream_options(filters: list[Json]) -> Json:
    """A cluster's options with these filters, ahead of its codec: every request gets a new connection."""
    codec = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
    options = typed(
        _PROTOCOL_OPTIONS,
        common_http_protocol_options={"max_requests_per_connection": 1},
        explicit_http_config={"http_protocol_options": {"enable_trailers": True}},
        http_filters=[*filters, {"name": "envoy.filters.http.upstream_codec", "typed_config": typed(codec)}],
    )
    return {_PROTOCOL_OPTIONS: options}


def wasm_filter(path: str | Path, *, hold_headers: bool, environment: dict[str, str], **plugin: Any) -> EnvoyWasmFilter:
    """A Wasm filter that may hold streams by their headers, or not: the option, and the variable that tells of it."""
    told = {HOLD_HEADERS: "1"} if hold_headers else {}
    return EnvoyWasmFilter(
        path,
        environment={**environment, **told},
        allow_on_headers_stop_iteration=hold_headers or None,
        **plugin,
    )


def enable_trailers(config: Json) -> None:
    """Envoy drops HTTP/1 trailers unless told otherwise, on both sides."""
    for listener in config["static_resources"]["listeners"]:
        for entry in listener["filter_chains"][0]["filters"]:
            if entry["name"] == "envoy.filters.network.http_connection_manager":
                entry["typed_config"]["http_protocol_options"] = {"enable_trailers": True}
    for cluster in config["static_resources"]["clusters"]:
        if "typed_extension_protocol_options" not in cluster:
            cluster["http_protocol_options"] = {"enable_trailers": True}


def put_into_cluster(config: Json, name: str, chain: list[EnvoyWasmFilter | Json]) -> None:
    """Put a chain into a cluster's filters."""
    (cluster,) = (found for found in config["static_resources"]["clusters"] if found["name"] == name)
    del cluster["http_protocol_options"]
    filters = [item.to_json() if isinstance(item, EnvoyWasmFilter) else item for item in chain]
    cluster["typed_extension_protocol_options"] = upstream_options(filters)


def wasm_neighbour(item: WasmFilter) -> Json:
    """Another filter of the chain, in a VM of its own."""
    module = built_module(Path(item.path))
    return wasm_filter(
        module,
        hold_headers=item.hold_headers,
        environment={},
        vm_id=f"neighbour {item.path}",
        configuration=payload(item.configuration) or None,
    ).to_json()


def _authz(item: Any) -> Json:
    assert isinstance(item, ExtAuthz)
    timeout = f"{_SECONDS}s"
    service: Json = {
        "http_service": {"server_uri": {"uri": f"http://{item.cluster}", "cluster": item.cluster, "timeout": timeout}}
    }
    if item.grpc:
        service = {"grpc_service": {"envoy_grpc": {"cluster_name": item.cluster}, "timeout": timeout}}
    config = typed(f"{_FILTERS}.ext_authz.v3.ExtAuthz", transport_api_version="V3", **service)
    return {"name": "envoy.filters.http.ext_authz", "typed_config": config}


def _lua_call(item: Any) -> Json:
    assert isinstance(item, LuaCall)
    cluster = json.dumps(item.cluster)
    headers = f'{{[":method"] = "GET", [":path"] = "/", [":authority"] = {cluster}}}'
    return _lua(f'handle:httpCall({cluster}, {headers}, "", {_SECONDS * 1000})', item.request, item.response)


def _lua_body(item: Any) -> Json:
    assert isinstance(item, LuaBody)
    return _lua("handle:body()", item.request, item.response)


def _lua(statement: str, request: bool, response: bool) -> Json:
    wanted = [name for name, does in (("request", request), ("response", response)) if does]
    script = "\n".join(f"function envoy_on_{name}(handle)\n  {statement}\nend" for name in wanted)
    config = typed(f"{_FILTERS}.lua.v3.Lua", default_source_code={"inline_string": script or "-- nothing"})
    return {"name": "envoy.filters.http.lua", "typed_config": config}


_MAKE: dict[type, Callable[[Any], Json]] = {
    ExtAuthz: _authz,
    LuaCall: _lua_call,
    LuaBody: _lua_body,
    WasmFilter: wasm_neighbour,
}
