"""Higress's WasmPlugin: what `manifest` makes of a configuration with rules, and what `--check` knows of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm._config.rules import CONDITIONS, domain
from pwasm_compiler import match_rules
from pwasm_compiler.kube import resources
from pwasm_compiler.kube.resources import ResourceError
from pwasm_compiler.yaml_text import dump, load_all

Pwasm = Callable[..., Any]

PIN = ("--image", "registry.example.com/team/header:v1", "--sha256", "sha256:" + "ab" * 32)
FILTER = """\
from dataclasses import dataclass

import pwasm


@dataclass
class Config:
    header: str = "x-a"
    value: str = "1"


class Header(pwasm.HttpContext):
    config: Config

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_response_header(self.config.header, self.config.value)


pwasm.set_http_context(Header)
"""
ROUTE = {"_match_route_": ["default/foo"], "header": "x-c", "value": "2"}
DOMAIN = {"_match_domain_": ["*.example.com"], "header": "x-d"}
CONFIG = {"header": "x-b", "_rules_": [ROUTE, DOMAIN]}
MATCH_RULES = [
    {"ingress": ["default/foo"], "config": {"header": "x-c", "value": "2"}},
    {"domain": ["*.example.com"], "config": {"header": "x-d"}},
]
WASM = {"url": "oci://r.test/x:1", "sha256": "ab" * 32}


def made(pwasm: Pwasm, config: Any, *more: str) -> dict[str, Any]:
    """The spec that `manifest` prints, without what it says of the image."""
    arguments = ("--name", "header", "--kind", "HigressWasmPlugin", *PIN, "--plugin-config", json.dumps(config))
    result = pwasm("manifest", *arguments, *more, "--json")
    assert result.code == 0, result.err
    spec = json.loads(result.out)["spec"]
    return {name: value for name, value in spec.items() if name not in {"url", "sha256"}}


def refused(spec: dict[str, Any]) -> str:
    """Why a resource with these fields is refused; "" if it is not."""
    document = {
        "apiVersion": "extensions.higress.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "x"},
        "spec": {**WASM, **spec},
    }
    try:
        resources.check(document)
    except ResourceError as error:
        return error.why
    return "\n".join(line for line in resources.cautions(document) if not line.startswith("this requires Higress"))


@pytest.mark.parametrize(
    ("config", "spec"),
    [
        ({"a": 1}, {"defaultConfig": {"a": 1}}),
        ({}, {"defaultConfig": {}}),
        (CONFIG, {"defaultConfig": {"header": "x-b"}, "matchRules": MATCH_RULES}),
        ({"_rules_": [DOMAIN]}, {"defaultConfigDisable": True, "matchRules": MATCH_RULES[1:]}),
        (
            {"_rules_": [{"_match_route_": "r", "_match_service_": ["a.dns:80"]}]},
            {"defaultConfigDisable": True, "matchRules": [{"ingress": ["r"], "service": ["a.dns:80"], "config": {}}]},
        ),
    ],
)
def test_the_configuration_becomes_default_and_rules(
    pwasm: Pwasm, config: dict[str, Any], spec: dict[str, Any]
) -> None:
    assert made(pwasm, config) == spec


def test_what_match_rules_cannot_say_stays_in_the_default(pwasm: Pwasm) -> None:
    config = {"header": "x-b", "_rules_": [DOMAIN, {"_match_route_prefix_": ["api-"], "header": "x-p"}]}
    assert made(pwasm, config) == {"defaultConfig": config}


@pytest.mark.programs
def test_the_filter_decodes_the_configuration_of_each_rule(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "filter.py").write_text(FILTER)
    arguments = ("manifest", "f", "--kind", "HigressWasmPlugin", *PIN, "--plugin-config")
    assert pwasm(*arguments, json.dumps(CONFIG)).code == 0
    wrong = {**CONFIG, "_rules_": [ROUTE, {**DOMAIN, "header": 1, "vlaue": "x"}]}
    result = pwasm(*arguments, json.dumps(wrong))
    assert (result.code, result.out) == (1, "")
    assert "$._rules_[1].header: expected str, got int" in result.err
    assert "$._rules_[1].vlaue: unknown field; did you mean value?" in result.err
    (tmp_path / "conf.json").write_text(json.dumps(CONFIG))
    assert pwasm("schema", "f", "--check", "conf.json").out.strip() == json.dumps(CONFIG)
    (tmp_path / "conf.json").write_text(json.dumps(wrong))
    assert "$._rules_[1].header: expected str, got int" in pwasm("schema", "f", "--check", "conf.json").err


def test_a_schema_is_for_the_configuration_of_each_rule(pwasm: Pwasm, tmp_path: Path) -> None:
    fields = {"header": {"type": "string"}, "value": {"type": "string"}}
    (tmp_path / "s.json").write_text(json.dumps({"properties": fields, "additionalProperties": False}))
    assert "matchRules" in made(pwasm, CONFIG, "--schema", "s.json")
    wrong = {**CONFIG, "_rules_": [{**DOMAIN, "hedder": 1}]}
    arguments = ("--name", "x", "--kind", "HigressWasmPlugin", *PIN, "--schema", "s.json", "--plugin-config")
    result = pwasm("manifest", *arguments, json.dumps(wrong))
    assert (result.code, "_rules_[0]: the configuration has no field 'hedder'" in result.err) == (1, True), result.err


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"_rules_": 1}, "spec.defaultConfig._rules_ must be a list"),
        ({"_rules_": [1]}, "spec.defaultConfig._rules_[0] must be a mapping"),
        ({"_rules_": [{"a": 1}]}, "spec.defaultConfig._rules_[0] has no condition, that is, none of _match_route_,"),
        ({"_rules_": [{"_match_domain_": [1]}]}, "spec.matchRules[0].domain[0]"),
    ],
)
def test_wrong_rules_are_refused(pwasm: Pwasm, config: Any, said: str) -> None:
    arguments = ("--name", "x", "--kind", "HigressWasmPlugin", *PIN, "--plugin-config", json.dumps(config))
    result = pwasm("manifest", *arguments)
    assert (result.code, result.out) == (1, "")
    assert said in result.err


RULE = {"domain": ["a.org"], "config": {}}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"defaultConfig": {"a": 1}, "matchRules": [RULE]}, ""),
        ({"pluginConfig": {"a": 1}}, ""),
        ({"pluginConfig": {}, "defaultConfig": {}}, "spec.pluginConfig makes Higress ignore defaultConfig; put"),
        ({"pluginConfig": {}, "matchRules": [RULE]}, "spec.pluginConfig makes Higress ignore matchRules; put"),
        ({"matchRules": [{"config": {}}]}, "spec.matchRules[0] needs one of ingress, domain, service, or Higress"),
        ({"matchRules": [RULE, {"domain": [], "config": {}}]}, "spec.matchRules[1] needs one of ingress"),
        ({"matchRules": [RULE, {"configDisable": True}]}, ""),
        ({"matchRules": [{**RULE, "config": {"_match_route_": ["a"]}}]}, "config._match_route_ belongs into ingress,"),
        ({"matchRules": [RULE], "defaultConfig": {"_rules_": []}}, "Higress replaces spec.defaultConfig._rules_ by"),
        ({"defaultConfig": {"_rules_": [{"a": 1}]}}, "spec.defaultConfig._rules_[0] has no condition"),
        ({"defaultConfigDisable": True}, "Higress does not load the plugin: defaultConfigDisable is true, and no rule"),
        (
            {"defaultConfigDisable": True, "matchRules": [{**RULE, "configDisable": True}]},
            "Higress does not load the plugin",
        ),
        ({"defaultConfigDisable": True, "matchRules": [RULE]}, ""),
        ({"matchRules": [{**RULE, "ingress": ["a"]}]}, "spec.matchRules[0]: domain does not count beside ingress"),
        ({"matchRules": [{**RULE, "service": ["a"]}]}, "spec.matchRules[0]: service does not count beside domain"),
        ({"matchRules": [{"ingress": ["a"], "service": ["a"], "config": {}}]}, ""),
        ({"matchRules": [{"domain": ["a.org:80"]}]}, "'a.org:80' is compared with hosts without their port"),
        ({"matchRules": [{"domain": ["A.org"]}]}, ""),
        ({"matchRules": [{"domain": ["*"]}, RULE]}, "spec.matchRules[1] never applies: the first rule that matches"),
        ({"matchRules": [RULE, {"domain": ["*"]}]}, ""),
        ({"defaultConfig": {"n": 2**60}}, "Higress passes the number 1152921504606846976 as a double"),
        ({"matchRules": [{**RULE, "config": {"n": 2**60}}]}, "Higress passes the number 1152921504606846976"),
    ],
)
def test_what_the_check_knows(spec: dict[str, Any], said: str) -> None:
    found = refused(spec)
    assert (said in found) if said else not found, found


def test_the_examples_with_match_rules_pass_the_check(pwasm: Pwasm, tmp_path: Path) -> None:
    document = {
        "apiVersion": "extensions.higress.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "header", "namespace": "higress-system"},
        "spec": {"url": "oci://registry.example.com/team/header:v1", "defaultConfig": {"header": "x-b"}},
    }
    document["spec"]["matchRules"] = MATCH_RULES  # type: ignore[index]
    (tmp_path / "hp.yaml").write_text(dump(document))
    result = pwasm("manifest", "--check", "hp.yaml")
    assert result.code == 0, result.err
    assert load_all(result.out) == [document]


PATTERNS = ("*", "*.b", "*b", "a*", "a.*", "a.b", "b", "*a.b", "")
HOSTS = ("a.b", "xa.b", "x.b", "b", "a", "a.", "aa.b", "xb", "x", "")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_rule_that_never_applies_has_no_host_of_its_own(pattern: str) -> None:
    for other in PATTERNS:
        said = [text for text in match_rules.cautions([{"domain": [pattern]}, {"domain": [other]}]) if "never" in text]
        own = [host for host in HOSTS if domain(other).matches(host) and not domain(pattern).matches(host)]
        assert not (said and own), (pattern, other, own)
        assert said or own, (pattern, other)


def test_the_conditions_are_those_of_the_sdk() -> None:
    assert {*match_rules.FIELDS.values(), *match_rules._ONLY_IN_RULES} == set(CONDITIONS)
    assert set(match_rules._SUFFICIENT) == set(CONDITIONS) - {"_match_consumer_"}
