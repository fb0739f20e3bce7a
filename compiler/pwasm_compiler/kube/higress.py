"""Higress's WasmPlugin: like Istio's, but without targets and with matching rules of its own."""

from __future__ import annotations

from pwasm_compiler.kube.istio import (
    LISTENERS_ONLY_FOR_HELD,
    WASM_FIELDS,
    WHERE_FIELDS,
    WasmPluginApi,
    environment_rule,
)
from pwasm_compiler.kube.schemas import OBJECT, STRINGS, many, one_of, record

_FAIL_STRATEGIES = ("FAIL_CLOSE", "FAIL_OPEN")
_RULES_HINT = "Higress applies a plugin to its whole gateway; restrict it with matchRules"
_UNSUPPORTED = {
    **dict.fromkeys(("selector", "targets", "match"), _RULES_HINT),
    "type": "it supports HTTP filters only",
    **LISTENERS_ONLY_FOR_HELD,
}


class HigressWasmPlugin(WasmPluginApi):
    """Has the same name as Istio's, but belongs to another API."""

    name = "HigressWasmPlugin"
    api_version = "extensions.higress.io/v1alpha1"
    kind = "WasmPlugin"
    resource = "wasmplugins.extensions.higress.io"
    product = "Higress"
    schema = record(
        "url",
        **{name: WHERE_FIELDS[name] for name in ("phase", "priority")},
        **{name: schema for name, schema in WASM_FIELDS.items() if name not in ("type", "failStrategy")},
        failStrategy=one_of(_FAIL_STRATEGIES),
        defaultConfig=OBJECT,
        defaultConfigDisable={"type": "boolean"},
        matchRules=many(
            record(
                ingress=STRINGS, domain=STRINGS, service=STRINGS, config=OBJECT, configDisable={"type": "boolean"},
                routeType=one_of(("HTTP", "GRPC")),
            )
        ),
    )  # fmt: skip
    rules = (environment_rule,)
    unsupported = _UNSUPPORTED
    fail_strategies = _FAIL_STRATEGIES
    condition = None
    gateway_service = ("higress-gateway", "higress-system")
