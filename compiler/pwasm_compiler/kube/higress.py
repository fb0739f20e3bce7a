"""Higress's WasmPlugin: like Istio's, but without targets and with matching rules of its own.

Higress makes the plugin's configuration of `defaultConfig` and `matchRules`; with `pluginConfig` it ignores both.
Source: alibaba/higress, pkg/ingress/config/ingress_config.go (`convertIstioWasmPlugin`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pwasm_compiler import match_rules
from pwasm_compiler.kube.istio import IMAGE_URL, LISTENERS_ONLY_FOR_HELD, PRIORITIES, WasmPluginApi, environment_rule
from pwasm_compiler.kube.kind import Document, Placement, given
from pwasm_compiler.kube.schemas import SHA256, Schema, integer, text

_FAIL_STRATEGIES = ("FAIL_CLOSE", "FAIL_OPEN")
_RULES_HINT = "Higress applies a plugin to its whole gateway; _rules_ in --plugin-config (matchRules) restrict it"
_UNSUPPORTED = {
    **dict.fromkeys(("selector", "targets", "match"), _RULES_HINT),
    "type": "it supports HTTP filters only",
    "ca": "its proxies verify registries with the certificates of their own image",
    **LISTENERS_ONLY_FOR_HELD,
}


def _one_configuration(spec: Any) -> str | None:
    ignored = [name for name in ("defaultConfig", "matchRules") if name in spec]
    if "pluginConfig" not in spec or not ignored:
        return None
    return f"spec.pluginConfig makes Higress ignore {' and '.join(ignored)}; put its content into defaultConfig"


def _complete_rules(spec: Any) -> str | None:
    for at, rule in enumerate(spec.get("matchRules", ())):
        if rule.get("configDisable"):
            continue
        where = f"spec.matchRules[{at}]"
        if not any(rule.get(name) for name in match_rules.FIELDS):
            return f"{where} needs one of {', '.join(match_rules.FIELDS)}, or Higress ignores the whole resource"
        wrong = next((name for name in rule.get("config", ()) if name.startswith(("_match_", "_rules_"))), None)
        if wrong is not None:
            return f"{where}.config.{wrong} belongs into {', '.join(match_rules.FIELDS)}, of which Higress makes it"
    return None


def _rules_in_one_place(spec: Any) -> str | None:
    default = spec.get("defaultConfig", {})
    if match_rules.RULES in default and spec.get("matchRules"):
        return f"Higress replaces spec.defaultConfig.{match_rules.RULES} by the matchRules; keep one of them"
    found = match_rules.problems_in_rules(default, "spec.defaultConfig")
    return found[0] if found else None


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
    rules = (environment_rule, _one_configuration, _complete_rules, _rules_in_one_place)
    unsupported = _UNSUPPORTED
    fail_strategies = _FAIL_STRATEGIES
    condition = None
    gateway_service = ("higress-gateway", "higress-system")

    def spec(self, placement: Placement) -> Document:
        spec = super().spec(placement)
        config = spec.pop("pluginConfig", None)
        return spec if config is None else {**spec, **_configuration(config)}

    def cautions_of_filter(self, part: Document) -> Iterator[str]:
        rules = part.get("matchRules", [])
        # What the base says about `pluginConfig` is about all configurations that Higress passes.
        everything = [part.get(name) for name in ("pluginConfig", "defaultConfig", "matchRules")]
        yield from super().cautions_of_filter({**part, "pluginConfig": everything})
        yield from match_rules.cautions(rules)
        if part.get("defaultConfigDisable") and all(rule.get("configDisable") for rule in rules):
            yield "Higress does not load the plugin: defaultConfigDisable is true, and no rule is enabled"


def _configuration(config: Document) -> Document:
    """The fields of which Higress makes this configuration."""
    rules = config.get(match_rules.RULES) or []
    found = match_rules.problems_in_rules(config, "the configuration")
    converted = None if found else match_rules.to_match_rules(rules)
    if not converted:
        return {"defaultConfig": config}  # without rules, or with such as `matchRules` cannot express
    default = {name: value for name, value in config.items() if name != match_rules.RULES}
    disabled = None if default else True
    return given(defaultConfig=default or None, defaultConfigDisable=disabled, matchRules=converted)
