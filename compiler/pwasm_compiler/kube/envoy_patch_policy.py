"""Envoy Gateway's EnvoyPatchPolicy, beside an EnvoyExtensionPolicy: it sets what that cannot.

Envoy Gateway puts each Wasm filter into the connection managers of its listeners, under a name that follows from the
policy's, and applies JSON patches to its listeners before it sends them. Both patches select the same place, so that
either both or neither is applied.

Read in envoyproxy/gateway d32f282 (2026-08-21): internal/xds/translator/wasm.go, jsonpatch.go and listener.go,
internal/utils/jsonpatch, internal/gatewayapi/envoyextensionpolicy.go and helpers.go. Its go-control-plane has the field
`allow_on_headers_stop_iteration` since Envoy Gateway 1.6.0; an older one refuses the patched listener.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pwasm_compiler import held_headers
from pwasm_compiler.errors import UsageError
from pwasm_compiler.kube.envoy_gateway import EnvoyExtensionPolicy
from pwasm_compiler.kube.kind import Document, Placement, ResourceKind
from pwasm_compiler.kube.schemas import GATEWAY_API, Schema, one_of, text

_LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
_PATHS = (
    # of PluginConfig: (path, value)
    (held_headers.OPTION, True),
    (f"vm_config/environment_variables/key_values/{held_headers.VARIABLE}", held_headers.VALUE),
)
_NEW_SCHEME = re.compile(r"tcp-\d{1,5}")
"""What XDSNameSchemeV2 calls a listener, by its port."""
_TARGETS = {"Gateway": GATEWAY_API}


def _both_or_neither(spec: Any) -> str | None:
    """Each place must get the option and the variable, see `held_headers`."""
    places: dict[str, set[tuple[Any, Any]]] = {path: set() for path, _ in _PATHS}
    for patch in spec.get("jsonPatches", ()):
        path = str(patch["operation"].get("path", "")).strip("/")
        if path in places:
            places[path].add((patch["name"], patch["operation"].get("jsonPath")))
    first, second = places.values()
    pair = f"{held_headers.OPTION} and {held_headers.VARIABLE}"
    return None if first == second else f"spec.jsonPatches must set both or neither of {pair} in each place"


class EnvoyPatchPolicy(ResourceKind):
    """The patches that hold the headers of the filter in an EnvoyExtensionPolicy of the same name."""

    name = kind = "EnvoyPatchPolicy"
    api_version = EnvoyExtensionPolicy.api_version
    resource = "envoypatchpolicies.gateway.envoyproxy.io"
    product = EnvoyExtensionPolicy.product
    tighter: ClassVar[Mapping[str, Schema]] = {
        "spec.targetRef.group": one_of((GATEWAY_API,)),
        "spec.targetRef.kind": one_of(("Gateway", "GatewayClass")),
        "spec.jsonPatches[].name": text(1),
    }
    rules = (_both_or_neither,)
    targets = _TARGETS
    only_beside = True
    condition = "Programmed"
    needs_gateway_api = True
    held_by = name

    def refuse(self, placement: Placement) -> None:
        missing = [
            option
            for option, there in (
                ("--namespace", placement.namespace is not None),
                ("--target Gateway/NAME", len(placement.targets) == 1),
                ("--listener", bool(placement.listeners)),
            )
            if not there
        ]
        if missing:
            raise UsageError(
                f"to hold headers, {self} needs {', '.join(missing)}",
                why="It patches the filter in the listeners of a Gateway, which it finds by their names.",
                hint="name one Gateway, and each of its listeners: --listener http --listener https",
            )
        super().refuse(placement)

    def spec(self, placement: Placement) -> Document:
        ((kind, gateway),) = placement.targets
        policy = f"{EnvoyExtensionPolicy.kind.lower()}/{placement.namespace}/{placement.name}"
        place = f"..http_filters[?(@.name=='envoy.filters.http.wasm/{policy}/wasm/0')].typed_config.config"
        return {
            "type": "JSONPatch",
            "targetRef": {"group": GATEWAY_API, "kind": kind, "name": gateway},
            "jsonPatches": [
                {
                    "type": _LISTENER,
                    "name": name if _NEW_SCHEME.fullmatch(name) else f"{placement.namespace}/{gateway}/{name}",
                    "operation": {"op": "add", "jsonPath": place, "path": path, "value": value},
                }
                for name in placement.listeners
                for path, value in _PATHS
            ],
        }

    def filters(self, spec: Document) -> list[Document]:  # noqa: ARG002
        return []

    def source(self, part: Document) -> Document:
        return part

    def fails_open(self, part: Document) -> bool:  # noqa: ARG002
        return False

    def cautions(self, spec: Document) -> Iterator[str]:
        yield from super().cautions(spec)
        yield (
            "an EnvoyPatchPolicy depends on the names in the configuration that Envoy Gateway makes. It warns that it"
            " may stop working with a new release; try it again at each upgrade"
        )
        yield (
            "EnvoyPatchPolicy requires Envoy Gateway with extensionApis.enableEnvoyPatchPolicy; listeners of a Gateway"
            " with the same port share the name of the first, and with XDSNameSchemeV2 (the default from 1.10) their"
            " name is tcp-PORT"
        )

    def needs(self, spec: Document) -> Iterator[tuple[str, str]]:
        if any(held_headers.OPTION in str(patch["operation"].get("path")) for patch in spec.get("jsonPatches", ())):
            yield "1.6", f"{held_headers.OPTION}, so the patched listener is refused"
