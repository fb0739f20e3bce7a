"""JSON schemas from the facts of CRDs. An unknown field is an error: API servers drop it, or refuse it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pwasm_compiler.kube.crd_facts import Facts, Nodes
from pwasm_compiler.kube.schemas import Schema

_SAME = ("enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties")
_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def schema_of(nodes: Nodes, tighter: Mapping[str, Schema]) -> Schema:
    """The schema of a resource's fields `nodes`; `tighter` has schemas that their paths must meet besides."""
    children: dict[str, list[tuple[str, str]]] = {}
    for path in nodes:
        parent, name = _split(path)
        children.setdefault(parent, []).append((name, path))
    return _schema("", nodes, children, tighter)


def _split(path: str) -> tuple[str, str]:
    """A path's parent, and its own name below that; the resource is its own parent, and has no name."""
    if path.endswith(("[]", "{}")):
        return path[:-2], path[-2:]
    parent, _, name = path.rpartition(".")
    return parent, name


def _schema(
    path: str, nodes: Nodes, children: Mapping[str, list[tuple[str, str]]], tighter: Mapping[str, Schema]
) -> Schema:
    facts = nodes[path]
    schema = dict(_keywords(facts))
    if "required" in facts:  # of what the server does not fill in
        named = dict(children.get(path, ()))
        schema["required"] = [name for name in facts["required"] if "default" not in nodes.get(named.get(name, ""), {})]
    for name, child in children.get(path, ()):
        if name == "[]":
            schema["items"] = _schema(child, nodes, children, tighter)
        elif name == "{}":
            schema["additionalProperties"] = _schema(child, nodes, children, tighter)
        elif name:
            schema.setdefault("properties", {})[name] = _schema(child, nodes, children, tighter)
    if facts.get("type") == "object" and not facts.get("open"):
        schema.setdefault("additionalProperties", False)
    if path in tighter:
        schema["allOf"] = [tighter[path]]
    return schema


def _keywords(facts: Facts) -> Iterator[tuple[str, Any]]:
    yield from ((keyword, facts[keyword]) for keyword in _SAME if keyword in facts)
    if facts.get("int_or_string"):
        yield "type", ["integer", "string"]
    elif "type" in facts:
        yield "type", [facts["type"], "null"] if facts.get("nullable") else facts["type"]
    if facts.get("format") in _RANGES and "minimum" not in facts:
        yield from zip(("minimum", "maximum"), _RANGES[facts["format"]], strict=True)
