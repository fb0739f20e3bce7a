"""Istio's EnvoyFilter around a Wasm filter: what WasmPlugin becomes in a proxy, with the fields that it cannot set.

istiod sends the filter by ECDS, as it does for a WasmPlugin, and the agent of each proxy fetches the image: Envoy
itself could not fetch one from `oci://`. The configuration is a TypedStruct, which istiod passes on as it is, and an
agent that does not know one of its fields rejects it. Of a typed message, an istiod that does not know the field would
drop it without a word, and leave the variable that must go with it.

Read in istio/istio 86c9f01 (2026-08-22): pilot/pkg/networking/core/extension_config_builder.go, envoyfilter/
extension_configuration_patch.go and listener_patch.go, extension/extensionfilter.go, pkg/wasm/convert.go,
pkg/config/validation/envoyfilter. The proxies and agents know `allow_on_headers_stop_iteration` since Istio 1.28.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pwasm_compiler import held_headers, values
from pwasm_compiler.errors import UsageError
from pwasm_compiler.kube.kind import Document, Placement, ResourceKind, given
from pwasm_compiler.kube.schemas import GATEWAY_API, LABELS, Schema, text

_WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
_RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
"""The agent puts an RBAC filter in the place of a module that it cannot fetch."""
_TYPED_STRUCT = "type.googleapis.com/udpa.type.v1.TypedStruct"
_STRING = "type.googleapis.com/google.protobuf.StringValue"
_CONTEXTS = {
    # mode of a WasmPlugin's match → contexts of an EnvoyFilter
    "UNDEFINED": ("ANY",),
    "CLIENT_AND_SERVER": ("ANY",),
    "CLIENT": ("SIDECAR_OUTBOUND", "GATEWAY"),
    "SERVER": ("SIDECAR_INBOUND",),
}
_POLICIES = {"FAIL_CLOSE": "FAIL_CLOSED", "FAIL_OPEN": "FAIL_OPEN", "FAIL_RELOAD": "FAIL_RELOAD"}
_BEFORE_ROUTER = {
    "filterChain": {
        "filter": {
            "name": "envoy.filters.network.http_connection_manager",
            "subFilter": {"name": "envoy.filters.http.router"},
        }
    }
}
_FETCH_TIMEOUT = "30s"
"""istiod's own for a WasmPlugin."""

_VALID = text(pattern="^(?!INVALID$)")
_ORDER_HINT = "the filter is inserted before the router, as a WasmPlugin without a phase is"
_PULL_HINT = "istiod resolves it for a WasmPlugin only; give the proxies' agents the registry's credentials"
_TARGETS = {"Gateway": GATEWAY_API}
_UNSUPPORTED = {
    "phase": _ORDER_HINT,
    "priority": _ORDER_HINT,
    "type": "it is written for HTTP filters only",
    "pull_secret": _PULL_HINT,
    "ca": "Istio's agents verify registries with the certificates of their own image",
    "pull_policy": "the image is pinned, so the agent fetches it once",
    "listeners": "restrict it with --match or --selector",
}


def _option_with_variable(spec: Any) -> str | None:
    """Neither works without the other, see `held_headers`."""
    for number, patch in enumerate(spec.get("configPatches", ())):
        plugin = _plugin_of(patch)
        variables = values.mapping(plugin, "vm_config", "environment_variables", "key_values")
        if (plugin.get(held_headers.OPTION) is True) != (held_headers.VARIABLE in variables):
            pair = f"{held_headers.OPTION} and {held_headers.VARIABLE}"
            return f"spec.configPatches[{number}] must have both or neither of {pair}"
    return None


class EnvoyFilter(ResourceKind):
    """A WasmPlugin by hand, for what that cannot say."""

    name = kind = "EnvoyFilter"
    api_version = "networking.istio.io/v1alpha3"
    resource = "envoyfilters.networking.istio.io"
    product = "Istio"
    tighter: ClassVar[Mapping[str, Schema]] = {
        "spec.workloadSelector.labels": LABELS,
        "spec.configPatches[]": {"required": ["applyTo", "patch"]},
        "spec.configPatches[].applyTo": _VALID,
        "spec.configPatches[].patch": {"required": ["operation"]},
        "spec.configPatches[].patch.operation": _VALID,
    }
    rules = (_option_with_variable,)
    targets = _TARGETS
    unsupported = _UNSUPPORTED
    condition = None
    gateway_service = ("istio-ingressgateway", "istio-system")
    held_by = name

    def refuse(self, placement: Placement) -> None:
        super().refuse(placement)
        if any(ports for _, ports in placement.match):
            raise UsageError(f"{self} does not support ports in --match", hint="restrict it with --match MODE")
        if not placement.pin and not placement.url.startswith("file://"):
            raise UsageError(
                f"{self} needs a pinned image", hint="pin it with --sha256, the digest that pwasm push printed"
            )

    def spec(self, placement: Placement) -> Document:
        name = f"pwasm/{_name(placement)}"
        typed = {"@type": _TYPED_STRUCT, "type_url": _WASM, "value": {"config": _plugin_config(placement)}}
        extension = {
            "applyTo": "EXTENSION_CONFIG",
            "match": {"context": "ANY"},
            "patch": {"operation": "ADD", "value": {"name": name, "typed_config": typed}},
        }
        targets = [{"group": self.targets[kind], "kind": kind, "name": name} for kind, name in placement.targets]
        return given(
            workloadSelector={"labels": dict(placement.selector)} if placement.selector else None,
            targetRefs=targets or None,
            configPatches=[extension, *(_insertion(name, context) for context in _contexts(placement))],
        )

    def filters(self, spec: Document) -> list[Document]:
        return [plugin for patch in spec.get("configPatches", ()) if (plugin := _plugin_of(patch))]

    def source(self, part: Document) -> Document:
        code = values.mapping(part, "vm_config", "code")
        if "remote" not in code:
            return {"url": f"file://{values.text(code, 'local', 'filename')}"}
        return {
            "url": values.text(code, "remote", "http_uri", "uri"),
            "sha256": values.text(code, "remote", "sha256"),
        }

    def fails_open(self, part: Document) -> bool:
        return part.get("failure_policy") == "FAIL_OPEN"

    def cautions(self, spec: Document) -> Iterator[str]:
        yield from super().cautions(spec)
        yield (
            "an EnvoyFilter depends on how Istio builds its proxies' configuration: Istio warns that a wrong one can"
            " disturb a whole mesh, and that it may stop working with a new release; try it again at each upgrade"
        )
        if self.filters(spec) and "targetRefs" in spec:
            yield "this EnvoyFilter does nothing in a waypoint, which has its own kind of match"

    def needs(self, spec: Document) -> Iterator[tuple[str, str]]:
        for part in self.filters(spec):
            if part.get("failure_policy"):
                yield "1.25", "failure_policy in an EnvoyFilter"
            if part.get(held_headers.OPTION):
                yield (
                    "1.28",
                    f"{held_headers.OPTION}; the agent then rejects the filter, and requests wait for it",
                )


def _name(placement: Placement) -> str:
    return f"{placement.namespace}.{placement.name}" if placement.namespace else placement.name


def _contexts(placement: Placement) -> list[str]:
    found = [context for mode, _ in placement.match for context in _CONTEXTS[mode]]
    return list(dict.fromkeys(found)) or ["ANY"]


def _insertion(name: str, context: str) -> Document:
    """The patch that puts the filter in its place; Envoy asks for its configuration by its name."""
    source = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    discovery = {"config_source": source, "type_urls": [_WASM, _RBAC]}
    return {
        "applyTo": "HTTP_FILTER",
        "match": {"context": context, "listener": _BEFORE_ROUTER},
        "patch": {"operation": "INSERT_BEFORE", "value": {"name": name, "config_discovery": discovery}},
    }


def _plugin_config(placement: Placement) -> Document:
    """Envoy's PluginConfig, as istiod makes it from a WasmPlugin."""
    configuration = placement.plugin_config
    return given(
        name=_name(placement),
        root_id=placement.root_id,
        vm_config=_vm_config(placement),
        configuration=None
        if configuration is None
        else {"@type": _STRING, "value": json.dumps(configuration, ensure_ascii=False)},
        failure_policy=_POLICIES[placement.fail_strategy or "FAIL_RELOAD"],
        **({held_headers.OPTION: True} if placement.hold_headers else {}),
    )


def _vm_config(placement: Placement) -> Document:
    environment = placement.environment or {}
    chosen = {name: value for name, value in environment.items() if value is not None}
    if placement.hold_headers:
        chosen[held_headers.VARIABLE] = held_headers.VALUE
    inherited = [name for name, value in environment.items() if value is None]
    variables = given(key_values=chosen or None, host_env_keys=inherited or None)
    return given(runtime="envoy.wasm.runtime.v8", code=_code(placement), environment_variables=variables or None)


def _code(placement: Placement) -> Document:
    if placement.url.startswith("file://"):
        return {"local": {"filename": placement.url.removeprefix("file://")}}
    url = placement.url if "://" in placement.url else f"oci://{placement.url}"
    # The agent fetches it, so the cluster, which Envoy requires, is not asked.
    return {"remote": {"http_uri": {"uri": url, "cluster": "_", "timeout": _FETCH_TIMEOUT}, "sha256": placement.pin}}


def _plugin_of(patch: Document) -> Document:
    """The PluginConfig in a patch, with the fields in snake_case; empty if it has none."""
    plugin = values.mapping(patch, "patch", "value", "typed_config", "value", "config")
    return plugin if "vm_config" in plugin else {}
