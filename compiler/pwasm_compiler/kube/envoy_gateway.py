"""Envoy Gateway's EnvoyExtensionPolicy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pwasm_compiler import held_headers
from pwasm_compiler.errors import UsageError
from pwasm_compiler.kube.kind import Document, Placement, ResourceKind, given
from pwasm_compiler.kube.schemas import GATEWAY_API, LABELS, SHA256, Schema, one_of, text

_ROUTES = ("HTTPRoute", "GRPCRoute", "UDPRoute", "TCPRoute", "TLSRoute")
_TARGET_KINDS = ("Gateway", "ListenerSet", *_ROUTES)
_CODE = "spec.wasm[].code"
_ORDER_HINT = "the order is determined by the filters in the policy and by spec.mergeType"
_UNSUPPORTED = {
    "selector": "choose what it applies to with --target Gateway/NAME or HTTPRoute/NAME",
    "phase": _ORDER_HINT,
    "priority": _ORDER_HINT,
    "match": "use a narrower target",
    "type": "it supports HTTP filters only",
}


def _some_target(spec: Any) -> str | None:
    chosen = [name for name in ("targetRef", "targetRefs", "targetSelectors") if spec.get(name)]
    return None if chosen else "spec must have targetRefs (--target KIND/NAME) or targetSelectors"


def _variable_without_option(spec: Any) -> str | None:
    for item in spec.get("wasm", ()):
        if held_headers.VARIABLE in item.get("env", {}).get("hostKeys", ()):
            return f"{held_headers.VARIABLE} needs {held_headers.OPTION}, which only an EnvoyPatchPolicy can set"
    return None


class EnvoyExtensionPolicy(ResourceKind):
    """A policy with several filters, in Envoy Gateway's own vocabulary."""

    name = kind = "EnvoyExtensionPolicy"
    api_version = "gateway.envoyproxy.io/v1alpha1"
    resource = "envoyextensionpolicies.gateway.envoyproxy.io"
    product = "Envoy Gateway"
    tighter: ClassVar[Mapping[str, Schema]] = {
        "spec.targetSelectors[].matchLabels": LABELS,
        "spec.targetSelectors[].kind": one_of(_TARGET_KINDS),
        "spec.mergeType": one_of(("StrategicMerge", "JSONMerge")),
        "spec.wasm[].name": text(1),
        f"{_CODE}.http.url": text(pattern=r"^https?://[^\s/]+\S*$"),
        f"{_CODE}.http.sha256": SHA256,
        f"{_CODE}.image.url": text(pattern=r"^(oci://)?[^\s/]+/\S+$"),
        f"{_CODE}.image.sha256": SHA256,
        f"{_CODE}.image.pullSecretRef.group": one_of(("",)),
    }
    rules = (_some_target, _variable_without_option)
    targets = dict.fromkeys(_TARGET_KINDS, GATEWAY_API)
    unsupported = _UNSUPPORTED
    fail_strategies = ("FAIL_CLOSE", "FAIL_OPEN")
    condition = "Accepted"
    admin_port = 19000
    delivered_as = r"envoy\.filters\.http\.wasm/envoyextensionpolicy/{namespace}/{name}/wasm/\d+"
    needs_gateway_api = True
    held_by = "EnvoyPatchPolicy"
    held_beside = True

    def refuse(self, placement: Placement) -> None:
        super().refuse(placement)
        if placement.listeners and not placement.hold_headers:
            raise UsageError("--listener has no effect, because headers are not held", hint="add --hold-headers")
        if any(value is not None for value in (placement.environment or {}).values()):
            raise UsageError(
                "Envoy Gateway can only pass variables from its proxy's environment",
                hint="use --env NAME without a value, or --plugin-config",
            )

    def spec(self, placement: Placement) -> Document:
        wasm = given(
            name=placement.name,
            rootID=placement.root_id,
            code=_code(placement),
            config=placement.plugin_config,
            failOpen=None if placement.fail_strategy is None else placement.fail_strategy == "FAIL_OPEN",
            env={"hostKeys": list(placement.environment)} if placement.environment else None,
        )
        targets = [{"group": self.targets[kind], "kind": kind, "name": name} for kind, name in placement.targets]
        return {"targetRefs": targets, "wasm": [wasm]} if targets else {"wasm": [wasm]}

    def filters(self, spec: Document) -> list[Document]:
        return list(spec.get("wasm", ()))

    def source(self, part: Document) -> Document:
        found: Document = part["code"].get("image") or part["code"]["http"]
        return found

    def fails_open(self, part: Document) -> bool:
        return bool(part.get("failOpen"))


def _code(placement: Placement) -> Document:
    tls = None
    if placement.ca:
        tls = {"caCertificateRef": {"kind": placement.ca[0], "name": placement.ca[1]}}
    if placement.url.startswith(("http://", "https://")):
        if placement.pull_secret:
            raise UsageError(
                "Envoy Gateway does not use a secret for a module at a URL",
                hint="use an image for a private module",
            )
        code: Document = {"type": "HTTP", "http": given(url=placement.url, sha256=placement.pin, tls=tls)}
    else:
        secret = {"kind": "Secret", "name": placement.pull_secret} if placement.pull_secret else None
        url = placement.url.removeprefix("oci://")
        code = {"type": "Image", "image": given(url=url, sha256=placement.pin, pullSecretRef=secret, tls=tls)}
    return code | given(pullPolicy=placement.pull_policy)
