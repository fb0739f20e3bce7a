"""Kubernetes resources that carry a filter: generated from options, and validated before use.

build     Placement → document         what `pwasm manifest` prints
check     document → its kind          rejects what an API server would drop or a mesh would misread
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from pwasm_compiler.errors import PwasmError, UsageError
from pwasm_compiler.kube.kind import Document, Placement, ResourceKind, given
from pwasm_compiler.kube.kinds import KINDS
from pwasm_compiler.kube.schemas import DNS_NAME, METADATA
from pwasm_compiler.validation import listed, problems


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
    check(document)
    return document


def check(document: Any) -> ResourceKind:
    """Validate a resource against its API, and return its kind.

    Raises:
        ResourceError: it is invalid; lists the problems, up to eight.
    """
    kind = kind_of(document)
    schema = {
        "type": "object",
        "properties": {"apiVersion": {}, "kind": {}, "metadata": METADATA, "spec": kind.schema},
        "required": ["metadata", "spec"],
        "additionalProperties": False,
    }
    found = problems(document, schema, "the resource")
    if not found:
        found = [said for rule in kind.rules if (said := rule(document["spec"]))]
    if found:
        raise ResourceError(f"invalid {kind}", why=listed(found))
    return kind


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


def cautions(document: Document) -> Iterator[str]:
    """Warnings about what is valid but may surprise; `document` has passed `check`."""
    return kind_of(document).cautions(document["spec"])


def resource_name(project_name: str) -> str:
    """A filter's name in the form that Kubernetes accepts: `hello_world` is `hello-world`."""
    name = re.sub(r"[^a-z0-9.-]+", "-", project_name.lower()).strip("-.")
    if not re.fullmatch(DNS_NAME, name):
        raise UsageError(f"cannot derive a resource name from '{project_name}'", hint="set one with --name")
    return name
