"""What the products' custom resource definitions (CRDs) say, by release: the data is `crd_facts.json`.

`tools/crd_facts.py` writes that file from CRDs; no text of theirs is in it. Of each field it holds the keywords of its
schema, as a list of changes: since which release they are these. A path is the names of the fields, with `[]` for the
items of a list and `{}` for the values of a mapping. CEL rules are there as digests, see `crd_rules`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Facts = Mapping[str, Any]
"""Keywords of one field: those of OpenAPI that `_KEYWORDS` of the tool lists, and `open` (unknown fields are kept),
`list` and `keys` (`x-kubernetes-list-type` and its map keys), `one` (at most one of these fields), `rules`."""
Nodes = Mapping[str, Facts]
"""Path → keywords, of one kind in one release; "" is the resource itself."""

FILE = Path(__file__).with_name("crd_facts.json")


@dataclass(frozen=True)
class Product:
    """The releases of a product whose CRDs were read, from the oldest; and the kinds in them."""

    releases: Mapping[str, str]
    """Release → the source that it was read from."""
    kinds: Mapping[str, Mapping[str, Nodes]]
    """`KIND GROUP/VERSION` → release → its fields; a release that does not have the kind is not there."""


@functools.cache
def products() -> Mapping[str, Product]:
    """Everything that is known, by the product's name on the command line (`envoy-gateway`)."""
    return decoded(json.loads(FILE.read_text(encoding="utf-8")))


def decoded(data: Mapping[str, Any]) -> dict[str, Product]:
    """The products in the form of the file; `tools/crd_facts.py` has the way back."""
    return {name: _product(product) for name, product in data.items()}


def _product(data: Mapping[str, Any]) -> Product:
    kinds: dict[str, dict[str, Nodes]] = {}
    for kind, fields in data["kinds"].items():
        kinds[kind] = {}
        for release in data["releases"]:
            found = {path: facts for path, changes in fields.items() if (facts := _at(changes, release)) is not None}
            if found:
                kinds[kind][release] = found
    return Product(data["releases"], kinds)


def _at(changes: list[tuple[str, Facts | None]], release: str) -> Facts | None:
    last: Facts | None = None
    for since, facts in changes:
        if order(since) <= order(release):
            last = facts
    return last


def order(release: str) -> tuple[int, ...]:
    """A release as something that can be compared: 1.9 comes before 1.10."""
    return tuple(map(int, release.split(".")))
