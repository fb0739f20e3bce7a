"""Istio's kinds, WasmPlugin and TrafficExtension; and what Higress adopted from the former."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pwasm_compiler import held_headers, values
from pwasm_compiler.kube.kind import Document, Placement, ResourceKind, given
from pwasm_compiler.kube.schemas import GATEWAY_API, LABELS, Schema, text

MODES = ("UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER")
PRIORITIES = (-(2**31), 2**31 - 1)
_EXACT_IN_A_DOUBLE = 2**53

_TARGETS = {
    "Gateway": GATEWAY_API,
    "GatewayClass": GATEWAY_API,
    "Service": "",
    "ServiceEntry": "networking.istio.io",
}
LISTENERS_ONLY_FOR_HELD = {"listeners": "it selects the listeners of an Envoy Gateway whose headers are to be held"}
IMAGE_URL = text(pattern=r"^(?:(?:oci|https?)://[^\s/]+/\S+|file://\S+|(?![a-z0-9+.-]*://)\S+)$")


def environment_rule(spec: Any) -> str | None:
    """The variable that goes with Envoy's option is not set alone."""
    variables = values.mappings(spec.get("wasm", spec), "vmConfig", "env")
    if any(variable.get("name") == held_headers.VARIABLE for variable in variables):
        return f"{held_headers.VARIABLE} needs {held_headers.OPTION}, which this resource cannot set"
    return None


class WasmPluginApi(ResourceKind):
    """A filter in the vocabulary of WasmPlugin, which other kinds have adopted."""

    default_strategy: str | None = None
    place: ClassVar[str] = "spec"
    """The path of the filter's fields."""

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
            type=placement.type or ("NETWORK" if placement.carries == ("NETWORK",) else None),
            imagePullPolicy=placement.pull_policy,
            imagePullSecret=placement.pull_secret,
            pluginName=placement.root_id,
            failStrategy=placement.fail_strategy or self._strategy(placement.release),
            pluginConfig=placement.plugin_config,
            vmConfig={"env": variables} if variables else None,
        )

    def _strategy(self, release: str | None) -> str | None:
        """The default, where the release has it."""
        nodes = self.releases().get(release or "", {})
        known = nodes.get(f"{self.place}.failStrategy", {}).get("enum", [self.default_strategy])
        return self.default_strategy if self.default_strategy in known else None

    def _target(self, kind: str, name: str) -> Document:
        return given(group=self.targets[kind] or None, kind=kind, name=name)


class IstioKind(WasmPluginApi):
    """A kind that Istio itself reads."""

    api_version = "extensions.istio.io/v1alpha1"
    product = "Istio"
    targets = _TARGETS
    types = ("HTTP", "NETWORK")
    unsupported: ClassVar[Mapping[str, str]] = {
        **LISTENERS_ONLY_FOR_HELD,
        "ca": "Istio's agents verify registries with the certificates of their own image",
    }
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

    def lacks_reload(self, spec: Document, release: str) -> bool:
        unsaid = [part for part in self.filters(spec) if "failStrategy" not in part]
        return bool(unsaid) and self._strategy(release) is None

    def analysis_errors(self, status: Document) -> Iterator[str]:
        for message in values.mappings(status, "validationMessages"):
            if message.get("level") == "ERROR":
                yield f"{values.text(message, 'type', 'code')} {values.text(message, 'documentationUrl')}".strip()


class WasmPlugin(IstioKind):
    """The kind supported by every Istio since 1.12."""

    name = kind = "WasmPlugin"
    resource = "wasmplugins.extensions.istio.io"
    tighter: ClassVar[Mapping[str, Schema]] = {"spec.url": IMAGE_URL, "spec.selector.matchLabels": LABELS}
    rules = (environment_rule,)


class TrafficExtension(IstioKind):
    """The successor of WasmPlugin, with the filter in a nested field."""

    name = kind = "TrafficExtension"
    resource = "trafficextensions.extensions.istio.io"
    instead = "use --kind WasmPlugin"
    place = "spec.wasm"
    tighter: ClassVar[Mapping[str, Schema]] = {"spec.wasm.url": IMAGE_URL, "spec.selector.matchLabels": LABELS}
    rules = (environment_rule,)

    def spec(self, placement: Placement) -> Document:
        return {**self.where(placement), "wasm": self.filter(placement)}

    def filters(self, spec: Document) -> list[Document]:
        return [spec["wasm"]] if "wasm" in spec else []


def _variable(name: str, value: str | None) -> Document:
    return {"name": name, "valueFrom": "HOST"} if value is None else {"name": name, "value": value}


def _inexact(value: Any) -> int | None:
    """An integer in `value` that a double cannot represent."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT_IN_A_DOUBLE:
        return value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for child in children if (found := _inexact(child)) is not None), None)
