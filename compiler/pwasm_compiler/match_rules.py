"""Higress's rules as the compiler sees them: `_rules_` in a plugin's configuration, `matchRules` in a WasmPlugin.

The filter's side, with what each condition means, is sdk/pwasm/_config/rules.py. Source: alibaba/higress,
pkg/ingress/config/ingress_config.go (`convertIstioWasmPlugin`); higress-group/wasm-go, pkg/matcher/rule_matcher.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

RULES = "_rules_"
FIELDS = {"ingress": "_match_route_", "domain": "_match_domain_", "service": "_match_service_"}
"""Field of a rule in `matchRules` → the condition that Higress makes of it."""
_SUFFICIENT = (*FIELDS.values(), "_match_route_prefix_")
_ONLY_IN_RULES = ("_match_route_prefix_", "_match_consumer_")
"""Conditions for which `matchRules` has no field."""

Config = Mapping[str, Any]


def configurations(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """The configurations in a whole one, each as the filter sees it, with their paths; the default first, if any."""
    default = {name: value for name, value in config.items() if name != RULES}
    if default or not config.get(RULES):
        yield "", default
    for at, rule in enumerate(config.get(RULES) or ()):
        yield f"{RULES}[{at}]", {name: value for name, value in rule.items() if not _is_condition(name)}


def problems_in_rules(config: Config, at: str) -> list[str]:
    """What is wrong with `_rules_`, apart from the configurations in it."""
    rules = config.get(RULES)
    if rules is None:
        return []
    if not isinstance(rules, list):
        return [f"{at}.{RULES} must be a list"]
    found = []
    for number, rule in enumerate(rules):
        where = f"{at}.{RULES}[{number}]"
        if not isinstance(rule, dict):
            found.append(f"{where} must be a mapping")
        elif not any(rule.get(name) for name in _SUFFICIENT):
            found.append(f"{where} has no condition, that is, none of {', '.join(_SUFFICIENT)}")
    return found


def to_match_rules(rules: Sequence[Config]) -> list[dict[str, Any]] | None:
    """`matchRules` of which Higress makes these `_rules_`; None if one has a condition that these have no field for."""
    if any(name in rule for rule in rules for name in _ONLY_IN_RULES):
        return None
    return [
        {
            **{field: _texts(rule[name]) for field, name in FIELDS.items() if rule.get(name)},
            "config": {name: value for name, value in rule.items() if not _is_condition(name)},
        }
        for rule in rules
    ]


def cautions(rules: Sequence[Config]) -> Iterator[str]:
    """Warnings about `matchRules` that are valid, but not what somebody may have meant."""
    seen: list[str] = []
    for at, rule in enumerate(rules):
        if rule.get("configDisable"):
            continue
        where = f"spec.matchRules[{at}]"
        counts = ["ingress", "service"] if rule.get("ingress") else ["domain"] if rule.get("domain") else ["service"]
        for field in FIELDS:
            if rule.get(field) and field not in counts:
                yield f"{where}: {field} does not count beside {counts[0]}"
        domains = rule.get("domain", []) if counts == ["domain"] else []
        for domain in domains:
            if ":" in domain.rpartition("]")[2]:
                yield f"{where}: '{domain}' is compared with hosts without their port: hardly any is alike"
        if domains and all(any(_covers(before, domain) for before in seen) for domain in domains):
            yield f"{where} never applies: the first rule that matches counts, and earlier ones match all of its hosts"
        seen += domains


def _covers(pattern: str, other: str) -> bool:
    """Whether every host of `other` is one of `pattern`."""
    pattern, other = pattern.lower(), other.lower()
    if pattern.startswith("*"):
        return other.endswith(pattern[1:]) and (pattern == "*" or not other.endswith("*") or other.startswith("*"))
    if pattern.endswith("*"):
        return other.startswith(pattern[:-1]) and not other.startswith("*")
    return other == pattern


def _texts(given: Any) -> list[str]:
    return given if isinstance(given, list) else [given]


def _is_condition(name: str) -> bool:
    return name.startswith("_match_")
