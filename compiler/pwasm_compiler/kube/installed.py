"""Which products a cluster runs, and in which version: from the images and labels of their control planes.

A CRD does not say the version: of these products, only the Gateway API writes its own into its CRDs, as the annotation
`gateway.networking.k8s.io/bundle-version`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pwasm_compiler.kube.kubectl import Kubectl
from pwasm_compiler.values import mapping, mappings, text

IMAGES = {
    # product, as in `pwasm manifest --for`: the repository of its control plane's image, whatever the registry
    "istio": r"(?:^|/)pilot(?:$|[:@])",
    "envoy-gateway": r"(?:^|/)(?:envoyproxy|envoy)/(?:envoy-)?gateway(?:$|[:@])",
    "higress": r"(?:^|/)higress/higress(?:$|[:@])",
}
_LABELS = ("app.kubernetes.io/version", "helm.sh/chart", "operator.istio.io/version")
_VERSION = re.compile(r"(?<![\w.])v?(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)(?![\w.]*@)")
BUNDLE_VERSION = "gateway.networking.k8s.io/bundle-version"
Version = tuple[int, ...]

FACTS: Mapping[str, tuple[tuple[Version, str], ...]] = {
    # product: (since which version, what a resource can have), see docs/meshes.md
    "istio": (
        ((1, 27), "failStrategy FAIL_RELOAD"),
        ((1, 28), "headers held by an EnvoyFilter"),
        ((1, 30), "the kind TrafficExtension"),
    ),
    "envoy-gateway": (
        ((1, 6), "headers held by an EnvoyPatchPolicy"),
        ((1, 8), "namespaces in targetSelectors"),
        ((1, 9), "the target ListenerSet"),
    ),
    "higress": (((2, 0), "failStrategy"),),
}


@dataclass(frozen=True)
class Installed:
    """One control plane; `version` is "" if neither its image nor its labels tell."""

    product: str
    version: str
    place: str

    @property
    def release(self) -> str:
        """The minor version, as `pwasm manifest --for` takes it."""
        return ".".join(self.version.split(".")[:2])

    @property
    def facts(self) -> list[tuple[str, str, bool]]:
        """Each version-dependent fact: since when, what, and whether it applies here."""
        mine = tuple(int(part) for part in self.version.split("."))[:2]
        return [(".".join(map(str, since)), what, mine >= since) for since, what in FACTS[self.product]]


def installed(kubectl: Kubectl) -> list[Installed]:
    """The control planes in the cluster.

    Raises:
        ClusterError: deployments may not be listed.
    """
    found = {(item.product, item.version): item for item in _control_planes(kubectl.everywhere("deployments"))}
    return sorted(found.values(), key=lambda item: (item.product, item.version))


def _control_planes(deployments: list[dict[str, Any]]) -> Iterator[Installed]:
    for item in deployments:
        template = mapping(item, "spec", "template")
        labels = {**mapping(item, "metadata", "labels"), **mapping(template, "metadata", "labels")}
        for container in mappings(template, "spec", "containers"):
            image = text(container, "image")
            for product, pattern in IMAGES.items():
                if re.search(pattern, image):
                    place = f"{text(item, 'metadata', 'namespace')}/{text(item, 'metadata', 'name')}"
                    yield Installed(product, _version(image, labels), place)


def _version(image: str, labels: Mapping[str, str]) -> str:
    """That of the image's tag; an image may be named by its digest only, and a mirror may have tags of its own."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    for said in (tag, *(str(labels.get(name, "")) for name in _LABELS)):
        match = _VERSION.search(said.replace("-", " "))
        if match:
            return match[1]
    return ""
