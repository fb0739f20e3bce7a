"""A kind of resource is a class and a row of the table: nothing else asks for its name."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import pytest

from pwasm_compiler.errors import UsageError
from pwasm_compiler.kube import resources
from pwasm_compiler.kube.crd_facts import Nodes
from pwasm_compiler.kube.istio import WasmPluginApi
from pwasm_compiler.kube.kind import Document, Placement, ResourceKind
from pwasm_compiler.kube.kinds import KINDS
from tests.support.paths import ROOT


class Sidecar(WasmPluginApi):
    """A kind of a fictitious product, with the filter two levels down."""

    name = kind = "Sidecar"
    api_version = "example.test/v1"
    resource = "sidecars.example.test"
    product = "Example"
    unsupported: ClassVar[dict[str, str]] = {"phase": "there is one phase"}
    fail_strategies = ("FAIL_CLOSE",)
    condition = "Ready"

    def releases(self) -> dict[str, Nodes]:
        wasm = "spec.proxy.wasm"
        nodes: dict[str, Any] = {path: {"type": "object"} for path in ("", "spec", "spec.proxy", wasm)}
        nodes |= {f"{wasm}.pluginConfig": {"type": "object", "open": True}, f"{wasm}.url": {"type": "string"}}
        return {"1.0": nodes}

    def known_releases(self) -> list[str]:
        return ["1.0"]

    def spec(self, placement: Placement) -> Document:
        return {"proxy": {"wasm": self.filter(placement)}}

    def filters(self, spec: Document) -> list[Document]:
        return [spec["proxy"]["wasm"]]


def test_a_class_and_a_row_are_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, Sidecar.name, Sidecar())
    document = resources.build(Placement("x", "r.test/x:1", plugin_config={"n": 2**60}), "Sidecar")
    assert document["spec"] == {"proxy": {"wasm": {"url": "oci://r.test/x:1", "pluginConfig": {"n": 2**60}}}}
    assert isinstance(resources.check(document), Sidecar)
    said = list(resources.cautions(document))
    assert [re.match(r"oci://r.test/x:1 is not pinned|Example passes the number", text) is None for text in said] == [
        False,
        False,
    ]
    with pytest.raises(UsageError, match="Example Sidecar does not support --phase"):
        resources.build(Placement("x", "r.test/x:1", phase="AUTHN"), "Sidecar")
    with pytest.raises(UsageError, match="Example does not support FAIL_OPEN"):
        resources.build(Placement("x", "r.test/x:1", fail_strategy="FAIL_OPEN"), "Sidecar")


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_a_kind_says_all_there_is_to_say(kind: ResourceKind) -> None:
    for name in ResourceKind.__annotations__:
        getattr(kind, name)
    same = [other for other in KINDS.values() if (other.api_version, other.kind) == (kind.api_version, kind.kind)]
    assert (KINDS[kind.name], same) == (kind, [kind])


def test_nobody_asks_for_a_kind_by_its_name() -> None:
    """Comparisons with a name in quotes; texts for people may have them."""
    own = ROOT / "compiler" / "pwasm_compiler"
    pattern = re.compile(rf"(==|!=|\bin) \(?[\"']({'|'.join(KINDS)})[\"']")
    found = [path.name for path in own.rglob("*.py") if pattern.search(path.read_text(encoding="utf-8"))]
    assert found == []
