"""Envoy Gateway's EnvoyExtensionPolicy."""

from __future__ import annotations

from typing import Any

from pwasm_compiler import held_headers
from pwasm_compiler.errors import UsageError
from pwasm_compiler.kube.kind import Document, Placement, ResourceKind, given
from pwasm_compiler.kube.schemas import (
    ANY,
    DNS_NAME,
    GATEWAY_API,
    LABELS,
    OBJECT,
    SHA256,
    STRINGS,
    many,
    one_of,
    record,
    text,
)

_ROUTES = ("HTTPRoute", "GRPCRoute", "UDPRoute", "TCPRoute", "TLSRoute")
_TARGET_KINDS = ("Gateway", "ListenerSet", *_ROUTES)
_TARGET = record(
    "group", "kind", "name",
    group=one_of((GATEWAY_API,)), kind=one_of(_TARGET_KINDS), name=text(1, 253), sectionName=text(1, 253, DNS_NAME),
)  # fmt: skip
_EXPRESSION = record("key", "operator", key=text(1), operator=text(1), values=STRINGS)
_CA = record(
    "caCertificateRef",
    caCertificateRef=record("name", group=text(), kind=text(1), name=text(1, 253), namespace=text(1, 63)),
)
_SECRET = record("name", group=one_of(("",)), kind=one_of(("Secret",)), name=text(1, 253), namespace=text(1, 63))
_WASM = record(
    "code",
    name=text(1),
    rootID=text(),
    code=record(
        "type",
        type=one_of(("HTTP", "Image")),
        http=record("url", url=text(1, pattern=r"^https?://[^\s/]+\S*$"), sha256=SHA256, tls=_CA),
        image=record(
            "url", url=text(1, pattern=r"^(oci://)?[^\s/]+/\S+$"), sha256=SHA256, pullSecretRef=_SECRET, tls=_CA
        ),
        pullPolicy=one_of(("IfNotPresent", "Always")),
    ),
    config=ANY,
    failOpen={"type": "boolean"},
    env=record(hostKeys=STRINGS),
)
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
    if not chosen:
        return "spec must have targetRefs (--target KIND/NAME) or targetSelectors"
    both = chosen[:2] == ["targetRef", "targetRefs"]
    return "spec must not have both targetRef and targetRefs" if both else None


def _code_of_its_type(spec: Any) -> str | None:
    for number, item in enumerate(spec.get("wasm", ())):
        if held_headers.VARIABLE in item.get("env", {}).get("hostKeys", ()):
            return f"{held_headers.VARIABLE} needs {held_headers.OPTION}, which only an EnvoyPatchPolicy can set"
        code = item["code"]
        wanted = {"HTTP": "http", "Image": "image"}[code["type"]]
        if {"http", "image"} & set(code) != {wanted}:
            return f"spec.wasm[{number}].code is of type {code['type']} and must have exactly the field {wanted}"
    return None


class EnvoyExtensionPolicy(ResourceKind):
    """A policy with several filters, in Envoy Gateway's own vocabulary."""

    name = kind = "EnvoyExtensionPolicy"
    api_version = "gateway.envoyproxy.io/v1alpha1"
    resource = "envoyextensionpolicies.gateway.envoyproxy.io"
    product = "Envoy Gateway"
    schema = record(
        targetRef=_TARGET,
        targetRefs=many(_TARGET, 16),
        targetSelectors=many(
            record(
                "kind",
                group=one_of((GATEWAY_API,)), kind=one_of(_TARGET_KINDS),
                matchLabels=LABELS, matchExpressions=many(_EXPRESSION),
            )
        ),
        mergeType=one_of(("StrategicMerge", "JSONMerge")),
        wasm=many(_WASM, 16),
        extProc=many(OBJECT, 16),
        lua=many(OBJECT, 16),
        dynamicModule=many(OBJECT, 16),
    )  # fmt: skip
    rules = (_some_target, _code_of_its_type)
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
    if placement.url.startswith(("http://", "https://")):
        if placement.pull_secret:
            raise UsageError(
                "Envoy Gateway does not use a secret for a module at a URL",
                hint="use an image for a private module",
            )
        code: Document = {"type": "HTTP", "http": given(url=placement.url, sha256=placement.pin)}
    else:
        secret = {"kind": "Secret", "name": placement.pull_secret} if placement.pull_secret else None
        url = placement.url.removeprefix("oci://")
        code = {"type": "Image", "image": given(url=url, sha256=placement.pin, pullSecretRef=secret)}
    return code | given(pullPolicy=placement.pull_policy)
