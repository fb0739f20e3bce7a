"""The pods whose proxies a resource reaches: who can say whether it is in effect where the control plane does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pwasm_compiler.kube.deploy import gateways_of
from pwasm_compiler.kube.kind import Document, ResourceKind
from pwasm_compiler.kube.kubectl import ClusterError, Kubectl
from pwasm_compiler.kube.resources import kind_of
from pwasm_compiler.values import mapping, mappings, text

ISTIO_ROOT = "istio-system"
"""The root namespace of Istio, unless its mesh configuration names another: resources there are for all namespaces."""
_GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
_OWNER = "gateway.envoyproxy.io/owning-gateway-{}"


@dataclass(frozen=True)
class Pod:
    """A running pod with a proxy."""

    name: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class _Place:
    namespace: str | None
    """None for all."""
    labels: str


def filter_name(document: Document) -> str:
    """The pattern of the name that the filter has in a proxy; "" if proxies of this product cannot be asked."""
    metadata = document["metadata"]
    names = {key: re.escape(metadata.get(key) or "default") for key in ("name", "namespace")}
    return kind_of(document).delivered_as.format(**names)


def proxies_of(kubectl: Kubectl, document: Document) -> list[Pod]:
    """The running pods that the resource selects.

    Raises:
        ClusterError: pods may not be listed, or it cannot be said which are meant.
    """
    kind = kind_of(document)
    found: dict[Pod, None] = {}
    for place in _places(kubectl, document, kind):
        for item in kubectl.pods(place.namespace, place.labels):
            if _is_running(item) and _has_container(item, kind.proxy_container):
                found[Pod(text(item, "metadata", "name"), text(item, "metadata", "namespace"))] = None
    if not found:
        raise ClusterError(
            f"no running proxy is selected by {kind.kind} {document['metadata']['name']}",
            hint="check its selector or target, and whether the pods have a proxy",
        )
    return list(found)


def _places(kubectl: Kubectl, document: Document, kind: ResourceKind) -> Iterator[_Place]:
    namespace, spec = document["metadata"].get("namespace") or "default", document["spec"]
    targets = spec.get("targetRefs") or [target for target in (spec.get("targetRef"),) if target]
    if not targets and kind.needs_gateway_api:
        raise ClusterError(f"{kind.kind} has no targetRefs", why="Targets that labels select are not looked up.")
    if not targets:
        labels = mapping(spec, "selector", "matchLabels")
        everywhere = namespace == ISTIO_ROOT
        yield _Place(None if everywhere else namespace, ",".join(f"{key}={value}" for key, value in labels.items()))
    for target in targets:
        gateways = list(gateways_of(kubectl, target["kind"], target["name"], namespace))
        if not gateways:
            raise ClusterError(
                f"no Gateway is found for {target['kind']}/{target['name']}", hint="ask one: pwasm status"
            )
        for name, where in gateways:
            if kind.needs_gateway_api:
                yield _Place(None, f"{_OWNER.format('name')}={name},{_OWNER.format('namespace')}={where or namespace}")
            else:
                yield _Place(where or namespace, f"{_GATEWAY_NAME}={name}")


def _is_running(pod: Document) -> bool:
    return text(pod, "metadata", "name") != "" and text(pod, "status", "phase") == "Running"


def _has_container(pod: Document, name: str) -> bool:
    """A sidecar is an init container where Kubernetes has native ones."""
    containers = [*mappings(pod, "spec", "containers"), *mappings(pod, "spec", "initContainers")]
    return not name or any(container.get("name") == name for container in containers)
