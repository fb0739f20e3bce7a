"""Kubernetes resources that carry a filter: made from options, and checked before anybody sees them.

build     Placement → document         what `pwasm manifest` prints
check     document → its kind          refuses what an API server would drop or a mesh would misread
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
    """A resource that must not be applied as it is."""


def build(placement: Placement, kind_name: str) -> Document:
    """The resource of `kind_name` (a key of KINDS) for `placement`, checked.

    Raises:
        UsageError: it says something that this kind cannot say.
        ResourceError: a value is not one that the API takes.
    """
    kind = KINDS[kind_name]
    kind.refuse(placement)
    spec = kind.spec(placement)
    metadata = {"name": placement.name, **given(namespace=placement.namespace)}
    document = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
    check(document)
    return document


def check(document: Any) -> ResourceKind:
    """The kind of a resource in which everything is as the API has it.

    Raises:
        ResourceError: with every problem found, up to eight.
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
        raise ResourceError(f"this is no valid {kind}", why=listed(found))
    return kind


def kind_of(document: Any) -> ResourceKind:
    """Which kind of resource `document` says it is."""
    if not isinstance(document, dict):
        raise ResourceError("this is not a Kubernetes resource", why="It is not a mapping with apiVersion and kind.")
    version, name = document.get("apiVersion"), document.get("kind")
    for kind in KINDS.values():
        if (kind.api_version, kind.kind) == (version, name):
            return kind
    known = [f"{kind.kind} of {kind.api_version}" for kind in KINDS.values()]
    near = difflib.get_close_matches(f"{name} of {version}", known, n=1, cutoff=0.7)
    hint = f"did you mean {near[0]}?" if near else f"the kinds are: {', '.join(known)}"
    raise ResourceError(
        f"{name or 'a resource without kind'} of {version or 'no apiVersion'} carries no filter", hint=hint
    )


def cautions(document: Document) -> Iterator[str]:
    """What is allowed and may surprise; `document` is one that `check` took."""
    return kind_of(document).cautions(document["spec"])


def resource_name(project_name: str) -> str:
    """A filter's name in the form that Kubernetes takes: `hello_world` is `hello-world`."""
    name = re.sub(r"[^a-z0-9.-]+", "-", project_name.lower()).strip("-.")
    if not re.fullmatch(DNS_NAME, name):
        raise UsageError(f"'{project_name}' makes no name for a resource", hint="give it one with --name")
    return name
