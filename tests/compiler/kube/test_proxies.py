"""`pwasm deploy --proxies`: a real kubectl and a DOUBLE of an API server; behind `port-forward`, a real Envoy.

The double has no port-forward, so a script stands for kubectl that does it: everything else it leaves to the real one.
When a resource is applied, it also publishes what a control plane would send, which the real Envoy reads from a file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pwasm_compiler.commands import watched_proxies
from pwasm_compiler.envoy.config import bootstrap_for, ecds_document
from pwasm_compiler.envoy.delivery import Delivery, delivery
from pwasm_compiler.envoy.process import Envoy
from pwasm_compiler.envoy.wasm_filter import WasmFilter
from pwasm_compiler.kube import kubectl as kubectl_module
from pwasm_compiler.kube.kinds import KINDS
from pwasm_compiler.kube.kubectl import ClusterError, Kubectl, find_kubectl
from pwasm_compiler.kube.proxies import Pod
from tests.support.command_line import Pwasm
from tests.support.kubernetes_double import ApiServer, api_server
from tests.support.small_modules import http_module

pytestmark = pytest.mark.programs

NAME = "extensions.istio.io/wasmplugin/default.hello"
RESOURCE: dict[str, Any] = {
    "apiVersion": "extensions.istio.io/v1alpha1",
    "kind": "WasmPlugin",
    "metadata": {"name": "hello", "namespace": "default"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "url": "oci://registry.example/hello:v1", "sha256": "0" * 64},
}
POLICY: dict[str, Any] = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "EnvoyExtensionPolicy",
    "metadata": {"name": "hello", "namespace": "default"},
    "spec": {
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "eg"}],
        "wasm": [{"code": {"type": "Image", "image": {"url": "registry.example/hello:v1", "sha256": "0" * 64}}}],
    },
}

OF_A_ROUTE = {"targetRefs": [{**POLICY["spec"]["targetRefs"][0], "kind": "HTTPRoute"}], "wasm": POLICY["spec"]["wasm"]}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    monkeypatch.setattr(watched_proxies, "POLL_SECONDS", 0.2)
    with api_server() as double:
        yield double


def pod(cluster: ApiServer, name: str, labels: dict[str, str], namespace: str = "default", **spec: Any) -> None:
    content = {
        "metadata": {"labels": labels},
        "spec": spec or {"containers": [{"name": "app"}], "initContainers": [{"name": "istio-proxy"}]},
        "status": {"phase": "Running"},
    }
    cluster.put("pods", name, content, namespace)


def kubectl(folder: Path, forward: str, applied: str = ":") -> Path:
    """A DOUBLE of kubectl: `forward` is run for `port-forward`, `applied` after an `apply`."""
    program, real = folder / "kubectl", shlex.quote(str(find_kubectl()))
    program.write_text(
        f'#!/bin/sh\ncase "$1" in\nport-forward) {forward};;\n'
        f'apply) {real} "$@" || exit $?; {applied};;\n*) exec {real} "$@";;\nesac\n'
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def deploy(pwasm: Pwasm, cluster: ApiServer, tmp_path: Path) -> Callable[..., Any]:
    """`deploy(document, kubectl)` with --proxies."""

    def call(document: dict[str, Any], program: Path, *options: str) -> Any:
        Path("resource.json").write_text(json.dumps(document))
        where = ("--kubeconfig", cluster.kubeconfig(tmp_path), "--kubectl", program)
        return pwasm("deploy", "resource.json", "--proxies", *where, *options)

    return call


@pytest.mark.envoy
def test_a_real_envoy_takes_and_refuses(deploy: Callable[..., Any], cluster: ApiServer, tmp_path: Path) -> None:
    pod(cluster, "web-1", {"app": "web"})
    pod(cluster, "web-without-a-proxy", {"app": "web"}, containers=[{"name": "app"}])
    pod(cluster, "other", {"app": "other"})
    pod(cluster, "elsewhere", {"app": "web"}, "shop")
    plugin = WasmFilter(http_module(tmp_path / "first.wasm"), name=NAME)
    file, coming = tmp_path / "ecds.json", tmp_path / "coming.json"

    def document(version: str, module: Path) -> str:
        found = ecds_document(dataclasses.replace(plugin, path=module))
        return json.dumps({"version_info": version, **found})

    file.write_text(document("1", tmp_path / "first.wasm"))
    with Envoy(bootstrap_for(plugin, ecds_file=file)) as envoy:
        port = envoy.admin_url.rpartition(":")[2]
        program = kubectl(
            tmp_path,
            f"echo 'Forwarding from 127.0.0.1:{port} -> 15000'; exec sleep 600",
            f"! test -f {coming} || mv {coming} {file}",
        )
        same = deploy(RESOURCE, program, "--timeout", "1")
        assert (same.code, "proxy default/web-1: has not taken it yet" in same.out) == (0, True), same.out + same.err

        coming.write_text(document("2", http_module(tmp_path / "second.wasm", "OTHER")))
        changed: dict[str, Any] = {**RESOURCE, "spec": {**RESOURCE["spec"], "sha256": "1" * 64}}
        result = deploy(changed, program, "--json")
        (found,) = json.loads(result.out)["resources"]
        assert found["proxies"] == [{"pod": "default/web-1", "state": "taken", "detail": ""}]
        assert found["in_force"] is True

        assert "proxy default/web-1: took it" in deploy(changed, program).out, "nothing changed, and it is there"

        (tmp_path / "third.wasm").write_bytes(b"no module")
        coming.write_text(document("3", tmp_path / "third.wasm"))
        changed["spec"] = {**RESOURCE["spec"], "sha256": "2" * 64}
        refused = deploy(changed, program, "--timeout", "20")
        assert refused.code == 1, refused.out
        assert "the proxy in default/web-1 refused WasmPlugin hello" in refused.err
        assert "the reason is in its log" in refused.err
        assert "perhaps this one" in deploy(changed, program).out, "nothing changed, and one was refused"


def test_without_the_right_to_list_pods(deploy: Callable[..., Any], cluster: ApiServer, tmp_path: Path) -> None:
    cluster.refuse["GET pods"] = (403, "Forbidden", "pods is forbidden: no right")
    result = deploy(RESOURCE, kubectl(tmp_path, "exit 1"))
    assert result.code == 0, result.err
    assert "applied; Istio writes no status, so only its proxies can say if it is in effect" in result.out
    assert "proxies: cannot list the pods: Forbidden by the cluster (RBAC)" in result.out


def test_without_the_right_to_reach_pods(deploy: Callable[..., Any], cluster: ApiServer, tmp_path: Path) -> None:
    pod(cluster, "web-1", {"app": "web"})
    said = "Error from server (Forbidden): pods web-1 is forbidden: cannot create resource pods/portforward"
    result = deploy(RESOURCE, kubectl(tmp_path, f"echo '{said}' >&2; exit 1"))
    assert result.code == 0, result.err
    assert "proxy default/web-1: could not be asked: cannot reach the proxy in default/web-1: Forbidden" in result.out


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (RESOURCE, "no running proxy is selected by WasmPlugin hello"),
        ({**POLICY, "spec": OF_A_ROUTE}, "no Gateway is found for HTTPRoute/eg"),
    ],
)
def test_proxies_that_are_not_found(
    deploy: Callable[..., Any], cluster: ApiServer, tmp_path: Path, document: dict[str, Any], said: str
) -> None:
    key = (KINDS[document["kind"]].resource, "default", "hello")
    cluster.statuses[key] = [
        {"conditions": [], "ancestors": [{"conditions": [{"type": "Accepted", "status": "True"}]}]}
    ]
    found = json.loads(deploy(document, kubectl(tmp_path, "exit 1"), "--json").out)["resources"][0]
    assert said in found["proxies_not_asked"]


def test_the_pods_of_a_gateway(deploy: Callable[..., Any], cluster: ApiServer, tmp_path: Path) -> None:
    owner = "gateway.envoyproxy.io/owning-gateway-"
    pod(
        cluster,
        "envoy-1",
        {f"{owner}name": "eg", f"{owner}namespace": "default"},
        "system",
        containers=[{"name": "envoy"}],
    )
    pod(
        cluster,
        "envoy-2",
        {f"{owner}name": "eg", f"{owner}namespace": "shop"},
        "system",
        containers=[{"name": "envoy"}],
    )
    accepted = {"ancestors": [{"conditions": [{"type": "Accepted", "status": "True"}]}]}
    cluster.statuses["envoyextensionpolicies.gateway.envoyproxy.io", "default", "hello"] = [accepted]
    result = deploy(POLICY, kubectl(tmp_path, "echo sorry >&2; exit 1"), "--json")
    (found,) = json.loads(result.out)["resources"][0]["proxies"]
    assert (found["pod"], found["state"]) == ("system/envoy-1", "not asked")
    assert "sorry" in found["detail"]


def dump(**fields: Any) -> dict[str, Any]:
    return {"configs": [fields]}


ISTIO = r"(?:.*/)?default\.hello(?:~.*)?"
GATEWAY = r"envoy\.filters\.http\.wasm/envoyextensionpolicy/default/hello/wasm/\d+"
NAMED = {"name": "envoy.filters.http.wasm/envoyextensionpolicy/default/hello/wasm/0"}
REFUSED = {"failed_configuration": {"name": NAME}, "details": "no"}
TRANSLATED = {"name": "extensions.istio.io/trafficextension/default.hello~istio-translated-wasmplugin"}


@pytest.mark.parametrize(
    ("name", "found", "expected"),
    [
        (ISTIO, {}, Delivery(None)),
        (ISTIO, dump(ecds_filters=[{"version_info": "1", "ecds_filter": {"name": NAME}}]), Delivery("1", by_ecds=True)),
        (ISTIO, dump(ecds_filters=[{"version_info": "1", "ecds_filter": {"name": NAME}, "error_state": REFUSED}]),
         Delivery("1", "no", by_ecds=True)),
        (ISTIO, dump(ecds_filters=[{"error_state": REFUSED}]), Delivery(None, "no", by_ecds=True)),
        (ISTIO, dump(ecds_filters=[{"version_info": "1", "ecds_filter": {"name": f"{NAME}-2"}}]), Delivery(None)),
        (ISTIO, dump(ecds_filters=[{"version_info": "1", "ecds_filter": TRANSLATED}]), Delivery("1", by_ecds=True)),
        (ISTIO, dump(dynamic_listeners=[{"active_state": {"version_info": "7", "listener": {"filters": [
            {"name": NAME, "config_discovery": {}}]}}}]), Delivery(None)),
        (GATEWAY, dump(dynamic_listeners=[{"active_state": {"version_info": "7", "listener": {"filters": [
            {"typed_config": {"http_filters": [NAMED]}}]}}}]), Delivery("7")),
        (GATEWAY, dump(dynamic_listeners=[{"error_state": {"failed_configuration": {"filters": [NAMED]},
                                                           "details": "bad"}}]), Delivery(None, "bad")),
        (GATEWAY, {"configs": ["x", {"dynamic_listeners": 5, "ecds_filters": [None]}]}, Delivery(None)),
    ],
)  # fmt: skip
def test_deliveries(name: str, found: dict[str, Any], expected: Delivery) -> None:
    assert delivery(found, {}, name) == expected


@pytest.mark.parametrize(("stats", "refusals"), [
    ({}, None),
    ({f"extension_config_discovery.http_filter.{NAME}.update_rejected": 2}, 2),
    ({f"extension_config_discovery.http_filter.{NAME}.config_fail": 0}, 0),
    ({f"extension_config_discovery.http_filter.{NAME}-2.update_rejected": 2}, None),
])  # fmt: skip
def test_counts_of_refusals(stats: dict[str, int], refusals: int | None) -> None:
    found = dump(ecds_filters=[{"version_info": "1", "ecds_filter": {"name": NAME}}])
    assert delivery(found, stats, ISTIO) == Delivery("1", by_ecds=True, refusals=refusals)


def test_istio_keeps_no_count() -> None:
    """Its proxies leave out the counters of discoveries: that the version is new is all that is known."""
    here = Pod("web-1", "default")
    watched = watched_proxies.Watch(ISTIO, 1, {here: 1}, {here: Delivery("1", by_ecds=True)})
    with mock.patch.object(watched_proxies, "_ask", return_value=Delivery("2", by_ecds=True)):
        (answer,) = watched_proxies.answers(watched, changed=True, seconds=0)
    assert (answer.state, "keeps no count" in answer.detail) == ("received", True)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (Delivery("1", "old"), "not yet"),  # the fix has not arrived: this is the refusal that it is for
        (Delivery("1", "new"), "refused"),
        (Delivery("2"), "taken"),
    ],
)
def test_a_refusal_of_before_says_nothing_about_the_new_version(now: Delivery, state: str) -> None:
    here = Pod("web-1", "default")
    watched = watched_proxies.Watch(GATEWAY, 1, {here: 1}, {here: Delivery("1", "old")})
    with mock.patch.object(watched_proxies, "_ask", return_value=now):
        (answer,) = watched_proxies.answers(watched, changed=True, seconds=0)
    assert answer.state == state


def test_not_all_that_are_selected_are_asked(deploy: Callable[..., Any], cluster: ApiServer, tmp_path: Path) -> None:
    for number in range(5):
        pod(cluster, f"web-{number}", {"app": "web"})
    program, took_it = kubectl(tmp_path, "echo 'Forwarding from 127.0.0.1:1 -> 15000'; exec sleep 600"), Delivery("1")
    with mock.patch.object(watched_proxies, "_ask", return_value=took_it):
        deploy(RESOURCE, program, "--timeout", "0")
        result, found = deploy(RESOURCE, program), deploy(RESOURCE, program, "--json")
    (outcome,) = json.loads(found.out)["resources"]
    assert [answer["state"] for answer in outcome["proxies"]] == ["taken"] * 3
    assert (outcome["proxies_selected"], outcome["in_force"]) == (5, None)
    assert "5 proxies are selected; the others were not asked" in result.out


def test_what_changed_is_known_for_each_resource(
    deploy: Callable[..., Any], cluster: ApiServer, tmp_path: Path
) -> None:
    """Of the one that stays as it is, no new version is awaited."""
    pod(cluster, "web-1", {"app": "web"})
    program = kubectl(tmp_path, "echo 'Forwarding from 127.0.0.1:1 -> 15000'; exec sleep 600")
    other = {**RESOURCE, "metadata": {**RESOURCE["metadata"], "name": "other"}}
    with mock.patch.object(watched_proxies, "_ask", return_value=Delivery("1")):
        deploy(RESOURCE, program, "--timeout", "0")
        both = {"apiVersion": "v1", "kind": "List", "items": [RESOURCE, other]}
        found = json.loads(deploy(both, program, "--json", "--timeout", "0").out)
    assert found["changed"] is True
    assert [item["proxies"][0]["state"] for item in found["resources"]] == ["taken", "not yet"]


@pytest.mark.parametrize("says", ["echo sorry >&2;", "echo Forwarding to nowhere;", "exec 2>&1; echo x;"])
def test_a_kubectl_that_starts_another_one_is_ended_with_it(tmp_path: Path, says: str) -> None:
    """What it has started would hold the pipes open, and so pwasm, for a minute."""
    program = kubectl(tmp_path, f"{says} sleep 61; exit 1")
    start = time.monotonic()
    with (
        mock.patch.object(kubectl_module, "_FORWARD_SECONDS", 1.0),
        pytest.raises(ClusterError, match="cannot reach the proxy in default/web-1"),
        Kubectl(program).forward("web-1", "default", 15000),
    ):
        pass
    assert time.monotonic() - start < 40


def test_a_forward_through_a_script_ends_with_the_block(tmp_path: Path) -> None:
    program = kubectl(tmp_path, "echo 'Forwarding from 127.0.0.1:1 -> 15000'; sleep 61; exit 1")
    start = time.monotonic()
    with Kubectl(program).forward("web-1", "default", 15000) as port:
        assert port == 1
    assert time.monotonic() - start < 40


@pytest.mark.parametrize(
    "said", ["", "null", "[]", '"x"', "{", '{"items": null}', '{"items": [null, {"metadata": 1}]}']
)
def test_an_answer_of_kubectl_that_is_none(said: str, tmp_path: Path) -> None:
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\necho {shlex.quote(said)}\n")
    program.chmod(0o755)
    kubectl = Kubectl(find_kubectl(str(program)))
    for ask in (lambda: kubectl.pods(None, ""), lambda: kubectl.everywhere("deployments"), kubectl.server_version):
        with contextlib.suppress(ClusterError):
            assert ask() == []
    assert kubectl.context_namespace() == "default"
