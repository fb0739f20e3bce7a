"""The facts of the products' CRDs, and that what pwasm says about products agrees with them."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from pwasm_compiler.kube import go_urls
from pwasm_compiler.kube.crd_facts import FILE, Nodes, decoded, order, products
from pwasm_compiler.kube.crd_rules import RULES
from pwasm_compiler.kube.istio import MODES
from pwasm_compiler.kube.kind import FAIL_STRATEGIES, ResourceKind
from pwasm_compiler.kube.kinds import KINDS
from tests.support.paths import ROOT

NEWEST = {kind: list(kind.releases().values())[-1] for kind in KINDS.values()}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("crd_facts_tool", ROOT / "tools" / "crd_facts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def first(name: str, has: str, word: str | None = None) -> str:
    """The first release in which the kind has this path, or this word in it."""
    for release, nodes in KINDS[name].releases().items():
        if has in nodes and (word is None or word in json.dumps(nodes[has])):
            return release
    raise AssertionError(has)


@pytest.mark.parametrize(
    ("kind", "path", "word", "release"),
    [
        ("WasmPlugin", "spec.failStrategy", "FAIL_RELOAD", "1.27"),
        ("TrafficExtension", "", None, "1.30"),
        ("EnvoyFilter", "spec.configPatches[].match.waypoint", None, "1.29"),
        ("EnvoyExtensionPolicy", "spec.wasm[].code.image.tls", None, "1.4"),
        ("EnvoyExtensionPolicy", "spec.targetSelectors[].namespaces", None, "1.8"),
        ("EnvoyExtensionPolicy", "spec.mergeType", None, "1.9"),
        ("EnvoyExtensionPolicy", "spec", "ListenerSet", "1.9"),
        ("EnvoyPatchPolicy", "spec.jsonPatches[].operation.jsonPath", None, "1.2"),
        ("HigressWasmPlugin", "spec.failStrategy", None, "2.0"),
        ("HigressWasmPlugin", "spec.matchRules[].routeType", None, "2.2"),
    ],
)
def test_since_which_release(kind: str, path: str, word: str | None, release: str) -> None:
    assert first(kind, path, word) == release


def test_there_are_releases_of_each_product() -> None:
    assert sum(len(product.releases) for product in products().values()) >= 25
    assert {kind.line for kind in KINDS.values()} == set(products())


def test_every_rule_has_a_meaning() -> None:
    there = {
        rule[0]
        for product in products().values()
        for of_release in product.kinds.values()
        for nodes in of_release.values()
        for facts in nodes.values()
        for rule in facts.get("rules", ())
    }
    assert there == set(RULES)


def test_no_text_of_a_crd_is_in_the_data() -> None:
    """CEL and descriptions; a pattern or a default is short."""
    text = FILE.read_text(encoding="utf-8")
    assert not re.search(r"self\.|has\(|description|x-kubernetes", text)


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_what_is_tighter_is_about_fields_that_exist(kind: ResourceKind) -> None:
    assert set(kind.tighter) <= set(NEWEST[kind])


def words(nodes: Nodes, path: str) -> set[str]:
    return set(nodes[path]["enum"])


def test_the_tables_agree_with_the_newest_release() -> None:
    istio, extension, higress = (NEWEST[KINDS[n]] for n in ("WasmPlugin", "TrafficExtension", "HigressWasmPlugin"))
    assert words(istio, "spec.match[].mode") == set(MODES)
    assert words(istio, "spec.failStrategy") == words(extension, "spec.wasm.failStrategy") == set(FAIL_STRATEGIES)
    assert words(higress, "spec.failStrategy") == set(KINDS["HigressWasmPlugin"].fail_strategies)
    assert words(istio, "spec.phase") == {"UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"}
    assert words(extension, "spec.phase") == {"UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"}
    assert words(istio, "spec.type") - {"UNSPECIFIED_PLUGIN_TYPE"} == set(KINDS["WasmPlugin"].types)
    policy = NEWEST[KINDS["EnvoyExtensionPolicy"]]["spec"]["rules"]
    assert [set(kinds) for digest, *lists in policy if digest == "74dbc030c3" for kinds in lists] == [
        set(KINDS["EnvoyExtensionPolicy"].targets)
    ]


def test_the_tool_writes_what_it_reads(tool: ModuleType) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert tool._text(tool._encoded(decoded(json.loads(text)))) == text


CRD = """
kind: CustomResourceDefinition
spec:
  group: extensions.istio.io
  names: {kind: WasmPlugin}
  versions:
  - name: v1alpha1
    schema:
      openAPIV3Schema:
        type: object
        properties:
          status: {type: object}
          spec:
            type: object
            description: words that stay where they are
            x-kubernetes-validations:
            - {message: m, rule: 'self.a in ["y", "x"]'}
            oneOf:
            - not: {anyOf: [{required: [a]}, {required: [b]}]}
            - required: [a]
            - required: [b]
            properties:
              a: {type: string, enum: [x, y], description: d}
              b: {type: array, items: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


def test_what_the_tool_takes_from_a_crd(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "FILE", tmp_path / "facts.json")
    (tmp_path / "crd.yaml").write_text(CRD)
    tool.main(["istio=1.9", "a source", str(tmp_path / "crd.yaml")])
    (tmp_path / "crd.yaml").write_text(CRD.replace("[x, y]", "[x, y, z]"))
    tool.main(["istio=1.10", "a later one", str(tmp_path / "crd.yaml")])
    data = json.loads((tmp_path / "facts.json").read_text())["istio"]
    assert data["releases"] == {"1.9": "a source", "1.10": "a later one"}
    fields = data["kinds"]["WasmPlugin extensions.istio.io/v1alpha1"]
    (since, spec), *more = fields["spec"]
    assert (since, spec["one"], spec["rules"][0][1:], more) == ("1.9", ["a", "b"], [["x", "y"]], [])
    assert [(since, facts["enum"][-1]) for since, facts in fields["spec.a"]] == [("1.9", "y"), ("1.10", "z")]
    assert fields["spec.b[]"] == [["1.9", {"type": "object", "open": True}]]
    assert "words that stay" not in (tmp_path / "facts.json").read_text()
    assert not any("status" in path for path in fields)


@pytest.mark.parametrize("wrong", ["uniqueItems: true", "allOf: [{minLength: 1}]", "anyOf: [{type: string}]"])
def test_the_tool_loses_nothing_silently(tool: ModuleType, wrong: str) -> None:
    with pytest.raises(SystemExit, match=r"spec\.a: "):
        list(tool._kinds("istio", [yaml.safe_load(CRD.replace("description: d}", f"{wrong}}}"))]))


def test_releases_are_ordered_as_numbers() -> None:
    assert sorted(["1.10", "1.9", "2.0"], key=order) == ["1.9", "1.10", "2.0"]


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        # As Go answers, see docs/meshes.md
        ("oci://r/x", "oci"), ("OCI://r/x", "oci"), ("r:5000/x:1", "r"), ("1.2.3.4:5/x", None), ("/a/b", ""),
        ("x", None), ("mailto:a", "mailto"), ("http://h:abc/x", None), ("http://h/%zz", None),
        ("http://[::1]/x", "http"), ("http://[x]/", None), ("a b/c", None), ("//h h/x", "//"), ("", None),
    ],
)  # fmt: skip
def test_schemes_are_those_of_go(text: str, scheme: str | None) -> None:
    assert go_urls.scheme(text) == scheme
