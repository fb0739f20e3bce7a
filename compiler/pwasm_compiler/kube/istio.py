"""Istio's kinds, WasmPlugin and TrafficExtension; and what Higress adopted from the former."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pwasm_compiler import held_headers
from pwasm_compiler.kube.kind import FAIL_STRATEGIES, Document, Placement, ResourceKind, given
from pwasm_compiler.kube.schemas import (
    DNS_NAME,
    GATEWAY_API,
    LABELS,
    OBJECT,
    SHA256,
    Schema,
    integer,
    many,
    one_of,
    record,
    text,
)

MODES = ("UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER")
PRIORITIES = (-(2**31), 2**31 - 1)
_PHASES = ("UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS")
_PULL_POLICIES = ("UNSPECIFIED_POLICY", "IfNotPresent", "Always")
_TYPES = ("UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK")
_EXACT_IN_A_DOUBLE = 2**53

_VARIABLE = record("name", name=text(1, 256), value=text(0, 2048), valueFrom=one_of(("INLINE", "HOST")))
_TARGET = record(
    "kind",
    "name",
    group=text(0, 253, r"^$|" + DNS_NAME),
    kind=text(1, 63, r"^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$"),
    name=text(1, 253),
    namespace=text(0, 0),
)
_TARGETS = {
    "Gateway": GATEWAY_API,
    "GatewayClass": GATEWAY_API,
    "Service": "",
    "ServiceEntry": "networking.istio.io",
}
LISTENERS_ONLY_FOR_HELD = {"listeners": "it selects the listeners of an Envoy Gateway whose headers are to be held"}
WASM_FIELDS: dict[str, Schema] = {
    "url": text(1, pattern=r"^(?:(?:oci|https?)://[^\s/]+/\S+|file://\S+|(?![a-z0-9+.-]*://)\S+)$"),
    "sha256": SHA256,
    "imagePullPolicy": one_of(_PULL_POLICIES),
    "imagePullSecret": text(1, 253),
    "verificationKey": text(),
    "pluginConfig": OBJECT,
    "pluginName": text(1, 256),
    "failStrategy": one_of(FAIL_STRATEGIES),
    "vmConfig": record(env=many(_VARIABLE, 256)),
    "type": one_of(_TYPES),
}
WHERE_FIELDS: dict[str, Schema] = {
    "selector": record(matchLabels=LABELS),
    "targetRefs": many(_TARGET, 16),
    "phase": one_of(_PHASES),
    "priority": integer(*PRIORITIES),
    "match": many(record(mode=one_of(MODES), ports=many(record("number", number=integer(1, 65535))))),
}


def _one_place(spec: Any) -> str | None:
    chosen = [name for name in ("selector", "targetRef", "targetRefs") if name in spec]
    return f"spec must not have more than one of {' and '.join(chosen)}" if len(chosen) > 1 else None


def _wasm_or_lua(spec: Any) -> str | None:
    return None if ("wasm" in spec) != ("lua" in spec) else "spec must have exactly one of wasm and lua"


def environment_rule(spec: Any) -> str | None:
    """A variable has exactly one value, from one source."""
    variables = spec.get("wasm", spec).get("vmConfig", {}).get("env", ())
    names = [variable["name"] for variable in variables]
    if held_headers.VARIABLE in names:
        return f"{held_headers.VARIABLE} needs {held_headers.OPTION}, which this resource cannot set"
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return f"duplicate environment variable {twice}"
    wrong = next((v["name"] for v in variables if v.get("valueFrom") == "HOST" and "value" in v), None)
    return f"the environment variable {wrong} has both a value and valueFrom HOST" if wrong else None


class WasmPluginApi(ResourceKind):
    """A filter in the vocabulary of WasmPlugin, which other kinds have adopted."""

    default_strategy: str | None = None

    def spec(self, placement: Placement) -> Document:
        return {**self.where(placement), **self.filter(placement)}

    def filters(self, spec: Document) -> list[Document]:
        return [spec]

    def source(self, part: Document) -> Document:
        return part

    def fails_open(self, part: Document) -> bool:
        return part.get("failStrategy") == "FAIL_OPEN"

    def cautions_of_filter(self, part: Document) -> Iterator[str]:
        yield from super().cautions_of_filter(part)
        if part.get("failStrategy") == "FAIL_RELOAD":
            yield "FAIL_RELOAD requires Istio 1.25 or later"
        if (number := _inexact(part.get("pluginConfig"))) is not None:
            yield f"{self.product} passes the number {number} as a double, which loses precision; write it as a string"

    def where(self, placement: Placement) -> Document:
        """The fields that select the traffic the filter sees."""
        return given(
            selector={"matchLabels": dict(placement.selector)} if placement.selector else None,
            targetRefs=[self._target(kind, name) for kind, name in placement.targets] or None,
            phase=placement.phase,
            priority=placement.priority,
            match=[given(mode=mode, ports=[{"number": n} for n in ports] or None) for mode, ports in placement.match]
            or None,
        )

    def filter(self, placement: Placement) -> Document:
        """The fields that identify and configure the filter."""
        variables = [_variable(*item) for item in (placement.environment or {}).items()]
        return given(
            url=placement.url if "://" in placement.url else f"oci://{placement.url}",
            sha256=placement.pin,
            type=placement.type,
            imagePullPolicy=placement.pull_policy,
            imagePullSecret=placement.pull_secret,
            pluginName=placement.root_id,
            failStrategy=placement.fail_strategy or self.default_strategy,
            pluginConfig=placement.plugin_config,
            vmConfig={"env": variables} if variables else None,
        )

    def _target(self, kind: str, name: str) -> Document:
        return given(group=self.targets[kind] or None, kind=kind, name=name)


class IstioKind(WasmPluginApi):
    """A kind that Istio itself reads."""

    api_version = "extensions.istio.io/v1alpha1"
    product = "Istio"
    targets = _TARGETS
    unsupported = LISTENERS_ONLY_FOR_HELD
    held_by = "EnvoyFilter"
    default_strategy = "FAIL_RELOAD"
    """Istio's own default is FAIL_CLOSE: after one crash, 503 until the proxy restarts."""
    condition = None
    """Until 1.22 there was Reconciled, for an istiod that was told to write it: its writer left with 1.23."""
    admin_port = 15000
    delivered_as = r"(?:.*/)?{namespace}\.{name}(?:~.*)?"
    """As `extensions.istio.io/wasmplugin/NAMESPACE.NAME`, misspelt `extenstions` up to 1.25; since 1.30 as a
    TrafficExtension, which for a WasmPlugin ends in `~istio-translated-wasmplugin`."""
    proxy_container = "istio-proxy"
    analysis_command = "istioctl analyze"
    gateway_service = ("istio-ingressgateway", "istio-system")

    def analysis_errors(self, status: Document) -> Iterator[str]:
        for message in status.get("validationMessages") or []:
            if message.get("level") == "ERROR":
                code = (message.get("type") or {}).get("code", "")
                yield f"{code} {message.get('documentationUrl', '')}".strip()


class WasmPlugin(IstioKind):
    """The kind supported by every Istio since 1.12."""

    name = kind = "WasmPlugin"
    resource = "wasmplugins.extensions.istio.io"
    schema = record("url", targetRef=_TARGET, **WHERE_FIELDS, **WASM_FIELDS)
    rules = (_one_place, environment_rule)


class TrafficExtension(IstioKind):
    """The successor of WasmPlugin, with the filter in a nested field."""

    name = kind = "TrafficExtension"
    resource = "trafficextensions.extensions.istio.io"
    schema = record(
        **WHERE_FIELDS,
        wasm=record("url", **WASM_FIELDS),
        lua=record("inlineCode", inlineCode=text(1, 65536)),
    )
    rules = (_one_place, _wasm_or_lua, environment_rule)

    def spec(self, placement: Placement) -> Document:
        return {**self.where(placement), "wasm": self.filter(placement)}

    def filters(self, spec: Document) -> list[Document]:
        return [spec["wasm"]] if "wasm" in spec else []

    def cautions(self, spec: Document) -> Iterator[str]:
        yield from super().cautions(spec)
        yield "TrafficExtension requires Istio 1.30 or later; for older versions use --kind WasmPlugin"


def _variable(name: str, value: str | None) -> Document:
    return {"name": name, "valueFrom": "HOST"} if value is None else {"name": name, "value": value}


def _inexact(value: Any) -> int | None:
    """An integer in `value` that a double cannot represent."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT_IN_A_DOUBLE:
        return value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for child in children if (found := _inexact(child)) is not None), None)
