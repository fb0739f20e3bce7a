"""Building blocks of JSON schemas for what pwasm itself demands of Kubernetes resources.

The products' own rules are in `crd_facts`. What is here and in the modules of the kinds is stricter: it refuses what an
API server takes and the mesh, or Kubernetes elsewhere, does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

GATEWAY_API = "gateway.networking.k8s.io"
DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


def record(*required: str, **fields: Schema) -> Schema:
    """An object with only these fields."""
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def text(low: int = 0, high: int | None = None, pattern: str | None = None) -> Schema:
    """A string of limited length."""
    schema: Schema = {"type": "string", "minLength": low}
    if high is not None:
        schema["maxLength"] = high
    if pattern is not None:
        schema["pattern"] = pattern
    return schema


def one_of(words: Sequence[str]) -> Schema:
    """One of these words."""
    return {"enum": list(words)}


def many(item: Schema, high: int | None = None) -> Schema:
    """A list of these items."""
    schema: Schema = {"type": "array", "items": item}
    if high is not None:
        schema["maxItems"] = high
    return schema


def integer(low: int, high: int) -> Schema:
    """An integer from `low` to `high`."""
    return {"type": "integer", "minimum": low, "maximum": high}


LABELS: Schema = {
    "type": "object",
    "propertyNames": {"pattern": r"^([^/\s]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"},
    "additionalProperties": text(0, 63, r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"),
}
SHA256 = text(pattern=r"^$|^[a-f0-9]{64}$")
METADATA = record(
    "name",
    name=text(1, 253, DNS_NAME),
    namespace=text(1, 63, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
    labels=LABELS,
    annotations={"type": "object", "additionalProperties": text()},
    finalizers=many(text()),
    ownerReferences=many({"type": "object"}),
)
