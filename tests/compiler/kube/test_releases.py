"""For which release a resource is written, what of a live resource is its owner's, and which modules it can carry."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.kube.kubectl import ClusterError
from pwasm_compiler.kube.refusals import explained
from pwasm_compiler.yaml_text import dump_all, load_all
from tests.support.command_line import Pwasm
from tests.support.small_modules import http_module, log_module, tcp_module

DIGEST = "0123456789abcdef" * 4
PIN = ["--name", "x", "--image", "registry.example/hello:v1", "--sha256", DIGEST]
GATEWAY = ["--kind", "EnvoyExtensionPolicy", "--target", "Gateway/eg"]


def resource(kind: str, spec: dict[str, Any], version: str = "extensions.istio.io/v1alpha1") -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "a", "namespace": "default"}, "spec": spec}


URL = f"oci://registry.example.com/team/hello@sha256:{DIGEST}"
POLICY = "gateway.envoyproxy.io/v1alpha1"
WASM = [{"code": {"type": "Image", "image": {"url": URL.removeprefix("oci://")}}}]
SELECTOR = {"kind": "Gateway", "matchLabels": {"team": "a"}, "namespaces": {"from": "All"}}
ROUTE = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r"}


@pytest.fixture
def check(pwasm: Pwasm) -> Callable[..., Any]:
    def call(document: dict[str, Any], *options: str) -> Any:
        Path("r.yaml").write_text(dump_all([document]))
        return pwasm("manifest", "--check", "r.yaml", *options)

    return call


# -- point by point: what servers take is accepted, what they refuse is refused


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (resource("TrafficExtension", {"phase": "UNSPECIFIED", "wasm": {"url": URL}}), "Istio 1.30 or later"),
        (
            resource("EnvoyExtensionPolicy", {"targetSelectors": [SELECTOR], "wasm": WASM}, POLICY),
            "Gateway 1.8 or later",
        ),
        (
            resource("EnvoyExtensionPolicy", {"targetRefs": [ROUTE], "mergeType": "JSONMerge", "wasm": WASM}, POLICY),
            "Envoy Gateway 1.9 or later",
        ),
        (resource("WasmPlugin", {"url": URL, "failStrategy": "FAIL_RELOAD"}), "Istio 1.27 or later"),
        (resource("WasmPlugin", {"url": URL, "failStrategy": "FAIL_OPEN"}), ""),
    ],
)
def test_what_is_new_is_accepted_with_its_release(check: Callable[..., Any], document: Any, said: str) -> None:
    result = check(document)
    assert result.code == 0, result.err
    assert load_all(result.out) == [document]
    assert (f"requires {said}" if "or later" in said and "Gateway 1.8" not in said else said) in result.err
    assert ("see --for" in result.err) == bool(said)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            resource("TrafficExtension", {"phase": "UNSPECIFIED_PHASE", "wasm": {"url": URL}}),
            "did you mean 'UNSPECIFIED'?",
        ),
        (
            resource("WasmPlugin", {"url": URL, "match": [{"ports": [{"number": 8080}, {"number": 8080}]}]}),
            "spec.match[0].ports has number 8080 more than once",
        ),
        (
            resource(
                "EnvoyExtensionPolicy",
                {"targetRefs": [{**ROUTE, "kind": "Gateway"}], "mergeType": "JSONMerge", "wasm": WASM},
                POLICY,
            ),
            "must have only targets of a kind of GRPCRoute, HTTPRoute",
        ),
        (resource("WasmPlugin", {"url": "registry:5000/x:1"}), "before the name of an image, write oci://"),
    ],
)
def test_what_a_server_refuses_is_refused(check: Callable[..., Any], document: Any, said: str) -> None:
    result = check(document)
    assert (result.code, result.out) == (1, "")
    assert said in result.err


def test_what_kubectl_prints_is_taken_without_what_the_server_added(check: Callable[..., Any], pwasm: Pwasm) -> None:
    own = resource("WasmPlugin", {"url": URL})
    live = json.loads(json.dumps(own)) | {"status": {}}
    live["metadata"] |= {
        "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 2, "resourceVersion": "12", "uid": "1",
        "managedFields": [{"manager": "pwasm"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    }  # fmt: skip
    result = check(live)
    assert (result.code, load_all(result.out)) == (0, [own])
    several = {"apiVersion": "v1", "kind": "List", "items": [live, live], "metadata": {"resourceVersion": ""}}
    assert load_all(check(several).out) == [own, own]
    wrong = check({**live, "metadata": {**live["metadata"], "lables": {}}})
    assert (wrong.code, "did you mean 'labels'?" in wrong.err) == (1, True)


# -- --for


@pytest.mark.parametrize(
    ("release", "strategy"), [("1.26", None), ("1.22", None), ("1.27", "FAIL_RELOAD"), ("v1.27.3", "FAIL_RELOAD")]
)
def test_the_default_is_what_the_release_has(pwasm: Pwasm, release: str, strategy: str | None) -> None:
    result = pwasm("manifest", *PIN, "--for", f"istio={release}", "--json")
    assert (result.code, json.loads(result.out)["spec"].get("failStrategy")) == (0, strategy)
    assert "requires" not in result.err
    assert ("has no FAIL_RELOAD" in result.err) == (strategy is None)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--for", "istio=1.26", "--fail-strategy", "FAIL_RELOAD"], 1, "Istio takes it from 1.27 on"),
        (
            ["--for", "istio=1.29", "--kind", "TrafficExtension"],
            1,
            "there is no TrafficExtension (use --kind WasmPlugin)",
        ),
        (["--for", "istio=1.27", "--hold-headers"], 1, "Istio takes it from 1.28 on"),
        (["--for", "envoy-gateway=1.3", *GATEWAY, "--ca", "Secret/ca"], 1, "Envoy Gateway takes it from 1.4 on"),
        (["--for", "envoy-gateway=1.8", *GATEWAY[:2], "--target", "ListenerSet/x"], 1, "takes it from 1.9 on"),
        (["--for", "istio=1.99"], 2, "use one of: 1.22, 1.23"),
        (["--for", "istoi=1.27"], 2, "unknown product 'istoi'; did you mean 'istio'?"),
        (["--for", "istio"], 2, "not of the form PRODUCT=VERSION"),
        (["--for", "istio=1.27", "--for", "istio=1.28"], 2, "two releases of istio"),
        (["--for", "higress=2.1"], 2, "--for higress=2.1 has no effect"),
    ],
)
def test_what_a_release_does_not_have_is_refused(pwasm: Pwasm, options: list[str], code: int, said: str) -> None:
    result = pwasm("manifest", *PIN, *options)
    assert (result.code, result.out) == (code, ""), result
    assert said in result.err


def test_a_private_authority_is_written(pwasm: Pwasm) -> None:
    spec = json.loads(pwasm("manifest", *PIN, *GATEWAY, "--ca", "ConfigMap/ca", "--json").out)["spec"]
    assert spec["wasm"][0]["code"]["image"]["tls"] == {"caCertificateRef": {"kind": "ConfigMap", "name": "ca"}}


# -- the type of a module


@pytest.fixture
def built(tmp_path: Path) -> Callable[[Callable[[Path], Path]], str]:
    def make(module: Callable[[Path], Path]) -> str:
        (tmp_path / "hello").mkdir()
        (tmp_path / "hello" / "filter.py").write_text("")
        module(tmp_path / "hello" / "main.wasm")
        return "hello"

    return make


@pytest.mark.parametrize(
    ("module", "options", "type_"),
    [
        (tcp_module, [], "NETWORK"),
        (tcp_module, ["--type", "NETWORK"], "NETWORK"),
        (tcp_module, ["--kind", "TrafficExtension"], "NETWORK"),
        (http_module, [], None),
        (http_module, ["--type", "HTTP"], "HTTP"),
        (log_module, [], None),
    ],
)
def test_the_type_is_the_modules(
    pwasm: Pwasm, built: Callable[..., str], module: Any, options: list[str], type_: str | None
) -> None:
    result = pwasm("manifest", built(module), *PIN, *options, "--json")
    assert result.code == 0, result.err
    spec = json.loads(result.out)["spec"]
    assert spec.get("wasm", spec).get("type") == type_


def test_a_module_that_is_not_built_is_of_no_known_type(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "filter.py").write_text("")
    assert "does not know whether it is for HTTP or TCP" in pwasm("manifest", "hello", *PIN).err
    assert "HTTP or TCP" not in pwasm("manifest", "hello", *PIN, "--type", "NETWORK").err


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        (tcp_module, ["--type", "HTTP"], "the module is not of type HTTP"),
        (http_module, ["--type", "NETWORK"], "the module is not of type NETWORK"),
        (tcp_module, GATEWAY, "EnvoyExtensionPolicy cannot carry a TCP filter"),
        (tcp_module, ["--kind", "HigressWasmPlugin"], "Higress WasmPlugin cannot carry a TCP filter"),
        (tcp_module, ["--kind", "EnvoyFilter"], "Istio EnvoyFilter cannot carry a TCP filter"),
    ],
)
def test_a_module_of_another_type_is_refused(
    pwasm: Pwasm, built: Callable[..., str], module: Any, options: list[str], said: str
) -> None:
    result = pwasm("manifest", built(module), *PIN, *options)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert "hint:" in result.err


@pytest.mark.parametrize("said", ['Unsupported value: ""', 'unknown field ""', 'unknown field "spec."'])
def test_a_refusal_that_names_nothing_is_passed_on(said: str) -> None:
    document = {"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "spec": {"url": "oci://r/x:1"}}
    with pytest.raises(ClusterError) as caught, explained([document]):
        raise ClusterError("kubectl failed", why=said)
    assert (caught.value.why, caught.value.hint) == (said, "")
