"""What Kubernetes lets these resources say, as JSON schemas in which an unknown field is an error.

API servers drop unknown fields, or keep them unread; `failStrategey` would leave a filter failing closed. The fields
and limits are those of the custom resource definitions of Istio, Envoy Gateway and Higress as of August 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

ISTIO = "extensions.istio.io/v1alpha1"
HIGRESS = "extensions.higress.io/v1alpha1"
ENVOY_GATEWAY = "gateway.envoyproxy.io/v1alpha1"
GATEWAY_API = "gateway.networking.k8s.io"

DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
PHASES = ("UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS")
PULL_POLICIES = ("UNSPECIFIED_POLICY", "IfNotPresent", "Always")
FAIL_STRATEGIES = ("FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD")
MODES = ("UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER")
TYPES = ("UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK")

INT32 = 2**31


@dataclass(frozen=True)
class Kind:
    """One kind of resource that carries a filter."""

    api_version: str
    kind: str
    schema: Schema
    resource: str
    """How kubectl names it without doubt."""
    product: str
    condition: str | None
    """The status condition that says it is in force; None where the product writes none."""
    always_written: bool
    """Whether the product writes the condition as it comes: Istio has to be told to."""
    targets: dict[str, str]
    """Kind of a target → its API group."""
    rules: tuple[Callable[[Any], str | None], ...] = ()
    """What a schema cannot say; each takes the spec and answers with a sentence, or None."""


def record(*required: str, **fields: Schema) -> Schema:
    """An object with these fields and no others."""
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def text(low: int = 0, high: int | None = None, pattern: str | None = None) -> Schema:
    """A string of so many characters."""
    schema: Schema = {"type": "string", "minLength": low}
    if high is not None:
        schema["maxLength"] = high
    if pattern is not None:
        schema["pattern"] = pattern
    return schema


def one_of(words: Sequence[str]) -> Schema:
    """One of these words."""
    return {"enum": list(words)}


def many(item: Schema, high: int | None = None) -> Schema:
    """A list of such items."""
    schema: Schema = {"type": "array", "items": item}
    if high is not None:
        schema["maxItems"] = high
    return schema


def integer(low: int, high: int) -> Schema:
    """An integer from `low` to `high`."""
    return {"type": "integer", "minimum": low, "maximum": high}


ANY: Schema = {}
OBJECT: Schema = {"type": "object"}
STRINGS: Schema = many(text())
LABELS: Schema = {
    "type": "object",
    "propertyNames": {"pattern": r"^([^/\s]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"},
    "additionalProperties": text(0, 63, r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"),
}
SHA256 = text(pattern=r"^$|^[a-f0-9]{64}$")
WASM_URL = text(1, pattern=r"^(?:(?:oci|https?)://[^\s/]+/\S+|file://\S+|(?![a-z0-9+.-]*://)\S+)$")
METADATA = record(
    "name",
    name=text(1, 253, DNS_NAME),
    namespace=text(1, 63, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
    labels=LABELS,
    annotations={"type": "object", "additionalProperties": text()},
)
ENVIRONMENT = record("name", name=text(1, 256), value=text(0, 2048), valueFrom=one_of(("INLINE", "HOST")))
TARGET = record(
    "kind",
    "name",
    group=text(0, 253, r"^$|" + DNS_NAME),
    kind=text(1, 63, r"^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$"),
    name=text(1, 253),
    namespace=text(0, 0),
)
MATCH = record(mode=one_of(MODES), ports=many(record("number", number=integer(1, 65535))))
_WASM_FIELDS: dict[str, Schema] = {
    "url": WASM_URL,
    "sha256": SHA256,
    "imagePullPolicy": one_of(PULL_POLICIES),
    "imagePullSecret": text(1, 253),
    "verificationKey": text(),
    "pluginConfig": OBJECT,
    "pluginName": text(1, 256),
    "failStrategy": one_of(FAIL_STRATEGIES),
    "vmConfig": record(env=many(ENVIRONMENT, 256)),
    "type": one_of(TYPES),
}
_WHERE_FIELDS: dict[str, Schema] = {
    "selector": record(matchLabels=LABELS),
    "targetRefs": many(TARGET, 16),
    "phase": one_of(PHASES),
    "priority": integer(-INT32, INT32 - 1),
    "match": many(MATCH),
}
WASM_PLUGIN = record("url", targetRef=TARGET, **_WHERE_FIELDS, **_WASM_FIELDS)
TRAFFIC_EXTENSION = record(
    **_WHERE_FIELDS,
    wasm=record("url", **_WASM_FIELDS),
    lua=record("inlineCode", inlineCode=text(1, 65536)),
)
HIGRESS_WASM_PLUGIN = record(
    "url",
    **{name: _WHERE_FIELDS[name] for name in ("phase", "priority")},
    **{name: schema for name, schema in _WASM_FIELDS.items() if name not in ("type", "failStrategy")},
    failStrategy=one_of(("FAIL_CLOSE", "FAIL_OPEN")),
    defaultConfig=OBJECT,
    defaultConfigDisable={"type": "boolean"},
    matchRules=many(
        record(
            ingress=STRINGS, domain=STRINGS, service=STRINGS, config=OBJECT, configDisable={"type": "boolean"},
            routeType=one_of(("HTTP", "GRPC")),
        )
    ),
)  # fmt: skip
_ROUTES = ("HTTPRoute", "GRPCRoute", "UDPRoute", "TCPRoute", "TLSRoute")
_GATEWAY_KINDS = ("Gateway", "ListenerSet", *_ROUTES)
_POLICY_TARGET = record(
    "group", "kind", "name",
    group=one_of((GATEWAY_API,)), kind=one_of(_GATEWAY_KINDS), name=text(1, 253), sectionName=text(1, 253, DNS_NAME),
)  # fmt: skip
_EXPRESSION = record("key", "operator", key=text(1), operator=text(1), values=STRINGS)
_CA = record(
    "caCertificateRef",
    caCertificateRef=record("name", group=text(), kind=text(1), name=text(1, 253), namespace=text(1, 63)),
)
_SECRET = record("name", group=one_of(("",)), kind=one_of(("Secret",)), name=text(1, 253), namespace=text(1, 63))
_POLICY_WASM = record(
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
)  # fmt: skip
ENVOY_EXTENSION_POLICY = record(
    targetRef=_POLICY_TARGET,
    targetRefs=many(_POLICY_TARGET, 16),
    targetSelectors=many(
        record(
            "kind",
            group=one_of((GATEWAY_API,)), kind=one_of(_GATEWAY_KINDS),
            matchLabels=LABELS, matchExpressions=many(_EXPRESSION),
        )
    ),
    mergeType=one_of(("StrategicMerge", "JSONMerge")),
    wasm=many(_POLICY_WASM, 16),
    extProc=many(OBJECT, 16),
    lua=many(OBJECT, 16),
    dynamicModule=many(OBJECT, 16),
)  # fmt: skip


def _one_place(spec: Any) -> str | None:
    chosen = [name for name in ("selector", "targetRef", "targetRefs") if name in spec]
    return f"spec has {' and '.join(chosen)}, and may have one of them" if len(chosen) > 1 else None


def _wasm_or_lua(spec: Any) -> str | None:
    return None if ("wasm" in spec) != ("lua" in spec) else "spec must have exactly one of wasm and lua"


def _environment(spec: Any) -> str | None:
    variables = spec.get("wasm", spec).get("vmConfig", {}).get("env", ())
    names = [variable["name"] for variable in variables]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return f"the environment variable {twice} is there twice"
    wrong = next((v["name"] for v in variables if v.get("valueFrom") == "HOST" and "value" in v), None)
    return f"the environment variable {wrong} has a value, and valueFrom HOST" if wrong else None


def _some_target(spec: Any) -> str | None:
    given = [name for name in ("targetRef", "targetRefs", "targetSelectors") if spec.get(name)]
    if not given:
        return "spec must have targetRefs (--target KIND/NAME) or targetSelectors"
    return (
        "spec has targetRef and targetRefs, and may have one of them"
        if given[:2] == ["targetRef", "targetRefs"]
        else None
    )


def _code_of_its_type(spec: Any) -> str | None:
    for number, item in enumerate(spec.get("wasm", ())):
        code = item["code"]
        wanted = {"HTTP": "http", "Image": "image"}[code["type"]]
        if {"http", "image"} & set(code) != {wanted}:
            return f"spec.wasm[{number}].code is of type {code['type']} and must have {wanted}, and not the other"
    return None


ISTIO_TARGETS = {
    "Gateway": GATEWAY_API, "GatewayClass": GATEWAY_API, "Service": "", "ServiceEntry": "networking.istio.io",
}  # fmt: skip
KINDS = {
    # the name on the command line: HigressWasmPlugin is not what Higress calls it, but two kinds have that name
    "WasmPlugin": Kind(
        ISTIO, "WasmPlugin", WASM_PLUGIN, "wasmplugins.extensions.istio.io", "Istio",
        condition="Reconciled", always_written=False, targets=ISTIO_TARGETS, rules=(_one_place, _environment),
    ),
    "TrafficExtension": Kind(
        ISTIO, "TrafficExtension", TRAFFIC_EXTENSION, "trafficextensions.extensions.istio.io", "Istio",
        condition="Reconciled", always_written=False, targets=ISTIO_TARGETS,
        rules=(_one_place, _wasm_or_lua, _environment),
    ),
    "EnvoyExtensionPolicy": Kind(
        ENVOY_GATEWAY, "EnvoyExtensionPolicy", ENVOY_EXTENSION_POLICY,
        "envoyextensionpolicies.gateway.envoyproxy.io", "Envoy Gateway",
        condition="Accepted", always_written=True, targets=dict.fromkeys(_GATEWAY_KINDS, GATEWAY_API),
        rules=(_some_target, _code_of_its_type),
    ),
    "HigressWasmPlugin": Kind(
        HIGRESS, "WasmPlugin", HIGRESS_WASM_PLUGIN, "wasmplugins.extensions.higress.io", "Higress",
        condition=None, always_written=False, targets={}, rules=(_environment,),
    ),
}  # fmt: skip
