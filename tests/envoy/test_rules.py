"""Higress's rules work alike in CPython, in wasmtime and in Envoy; the filters are those of tests/projects/rules.

The configurations are what Higress makes of a WasmPlugin with `defaultConfig` and `matchRules`.
"""

from __future__ import annotations

from typing import Any

import pytest

from pwasm.testing import World

DOMAINS: list[dict[str, Any]] = [
    {"_match_domain_": ["exact.org", "api.*"], "header": "x-b", "value": "2"},
    {"_match_domain_": ["*.example.com"], "header": "x-c"},
    {"_match_domain_": ["a.example.com"], "header": "x-never"},
]
SERVICE = "outbound|8080||a.dns"
TYPED = {"header": "x-default", "_rules_": DOMAINS}

pytestmark = pytest.mark.pwasm(filter="../projects/rules", configuration=TYPED)


def header(world: World, authority: str, path: str = "/") -> list[str]:
    """What the filter has added to the response for a host."""
    response = world.request("GET", path, {":authority": authority})
    assert (response.status, response.text) == (200, "hello from upstream")
    return [f"{name}: {value}" for name, value in response.headers if name.startswith("x-") and "envoy" not in name]


def test_the_domain_chooses_the_configuration(pwasm_world: World) -> None:
    hosts = ("exact.org", "exact.org:8080", "EXACT.org", "api.b", "a.example.com:80", "example.com", "[::1]:80")
    found = [header(pwasm_world, host) for host in hosts]
    assert found == [
        *[["x-b: 2"]] * 4,
        ["x-c: 1"],
        *[["x-default: 1"]] * 2,
    ]


@pytest.mark.pwasm(configuration={"_rules_": DOMAINS})
def test_without_a_default_other_requests_are_not_filtered(pwasm_world: World) -> None:
    assert [header(pwasm_world, host) for host in ("example.com", "exact.org", "b.org")] == [[], ["x-b: 2"], []]


@pytest.mark.pwasm(
    route_name="default/foo",
    configuration={
        "_rules_": [
            {"_match_route_": ["default/fo"], "header": "x-no"},
            {"_match_route_prefix_": ["default/foo"], "_match_consumer_": ["anna"], "header": "x-anna"},
            {"_match_route_": ["default/foo"], "_match_service_": ["b.dns"], "header": "x-no"},
            {"_match_route_": ["default/foo"], "_match_domain_": ["b.org"], "header": "x-route"},
        ]
    },
)
def test_the_route_chooses_it(pwasm_world: World) -> None:
    assert header(pwasm_world, "a.org") == ["x-route: 1"]
    response = pwasm_world.request("GET", "/", {"x-mse-consumer": "anna"})
    assert response.headers.get("x-anna") == "1"
    assert any("_match_domain_ does not count beside the others" in text for text in pwasm_world.logs())


@pytest.mark.pwasm(
    cluster_name=SERVICE,
    configuration={
        "_rules_": [
            {"_match_service_": ["a.dns:80", "b.dns"], "header": "x-no"},
            {"_match_service_": ["a.dns:8080"], "header": "x-service"},
        ]
    },
)
def test_the_service_chooses_it(pwasm_world: World) -> None:
    assert header(pwasm_world, "a.org") == ["x-service: 1"]


@pytest.mark.pwasm(
    root_id="untyped",
    configuration={
        "_rules_": [{"_match_domain_": ["a.org"], "header": "one"}, {"_match_domain_": ["b.org"], "header": "two"}]
    },
    fresh=True,
)
def test_a_filter_that_reads_its_configuration_itself(pwasm_world: World) -> None:
    answers = [
        pwasm_world.request("GET", "/", {":authority": host}).text for host in ("a.org", "b.org", "c.org", "a.org")
    ]
    assert answers == [f"hello from upstream{more}" for more in (", one 1", ", two 1", "", ", one 2")]
    pwasm_world.eventually(lambda: len([text for text in pwasm_world.logs() if "done with" in text]) == 3, "the ends")
    assert [text for text in pwasm_world.logs() if "request for" in text] == [
        f"request for {name}" for name in ("one", "two", "one")
    ]


@pytest.mark.pwasm(starts=False, configuration={"_rules_": [{"_match_domain_": ["a.org"], "hedder": "x"}]})
def test_a_wrong_rule_is_refused_and_named(pwasm_world: World) -> None:
    assert not pwasm_world.started
    assert any("$._rules_[0].hedder: unknown field; did you mean header?" in text for text in pwasm_world.logs())
