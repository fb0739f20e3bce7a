"""Higress's WasmPlugin: like Istio's, but without targets and with matching rules of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pwasm_compiler.kube.istio import IMAGE_URL, LISTENERS_ONLY_FOR_HELD, PRIORITIES, WasmPluginApi, environment_rule
from pwasm_compiler.kube.schemas import SHA256, Schema, integer, text

_FAIL_STRATEGIES = ("FAIL_CLOSE", "FAIL_OPEN")
_RULES_HINT = "Higress applies a plugin to its whole gateway; restrict it with matchRules"
_UNSUPPORTED = {
    **dict.fromkeys(("selector", "targets", "match"), _RULES_HINT),
    "type": "it supports HTTP filters only",
    "ca": "its proxies verify registries with the certificates of their own image",
    **LISTENERS_ONLY_FOR_HELD,
}


class HigressWasmPlugin(WasmPluginApi):
    """Has the same name as Istio's, but belongs to another API."""

    name = "HigressWasmPlugin"
    api_version = "extensions.higress.io/v1alpha1"
    kind = "WasmPlugin"
    resource = "wasmplugins.extensions.higress.io"
    product = "Higress"
    tighter: ClassVar[Mapping[str, Schema]] = {
        # Its CRD leaves out what Istio's says of the same fields.
        "spec": {"required": ["url"]},
        "spec.url": IMAGE_URL,
        "spec.sha256": SHA256,
        "spec.imagePullSecret": text(1, 253),
        "spec.pluginName": text(1, 256),
        "spec.priority": integer(*PRIORITIES),
        "spec.vmConfig.env[]": {"required": ["name"]},
        "spec.vmConfig.env[].name": text(1, 256),
        "spec.vmConfig.env[].value": text(0, 2048),
    }
    rules = (environment_rule,)
    unsupported = _UNSUPPORTED
    fail_strategies = _FAIL_STRATEGIES
    condition = None
    gateway_service = ("higress-gateway", "higress-system")
