"""What is said of installed versions agrees with the facts of the products' CRDs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pwasm_compiler.envoy import products as of_envoys
from pwasm_compiler.kube.crd_facts import Nodes, products
from pwasm_compiler.kube.installed import FACTS

SHOWN: dict[str, tuple[str, str, Callable[[Nodes], bool]]] = {
    # what of FACTS, product, kind, whether the CRD of a release has it
    "failStrategy FAIL_RELOAD": (
        "istio", "WasmPlugin", lambda nodes: "FAIL_RELOAD" in nodes["spec.failStrategy"].get("enum", ()),
    ),
    "the kind TrafficExtension": ("istio", "TrafficExtension", bool),
    "namespaces in targetSelectors": (
        "envoy-gateway", "EnvoyExtensionPolicy", lambda nodes: "spec.targetSelectors[].namespaces" in nodes,
    ),
    "failStrategy": ("higress", "WasmPlugin", lambda nodes: "spec.failStrategy" in nodes),
}  # fmt: skip


@pytest.mark.parametrize("what", SHOWN)
def test_since_when_a_release_has_it(what: str) -> None:
    product, kind, has = SHOWN[what]
    kinds = products()[product].kinds
    (nodes,) = [releases for name, releases in kinds.items() if name.startswith(f"{kind} ")]
    first = next(release for release, found in nodes.items() if has(found))
    assert (tuple(map(int, first.split("."))), what) in FACTS[product]


def test_what_status_says_of_istio_is_the_same() -> None:
    assert (of_envoys._FAIL_RELOAD_IN_ISTIO, "failStrategy FAIL_RELOAD") in FACTS["istio"]
