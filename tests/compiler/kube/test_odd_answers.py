"""A cluster may answer anything: the API server checks what it stores by the schema of its day, or by none."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.commands.manifest import read_resources
from pwasm_compiler.errors import PwasmError
from pwasm_compiler.kube.deploy import gateway_address, wait
from pwasm_compiler.kube.installed import installed
from pwasm_compiler.kube.kubectl import ClusterError, Kubectl, items_of
from pwasm_compiler.kube.proxies import proxies_of
from pwasm_compiler.kube.resources import cautions
from pwasm_compiler.yaml_text import dump_all
from tests.support.odd_values import odd
from tests.support.resource_mutants import DIGEST

Json = dict[str, Any]

PLUGIN: Json = {
    "apiVersion": "extensions.istio.io/v1alpha1",
    "kind": "WasmPlugin",
    "metadata": {"name": "hello", "namespace": "default", "generation": 2},
    "spec": {"url": "oci://registry.example/hello:v1", "sha256": DIGEST, "selector": {"matchLabels": {"app": "web"}}},
}
POLICY: Json = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "EnvoyExtensionPolicy",
    "metadata": {"name": "hello", "namespace": "default", "generation": 2},
    "spec": {
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "web"}],
        "wasm": [{"code": {"type": "Image", "image": {"url": "registry.example/hello:v1", "sha256": DIGEST}}}],
    },
}
_CONDITION = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "m", "observedGeneration": 2}
STATUSES: Mapping[str, Json] = {
    "WasmPlugin": {
        "validationMessages": [{"level": "ERROR", "type": {"code": "IST0101"}, "documentationUrl": "u"}],
        "conditions": [_CONDITION],
    },
    "EnvoyExtensionPolicy": {
        "ancestors": [{"ancestorRef": {"kind": "Gateway", "name": "eg"}, "conditions": [_CONDITION]}]
    },
}
ROUTE = {"metadata": {"name": "web"}, "spec": {"parentRefs": [{"kind": "Gateway", "name": "eg", "namespace": "n"}]}}
GATEWAY = {"metadata": {"name": "eg"}, "status": {"addresses": [{"type": "IPAddress", "value": "192.0.2.1"}]}}
SERVICE = {"metadata": {"name": "s"}, "status": {"loadBalancer": {"ingress": [{"ip": "", "hostname": "h"}]}}}
_CONTAINERS = {"containers": [{"name": "app"}], "initContainers": [{"name": "istio-proxy"}]}
PODS = {"items": [{"metadata": {"name": "p", "namespace": "n"}, "status": {"phase": "Running"}, "spec": _CONTAINERS}]}
_PILOT = {"containers": [{"name": "discovery", "image": "registry.example/istio/pilot:1.27.1"}]}
DEPLOYMENTS = {
    "items": [
        {
            "metadata": {"name": "istiod", "namespace": "n", "labels": {"helm.sh/chart": "istiod-1.27.1"}},
            "spec": {"template": {"metadata": {"labels": {"app": "istiod"}}, "spec": _PILOT}},
        }
    ]
}
ENVOY_FILTER: Json = {
    "applyTo": "EXTENSION_CONFIG",
    "match": {"context": "ANY"},
    "patch": {
        "operation": "ADD",
        "value": {
            "name": "n",
            "typed_config": {
                "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
                "type_url": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "value": {
                    "config": {
                        "name": "n",
                        "failure_policy": "FAIL_OPEN",
                        "vm_config": {
                            "code": {"remote": {"http_uri": {"uri": "oci://r/x", "cluster": "_"}, "sha256": DIGEST}},
                            "environment_variables": {"key_values": {"A": "b"}},
                        },
                    }
                },
            },
        },
    },
}


class Answers(Kubectl):
    """A DOUBLE of kubectl that answers with documents, by the resource asked for."""

    def __init__(self, **found: Json) -> None:
        super().__init__(Path("kubectl"))
        object.__setattr__(self, "found", found)

    def get(self, resource: str, name: str = "", namespace: str | None = None) -> Json | None:
        answer: Json | None = self.found.get(resource.partition(".")[0])  # type: ignore[attr-defined]
        return answer

    def pods(self, namespace: str | None, labels: str) -> list[Json]:
        return items_of(self.found["pods"])  # type: ignore[attr-defined]

    def everywhere(self, resource: str) -> list[Json]:
        return items_of(self.found[resource])  # type: ignore[attr-defined]


@pytest.mark.parametrize("resource", [PLUGIN, POLICY], ids=lambda item: item["kind"])
def test_a_status(resource: Json) -> None:
    plural = {"WasmPlugin": "wasmplugins", "EnvoyExtensionPolicy": "envoyextensionpolicies"}[resource["kind"]]
    known = {**resource, "status": STATUSES[resource["kind"]]}
    notes, refusals = set(), set()
    for found in odd(known):
        try:
            notes.add(wait(Answers(**{plural: found}), resource, 0).note)
        except ClusterError as error:
            refusals.add(error.what)
    assert notes
    assert refusals


@pytest.mark.parametrize(
    ("resource", "asked"),
    [(PLUGIN, {"services": SERVICE}), (POLICY, {"httproutes": ROUTE, "gateways": GATEWAY})],
    ids=["the product's gateway", "the route's gateway"],
)
def test_an_address(resource: Json, asked: Mapping[str, Json]) -> None:
    assert gateway_address(Answers(**asked), resource) in ("h", "192.0.2.1")
    seen = {
        gateway_address(Answers(**{**asked, plural: found}), resource)
        for plural, document in asked.items()
        for found in odd(document)
    }
    assert None in seen
    assert all(address is None or address for address in seen)


def test_pods() -> None:
    kubectl = Answers(pods=PODS)
    assert [str(pod) for pod in proxies_of(kubectl, PLUGIN)] == ["n/p"]
    none = set()
    for found in odd(PODS):
        try:
            assert proxies_of(Answers(pods=found), PLUGIN)
        except ClusterError as error:
            none.add(error.what)
    assert none == {"no running proxy is selected by WasmPlugin hello"}


def test_control_planes() -> None:
    assert [item.release for item in installed(Answers(deployments=DEPLOYMENTS))] == ["1.27"]
    for found in odd(DEPLOYMENTS):
        for item in installed(Answers(deployments=found)):
            assert item.facts is not None


def _filters() -> Iterator[Json]:
    metadata = {"name": "hello", "namespace": "default"}
    for patch in odd(ENVOY_FILTER["patch"]["value"]):
        changed = copy.deepcopy(ENVOY_FILTER)
        changed["patch"]["value"] = patch
        spec = {"configPatches": [changed]}
        yield {
            "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": metadata, "spec": spec
        }  # fmt: skip


def test_what_no_schema_checks_of_an_envoy_filter(tmp_path: Path) -> None:
    file = tmp_path / "filter.yaml"
    documents = list(_filters())
    file.write_text(dump_all(documents))
    for document in read_resources(str(file), {}):
        try:
            said = list(cautions(document, {}))
        except PwasmError:
            continue
        assert json.dumps(said)
