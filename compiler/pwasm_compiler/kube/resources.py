"""Kubernetes resources that carry a filter: generated from options, and validated before use.

build     Placement → document         what `pwasm manifest` prints
check     document → its kind          rejects what an API server would drop or a mesh would misread
own       document → document          without what the API server has added
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pwasm_compiler.errors import PwasmError, UsageError
from pwasm_compiler.kube.crd_facts import order
from pwasm_compiler.kube.kind import Document, Placement, ResourceKind, given
from pwasm_compiler.kube.kinds import KINDS
from pwasm_compiler.kube.releases import accepting, found_in, limits
from pwasm_compiler.kube.schemas import DNS_NAME
from pwasm_compiler.validation import listed

_SERVERS_METADATA = (
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields",
    "resourceVersion", "selfLink", "uid",
)  # fmt: skip
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class ResourceError(PwasmError):
    """An invalid resource."""


def build(placement: Placement, kind_name: str) -> Document:
    """The validated resource of `kind_name` (a key of KINDS) for `placement`.

    Raises:
        UsageError: it has something that this kind does not support.
        ResourceError: a value is not valid in the API.
    """
    kind = KINDS[kind_name]
    kind.refuse(placement)
    spec = kind.spec(placement)
    metadata = {"name": placement.name, **given(namespace=placement.namespace)}
    document = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
    check(document, {kind.line: placement.release} if placement.release else {})
    return document


def check(document: Any, releases: Mapping[str, str] | None = None) -> ResourceKind:
    """Validate a resource against its API, and return its kind.

    `releases` maps a product to the release whose rules are meant; otherwise, those of any known release will do.

    Raises:
        ResourceError: it is invalid; lists the problems, up to eight.
    """
    kind = kind_of(document)
    release = (releases or {}).get(kind.line)
    found = found_in(kind, document, release or kind.known_releases()[-1])
    if not found:
        return kind
    taken, _ = accepting(kind, document)
    if release is None and taken:
        return kind
    if release is None:
        raise ResourceError(f"invalid {kind}", why=listed(found))
    raise ResourceError(
        f"invalid {kind} for {kind.product} {release}",
        why=listed(found),
        hint=f"{kind.product} takes it from {taken[0]} on" if taken and order(taken[0]) > order(release) else "",
    )


def own(document: Any) -> Any:
    """A resource without what an API server adds: what its owner would have written."""
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        return document
    metadata = {name: value for name, value in document["metadata"].items() if name not in _SERVERS_METADATA}
    if isinstance(metadata.get("annotations"), dict):
        annotations = {name: text for name, text in metadata["annotations"].items() if name != _LAST_APPLIED}
        metadata |= {"annotations": annotations}
        if not annotations:
            del metadata["annotations"]
    return {name: value for name, value in document.items() if name != "status"} | {"metadata": metadata}


def items(document: Any) -> list[Any]:
    """The resources in a document: `kubectl get -o yaml` prints several as a List."""
    if isinstance(document, dict) and document.get("kind") == "List" and isinstance(document.get("items"), list):
        return list(document["items"])
    return [document]


def kind_of(document: Any) -> ResourceKind:
    """The kind that `document` declares."""
    if not isinstance(document, dict):
        raise ResourceError("not a Kubernetes resource", why="It is not a mapping with apiVersion and kind.")
    version, name = document.get("apiVersion"), document.get("kind")
    for kind in KINDS.values():
        if (kind.api_version, kind.kind) == (version, name):
            return kind
    known = [f"{kind.api_version} {kind.kind}" for kind in KINDS.values()]
    near = difflib.get_close_matches(f"{version} {name}", known, n=1, cutoff=0.7)
    hint = f"did you mean {near[0]}?" if near else f"supported kinds: {', '.join(known)}"
    raise ResourceError(
        f"{version or '(no apiVersion)'} {name or '(no kind)'} is not a resource that carries a filter", hint=hint
    )


def cautions(document: Document, releases: Mapping[str, str] | None = None) -> Iterator[str]:
    """Warnings about what is valid but may surprise; `document` has passed `check`."""
    kind = kind_of(document)
    yield from kind.cautions(document["spec"])
    release = (releases or {}).get(kind.line)
    if release is None:
        yield from limits(kind, document)
    elif kind.lacks_reload(document["spec"], release):
        yield f"{kind.product} {release} has no FAIL_RELOAD: after a crash, requests get 503 until the proxy restarts"


def resource_name(project_name: str) -> str:
    """A filter's name in the form that Kubernetes accepts: `hello_world` is `hello-world`."""
    name = re.sub(r"[^a-z0-9.-]+", "-", project_name.lower()).strip("-.")
    if not re.fullmatch(DNS_NAME, name):
        raise UsageError(f"cannot derive a resource name from '{project_name}'", hint="set one with --name")
    return name
