"""Who configured an Envoy, and what of a filter's configuration can be set there.

What a product's API cannot express is no problem that its user could solve, so `status` does not report it as one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pwasm_compiler.envoy.wasm_filter import RELOAD_SINCE
from pwasm_compiler.values import get, list_of

_FAIL_RELOAD_IN_ISTIO = (1, 27)
"""The first Istio whose failStrategy has it (`kube`)."""
# internal/xds/translator of Envoy Gateway 1.1 to 1.9.0 names the filter after the policy
_OF_ENVOY_GATEWAY = re.compile(r"^envoy\.filters\.http\.wasm/envoyextensionpolicy/")
# Higress serves its plugins to its own istiod in its namespace; Istio up to 1.18 misspelt the prefix
_OF_HIGRESS = re.compile(r"^exten[st]*ions\.istio\.io/\w+/higress-system\.")
_OF_ISTIO = re.compile(r"^exten[st]*ions\.istio\.io/")


@dataclass(frozen=True)
class Product:
    """The product that configured a filter."""

    name: str
    reload: str | None
    """How to have a crashed VM replaced; None if the product's API has no way to say so."""
    no_reload: str = ""
    """Why not."""


ENVOY_GATEWAY = Product("Envoy Gateway", None, "an EnvoyExtensionPolicy cannot set FAIL_RELOAD")
HIGRESS = Product("Higress", None, "a WasmPlugin of Higress cannot set FAIL_RELOAD")
OLD_ISTIO = Product("Istio", None, "FAIL_RELOAD needs Istio 1.27")
ISTIO = Product("Istio", "set failStrategy FAIL_RELOAD (Istio 1.27 or later)")
OLD_ENVOY = Product("Envoy", None, "FAIL_RELOAD needs Envoy 1.33")
ENVOY = Product("Envoy", "set failure_policy FAIL_RELOAD")


@dataclass(frozen=True)
class Host:
    """What an Envoy says about itself in its node."""

    envoy: str | None
    istio: str | None


def host_of(dump: dict[str, Any]) -> Host:
    """The Envoy's version, and its Istio's."""
    for config in list_of(dump.get("configs")):
        node = get(config, "bootstrap", "node")
        number = get(node, "user_agent_build_version", "version")
        metadata = get(node, "metadata")
        istio = metadata.get("ISTIO_VERSION") if isinstance(metadata, dict) else None
        if isinstance(number, dict) or istio is not None:
            parts = [str(get(number, name) or 0) for name in ("major_number", "minor_number", "patch")]
            return Host(".".join(parts) if isinstance(number, dict) else None, None if istio is None else str(istio))
    return Host(None, None)


def product_of(entry: str, host: Host) -> Product:
    """The product that wrote the filter with this name in a list of filters."""
    if _OF_ENVOY_GATEWAY.search(entry):
        return ENVOY_GATEWAY
    if _OF_HIGRESS.search(entry):
        return HIGRESS
    if host.istio is not None or _OF_ISTIO.search(entry):
        return OLD_ISTIO if _before(host.istio, _FAIL_RELOAD_IN_ISTIO) else ISTIO
    return OLD_ENVOY if _before(host.envoy, RELOAD_SINCE) else ENVOY


def _before(version: str | None, first: tuple[int, int]) -> bool:
    """Whether a version is known to be older."""
    numbers = re.match(r"v?(\d+)\.(\d+)", version or "")
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < first
