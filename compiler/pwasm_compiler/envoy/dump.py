"""All Wasm filters in an Envoy's config_dump: in listeners, ECDS, access logs and the bootstrap.

Nothing is assumed about the form of the dump: it may come from any Envoy of recent years, with fields in either
spelling, and with configuration that Istio wrapped in a TypedStruct.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pwasm_compiler.envoy.dump_values import address_of, type_of, unwrapped
from pwasm_compiler.envoy.kinds import WASM, Json
from pwasm_compiler.envoy.routes import Routes, RouteTables, routes_of
from pwasm_compiler.values import get, list_of, text

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
_RBAC = {"envoy.extensions.filters.http.rbac.v3.RBAC", "envoy.extensions.filters.network.rbac.v3.RBAC"}
# pkg/wasm/cache.go of Istio 1.12 to 1.32: DATA/<SHA-256 of the image's name>/<its digest>.wasm
_AGENT_FILE = re.compile(r"/[0-9a-f]{64}/([0-9a-f]{64})\.wasm$")
BUILT_IN = "envoy.wasm.runtime.null"


@dataclass(frozen=True)
class Code:
    """Where a filter's code comes from: `how` is local, remote, inline, built-in, or unknown."""

    how: str
    source: str
    sha256: str | None = None
    """Of the module itself."""
    fetched: str | None = None
    """The digest by which Istio's agent knows what it fetched: the image's, or the module's if that came by http."""


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
    refused: str | None = None
    """Why the latest configuration from ECDS was refused, if the dump says so (Envoy 1.40 does not)."""
    routes: Routes | None = None
    """Where it runs, if its routes have a say in that."""
    replaced_by: str | None = None
    """What the control plane substituted for the filter: deny or allow."""
    key: tuple[str, str, str] = field(default=("", "", ""), compare=False)
    """Filters with the same key and runtime share their VMs."""


@dataclass(frozen=True)
class Refusal:
    """An update of a listener with Wasm filters that Envoy refused; the last good one serves, if there was one."""

    listener: str
    why: str


@dataclass(frozen=True)
class _Surroundings:
    """What a listener's filters refer to."""

    ecds: dict[str, Any]
    """Name of each extension delivered by ECDS → its entry in the dump."""
    routes: RouteTables


def wasm_filters(dump: Json) -> list[WasmFilter]:
    """The Wasm filters in a config_dump; malformed ones are included as far as possible."""
    configs = _configs(dump)
    around = _Surroundings(_ecds(configs), RouteTables(configs))
    found: list[WasmFilter] = []
    for listener, state in _listeners(configs):
        found += _of_listener(listener, state, around)
    for config in configs:
        bootstrap = get(config, "bootstrap") if type_of(config).endswith("BootstrapConfigDump") else None
        for entry in list_of(get(bootstrap, "bootstrap_extensions")) + list_of(get(bootstrap, "stats_sinks")):
            found += _entry(entry, None, None, "active", around, ())
    return found


def refusals(dump: Json) -> list[Refusal]:
    """The refused updates of listeners; Envoy 1.40 lists one twice, the second time without the listener's name."""
    found: dict[Refusal, None] = {}
    around = _Surroundings({}, RouteTables([]))
    for config in _configs(dump):
        for item in list_of(get(config, "dynamic_listeners")):
            error = get(item, "error_state")
            failed = get(error, "failed_configuration")
            if error is not None and any(_of_listener(failed, "", around)):
                found[Refusal(str(get(failed, "name") or ""), str(get(error, "details") or "no reason given"))] = None
    return list(found)


def _configs(dump: Json) -> list[Json]:
    return [config for config in list_of(dump.get("configs")) if isinstance(config, dict)]


def _listeners(configs: list[Json]) -> Iterator[tuple[Json, str]]:
    dumps = [config for config in configs if type_of(config).endswith("ListenersConfigDump")]
    if not dumps:  # a dump of the bootstrap alone
        for config in configs:
            yield from ((item, "active") for item in list_of(get(config, "bootstrap", "static_resources", "listeners")))
    for dump in dumps:
        yield from ((get(item, "listener"), "active") for item in list_of(get(dump, "static_listeners")))
        for item in list_of(get(dump, "dynamic_listeners")):
            for state in ("active", "warming", "draining"):
                listener = get(item, f"{state}_state", "listener")
                if listener is not None:
                    yield listener, state


def _of_listener(listener: Any, state: str, around: _Surroundings) -> Iterator[WasmFilter]:
    name, address = text(listener, "name"), address_of(get(listener, "address"))
    chains = [*list_of(get(listener, "filter_chains")), get(listener, "default_filter_chain")]
    entries: list[tuple[Any, list[Any]]] = [(entry, []) for entry in list_of(get(listener, "access_log"))]
    for chain in chains:
        for entry in list_of(get(chain, "filters")):
            manager = unwrapped(get(entry, "typed_config"))[1]
            tables = around.routes.of_manager(manager)
            entries += [(entry, []), *((item, tables) for item in list_of(get(manager, "http_filters")))]
            entries += [(item, []) for item in list_of(get(manager, "access_log"))]
    merged: dict[WasmFilter, Routes | None] = {}  # the same filter in several chains of a listener
    for entry, tables in entries:
        for found in _entry(entry, name or address, address, state, around, tables):
            alone = replace(found, routes=None)
            before = merged.get(alone)
            merged[alone] = before | found.routes if before and found.routes else before or found.routes
    yield from (replace(item, routes=routes) for item, routes in merged.items())


def _entry(
    entry: Any,
    listener: str | None,
    address: str | None,
    state: str,
    around: _Surroundings,
    tables: Sequence[Any],
) -> Iterator[WasmFilter]:
    """An entry of a list as a Wasm filter, if it is one."""
    name = str(get(entry, "name") or "")
    disabled = bool(get(entry, "disabled"))
    made = _of_entry(entry, name, around)
    if made is not None:
        yield replace(
            made,
            listener=listener,
            address=address,
            state=made.state or state,
            disabled=disabled,
            routes=routes_of(name, disabled=disabled, tables=tables) if made.kind == "HTTP filter" else None,
        )


def _of_entry(entry: Any, name: str, around: _Surroundings) -> WasmFilter | None:
    discovery = get(entry, "config_discovery")
    if discovery is None:
        message, value = unwrapped(get(entry, "typed_config"))
        return _filter(name, _WASM[message], value) if message in _WASM else None
    urls = {str(url).rpartition("/")[2] for url in list_of(get(discovery, "type_urls"))}
    kind = next((_WASM[url] for url in sorted(urls) if url in _WASM), None)
    delivered = around.ecds.get(name)
    message, value = unwrapped(get(delivered, "ecds_filter", "typed_config"))
    if message in _WASM:
        made = _filter(name, _WASM[message], value)
    elif kind is None:
        return None
    else:
        made = WasmFilter(_plugin_of(name), name, kind, None, None, "")
        made = replace(made, replaced_by=_verdict(value)) if message in _RBAC else replace(made, state="waiting")
    error = get(delivered, "error_state")
    return replace(made, ecds=True, refused=None if error is None else str(get(error, "details") or "no reason given"))


def _filter(entry: str, kind: str, value: Any) -> WasmFilter:
    config = get(value, "config")
    vm = get(config, "vm_config")
    runtime = str(get(vm, "runtime") or "envoy.wasm.runtime.v8")
    code = _code(get(vm, "code"), runtime)
    vm_id = str(get(vm, "vm_id") or "")
    of_vm = get(vm, "capability_restriction_config")
    restriction = of_vm or get(config, "capability_restriction_config")
    policy = get(config, "failure_policy") or ("FAIL_OPEN" if get(config, "fail_open") else None)
    return WasmFilter(
        name=str(get(config, "name") or ""),
        entry=entry,
        kind=kind,
        listener=None,
        address=None,
        state="",
        runtime=runtime,
        code=code,
        root_id=str(get(config, "root_id") or ""),
        vm_id=vm_id,
        policy=policy if isinstance(policy, str) else None,
        restricted=bool(get(restriction, "allowed_capabilities")),
        key=(vm_id, json.dumps([get(vm, "configuration"), of_vm], sort_keys=True), code.sha256 or code.source),
    )


def _code(code: Any, runtime: str) -> Code:
    local, remote = get(code, "local"), get(code, "remote")
    text, file, data = (get(local, name) for name in ("inline_string", "filename", "inline_bytes"))
    found = Code("unknown", "")
    if runtime == BUILT_IN:
        found = Code("built-in", str(text or ""))
    elif isinstance(remote, dict):
        digest = str(get(remote, "sha256") or "") or None
        found = Code("remote", str(get(remote, "http_uri", "uri") or ""), digest)
    elif isinstance(file, str):
        named = _AGENT_FILE.search(file)
        found = Code("local", file, fetched=named[1] if named else None)
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
    return {
        str(get(item, "ecds_filter", "name") or ""): item
        for config in configs
        if type_of(config).endswith("EcdsConfigDump")
        for item in list_of(get(config, "ecds_filters"))
    }


def _verdict(rbac: Any) -> str:
    names = ("rules_stat_prefix", "shadow_rules_stat_prefix", "stat_prefix")  # the last one of a TCP filter
    prefixes = "".join(str(get(rbac, name) or "") for name in names)
    if "wasm-default-allow" in prefixes:
        return "allow"
    rules = get(rbac, "rules")
    return "allow" if rules is None and "deny" not in prefixes else "deny"


def _plugin_of(entry: str) -> str:
    """`<ns>.<name>` of an entry that Istio named."""
    return entry.rpartition("/")[2].partition("~")[0]
