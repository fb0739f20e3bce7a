"""All Wasm filters in an Envoy's config_dump: in listeners, ECDS, access logs and the bootstrap.

Nothing is assumed about the form of the dump: it may come from any Envoy of recent years, with fields in either
spelling, and with configuration that Istio wrapped in a TypedStruct.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pwasm_compiler.envoy.kinds import WASM, Json

_WASM = {
    WASM["http"]: "HTTP filter",
    WASM["tcp"]: "TCP filter",
    WASM["plugin"]: "service",
    WASM["access_log"]: "access log",
    "envoy.extensions.stat_sinks.wasm.v3.Wasm": "statistics sink",
    # their names up to Envoy 1.16, and so up to Istio 1.8
    "envoy.config.filter.http.wasm.v2.Wasm": "HTTP filter",
    "envoy.extensions.filters.http.wasm.v3alpha.Wasm": "HTTP filter",
}
_STRUCTS = {"udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"}
_RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC"
_AGENT_FILE = re.compile(r"/([0-9a-f]{64})\.wasm$")
BUILT_IN = "envoy.wasm.runtime.null"


@dataclass(frozen=True)
class Code:
    """Where a filter's code comes from: `how` is local, remote, inline, built-in, or unknown."""

    how: str
    source: str
    sha256: str | None = None


@dataclass(frozen=True)
class WasmFilter:
    """The configuration of one Wasm filter."""

    name: str
    entry: str
    """Name of the entry in the list of filters, used by ECDS and its statistics."""
    kind: str
    listener: str | None
    address: str | None
    state: str
    """active, warming, draining, or waiting for ECDS."""
    runtime: str | None = None
    code: Code = Code("unknown", "")
    root_id: str = ""
    vm_id: str = ""
    policy: str | None = None
    restricted: bool = False
    disabled: bool = False
    ecds: bool = False
    replaced_by: str | None = None
    """What the control plane substituted for the filter: deny or allow."""
    key: tuple[str, str, str] = field(default=("", "", ""), compare=False)
    """Filters with the same key and runtime share their VMs."""


def wasm_filters(dump: Json) -> list[WasmFilter]:
    """The Wasm filters in a config_dump; malformed ones are included as far as possible."""
    configs = [config for config in _list(dump.get("configs")) if isinstance(config, dict)]
    ecds = _ecds(configs)
    found: list[WasmFilter] = []
    for listener, state in _listeners(configs):
        found += _of_listener(listener, state, ecds)
    for config in configs:
        bootstrap = _get(config, "bootstrap") if _type(config).endswith("BootstrapConfigDump") else None
        for entry in _list(_get(bootstrap, "bootstrap_extensions")) + _list(_get(bootstrap, "stats_sinks")):
            found += _entry(entry, None, None, "active", ecds)
    return found


def version(dump: Json) -> str | None:
    """The Envoy's version, from its node."""
    for config in _list(dump.get("configs")):
        node = _get(config, "bootstrap", "node")
        number = _get(node, "user_agent_build_version", "version")
        if isinstance(number, dict):
            parts = (_get(number, name) or 0 for name in ("major_number", "minor_number", "patch"))
            return ".".join(str(part) for part in parts)
    return None


def _listeners(configs: list[Json]) -> Iterator[tuple[Json, str]]:
    dumps = [config for config in configs if _type(config).endswith("ListenersConfigDump")]
    if not dumps:  # a dump of the bootstrap alone
        for config in configs:
            yield from ((item, "active") for item in _list(_get(config, "bootstrap", "static_resources", "listeners")))
    for dump in dumps:
        yield from ((_get(item, "listener"), "active") for item in _list(_get(dump, "static_listeners")))
        for item in _list(_get(dump, "dynamic_listeners")):
            for state in ("active", "warming", "draining"):
                listener = _get(item, f"{state}_state", "listener")
                if listener is not None:
                    yield listener, state


def _of_listener(listener: Any, state: str, ecds: dict[str, Any]) -> Iterator[WasmFilter]:
    name, address = _get(listener, "name"), _address(_get(listener, "address"))
    chains = [*_list(_get(listener, "filter_chains")), _get(listener, "default_filter_chain")]
    entries = [*_list(_get(listener, "access_log"))]
    for chain in chains:
        for entry in _list(_get(chain, "filters")):
            entries.append(entry)
            manager = _unwrapped(_get(entry, "typed_config"))[1]
            entries += [*_list(_get(manager, "http_filters")), *_list(_get(manager, "access_log"))]
    seen = []
    for entry in entries:
        for found in _entry(entry, name or address, address, state, ecds):
            if found not in seen:  # the same filter in several chains of a listener
                seen.append(found)
                yield found


def _entry(
    entry: Any, listener: str | None, address: str | None, state: str, ecds: dict[str, Any]
) -> Iterator[WasmFilter]:
    """An entry of a list as a Wasm filter, if it is one."""
    name = str(_get(entry, "name") or "")
    disabled = bool(_get(entry, "disabled"))
    discovery = _get(entry, "config_discovery")
    if discovery is None:
        message, value = _unwrapped(_get(entry, "typed_config"))
        if message in _WASM:
            made = _filter(name, _WASM[message], value)
            yield replace(made, listener=listener, address=address, state=state, disabled=disabled)
        return
    urls = {str(url).rpartition("/")[2] for url in _list(_get(discovery, "type_urls"))}
    kind = next((_WASM[url] for url in sorted(urls) if url in _WASM), None)
    message, value = _unwrapped(ecds.get(name))
    if kind is None and message not in _WASM:
        return
    if message in _WASM:
        made = _filter(name, _WASM[message], value)
    elif message == _RBAC:
        made = WasmFilter(_plugin_of(name), name, str(kind), None, None, "", replaced_by=_verdict(value))
    else:
        made, state = WasmFilter(_plugin_of(name), name, str(kind), None, None, ""), "waiting"
    yield replace(made, listener=listener, address=address, state=state, disabled=disabled, ecds=True)


def _filter(entry: str, kind: str, value: Any) -> WasmFilter:
    config = _get(value, "config")
    vm = _get(config, "vm_config")
    runtime = str(_get(vm, "runtime") or "envoy.wasm.runtime.v8")
    code = _code(_get(vm, "code"), runtime)
    vm_id = str(_get(vm, "vm_id") or "")
    of_vm = _get(vm, "capability_restriction_config")
    restriction = of_vm or _get(config, "capability_restriction_config")
    policy = _get(config, "failure_policy") or ("FAIL_OPEN" if _get(config, "fail_open") else None)
    return WasmFilter(
        name=str(_get(config, "name") or ""),
        entry=entry,
        kind=kind,
        listener=None,
        address=None,
        state="",
        runtime=runtime,
        code=code,
        root_id=str(_get(config, "root_id") or ""),
        vm_id=vm_id,
        policy=policy if isinstance(policy, str) else None,
        restricted=bool(_get(restriction, "allowed_capabilities")),
        key=(vm_id, json.dumps([_get(vm, "configuration"), of_vm], sort_keys=True), code.sha256 or code.source),
    )


def _code(code: Any, runtime: str) -> Code:
    local, remote = _get(code, "local"), _get(code, "remote")
    text, file, data = (_get(local, name) for name in ("inline_string", "filename", "inline_bytes"))
    found = Code("unknown", "")
    if runtime == BUILT_IN:
        found = Code("built-in", str(text or ""))
    elif isinstance(remote, dict):
        digest = str(_get(remote, "sha256") or "") or None
        found = Code("remote", str(_get(remote, "http_uri", "uri") or ""), digest)
    elif isinstance(file, str):
        named = _AGENT_FILE.search(file)  # Istio's agent names its files by the digest of the module
        found = Code("local", file, named[1] if named else None)
    elif isinstance(data, str):
        found = _inline(data)
    elif isinstance(text, str):
        found = Code("inline", f"{len(text):,} characters")
    return found


def _inline(data: str) -> Code:
    try:
        module = base64.b64decode(data, validate=True)
    except ValueError:
        return Code("inline", "bytes that cannot be read")
    return Code("inline", f"{len(module):,} bytes", hashlib.sha256(module).hexdigest())


def _ecds(configs: list[Json]) -> dict[str, Any]:
    """Name of each extension delivered by ECDS → its typed_config."""
    found = {}
    for config in configs:
        if _type(config).endswith("EcdsConfigDump"):
            for item in _list(_get(config, "ecds_filters")):
                extension = _get(item, "ecds_filter")
                found[str(_get(extension, "name") or "")] = _get(extension, "typed_config")
    return found


def _verdict(rbac: Any) -> str:
    prefixes = str(_get(rbac, "rules_stat_prefix") or "") + str(_get(rbac, "shadow_rules_stat_prefix") or "")
    if "wasm-default-allow" in prefixes:
        return "allow"
    rules = _get(rbac, "rules")
    return "allow" if rules is None and "deny" not in prefixes else "deny"


def _plugin_of(entry: str) -> str:
    """`<ns>.<name>` of an entry that Istio named."""
    return entry.rpartition("/")[2].partition("~")[0]


def _unwrapped(config: Any) -> tuple[str, Any]:
    """Type and fields of a typed_config; a TypedStruct is unwrapped."""
    message = _type(config)
    if message in _STRUCTS:
        return str(_get(config, "type_url") or "").rpartition("/")[2], _get(config, "value")
    return message, config


def _address(address: Any) -> str | None:
    socket = _get(address, "socket_address")
    if isinstance(socket, dict):
        host, port = _get(socket, "address"), _get(socket, "port_value")
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    pipe = _get(address, "pipe", "path")
    return str(pipe) if pipe is not None else None


def _type(value: Any) -> str:
    return str(value.get("@type", "")).rpartition("/")[2] if isinstance(value, dict) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _get(value: Any, *keys: str) -> Any:
    """The value at a path of snake_case names, which a dump may have in camelCase."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        camel = re.sub(r"_(\w)", lambda match: match[1].upper(), key)
        value = value.get(key, value.get(camel))
    return value
