"""The release of a product that a resource is written for: `--for istio=1.26`; and what is in which release."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence

from pwasm_compiler.errors import UsageError
from pwasm_compiler.kube.crd_facts import order, products
from pwasm_compiler.kube.crd_rules import breaches
from pwasm_compiler.kube.crd_schema import schema_of
from pwasm_compiler.kube.kind import Document, ResourceKind
from pwasm_compiler.kube.schemas import METADATA, Schema
from pwasm_compiler.validation import near, problems


def chosen(texts: Sequence[str]) -> dict[str, str]:
    """Product → release, of `--for PRODUCT=RELEASE`; a patch release counts as its minor one.

    Raises:
        UsageError: a product or a release that is not known, or a product that is named twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, version = text.partition("=")
        if not equals or not re.fullmatch(r"v?\d+(\.\d+){1,2}", version):
            raise UsageError(f"'{text}' is not of the form PRODUCT=VERSION", hint="write for example --for istio=1.27")
        if name not in products():
            known = ", ".join(products())
            raise UsageError(f"unknown product '{name}'{near(name, products())}", hint=f"use one of: {known}")
        release = ".".join(version.removeprefix("v").split(".")[:2])
        releases = products()[name].releases
        if release not in releases:
            raise UsageError(
                f"unknown release '{version}' of {name}",
                why="pwasm does not have its custom resource definitions.",
                hint=f"use one of: {', '.join(releases)}; or omit --for",
            )
        if found.setdefault(name, release) != release:
            raise UsageError(f"--for names two releases of {name}", hint="omit one")
    return found


def found_in(kind: ResourceKind, document: Document, release: str) -> list[str]:
    """What `release` of the product, or pwasm, would not accept of `document`."""
    nodes = kind.releases().get(release)
    if nodes is None:
        return [f"there is no {kind.kind}{f' ({kind.instead})' if kind.instead else ''}"]
    found = problems(document, _schema(kind, release), "the resource")
    if found or "spec" not in document:
        return found
    found = list(breaches(document, nodes))
    found += [said for rule in kind.rules if (said := rule(document["spec"]))]
    return found + [
        f"there is no {what}" for since, what in kind.needs(document["spec"]) if order(release) < order(since)
    ]


@functools.cache
def _schema(kind: ResourceKind, release: str) -> Schema:
    schema = schema_of(kind.releases()[release], kind.tighter)
    fields = {"apiVersion": {}, "kind": {}, "metadata": METADATA, **schema.get("properties", {})}
    return {**schema, "properties": fields, "required": ["metadata", "spec"]}


def accepting(kind: ResourceKind, document: Document) -> tuple[list[str], Mapping[str, list[str]]]:
    """The known releases that take `document`; and for each of the others, why not."""
    refusals: dict[str, list[str]] = {}
    taken = []
    for release in reversed(kind.known_releases()):
        found = found_in(kind, document, release)
        if found:
            refusals[release] = found
        else:
            taken.append(release)
    return taken[::-1], refusals


def limits(kind: ResourceKind, document: Document) -> Iterator[str]:
    """Which releases do not take `document`, and why."""
    taken, refusals = accepting(kind, document)
    for release, found in refusals.items():
        if taken and order(release) < order(taken[0]):
            yield f"this requires {kind.product} {taken[0]} or later: in {release}, {_short(found[0])}; see --for"
            break
    for release, found in reversed(list(refusals.items())):
        if taken and order(release) > order(taken[-1]):
            yield f"{kind.product} {release} refuses this: {_short(found[0])}"
            break


def _short(problem: str) -> str:
    """Without the suggestion, which would be to do without what is new."""
    return problem.partition("; did you mean")[0]
