"""What an API server would say of a resource, from the facts of a CRD: the rules of the double (kubernetes_double.py).

The steps are those of k8s.io/apiextensions-apiserver, in its order: unknown fields are found and dropped, nulls of
fields that are not nullable are dropped, defaults are filled in, then values are validated. It is a second reading of
the same facts as `pwasm_compiler.kube.crd_schema`, with no JSON schema and no rule of pwasm's in it; the CEL rules are
those of `crd_rules`. tests/compiler/kube/test_differential.py holds the two against each other.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pwasm_compiler.kube.crd_facts import Facts, Nodes
from pwasm_compiler.kube.crd_rules import RULES

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,),
    "integer": (int,), "number": (int, float),
}  # fmt: skip
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True)
class Answer:
    """How a server takes a resource."""

    stored: Any
    unknown: tuple[str, ...]
    """Fields that it drops, and refuses if asked to be strict."""
    duplicates: tuple[str, ...]
    """Lists that are maps and have a key twice; server-side apply refuses these first."""
    errors: tuple[str, ...]


def answer(document: Any, nodes: Nodes) -> Answer:
    """What a server with the CRD `nodes` says of `document`."""
    stored = copy.deepcopy(document)
    own = {name: stored.pop(name) for name in ("apiVersion", "kind", "metadata", "status") if name in stored}
    unknown = tuple(_prune(stored, "", nodes))
    _drop_nulls(stored, "", nodes)
    _default(stored, "", nodes)
    errors = tuple(_errors(stored, "", "", nodes))
    name = own.get("metadata", {}).get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        errors = (f"metadata.name: Invalid value: {name!r}", *errors)
    return Answer({**own, **stored}, unknown, tuple(_duplicates(stored, "", "", nodes)), errors)


def _child(path: str, key: str, nodes: Nodes) -> str | None:
    field = f"{path}.{key}" if path else key
    return field if field in nodes else path + "{}" if path + "{}" in nodes else None


def _children(value: Any, path: str, nodes: Nodes) -> Iterator[tuple[str, Any, str, str]]:
    """Key as text, item, path in `nodes`, and how the place continues, of everything in `value` that `nodes` has."""
    if isinstance(value, dict):
        for key, item in value.items():
            child = _child(path, key, nodes)
            if child is not None:
                yield key, item, child, f".{key}" if path else key
    elif isinstance(value, list) and path + "[]" in nodes:
        for number, item in enumerate(value):
            yield str(number), item, path + "[]", f"[{number}]"


def _prune(value: Any, path: str, nodes: Nodes, where: str = "") -> Iterator[str]:
    facts = nodes[path]
    if isinstance(value, dict) and facts.get("type", "object") == "object" and not facts.get("open"):
        for key in [key for key in value if _child(path, key, nodes) is None]:
            del value[key]
            yield f"{where}.{key}"
    for _, item, child, more in _children(value, path, nodes):
        yield from _prune(item, child, nodes, where + more)


def _drop_nulls(value: Any, path: str, nodes: Nodes) -> None:
    if isinstance(value, dict):
        for key, item, child, _ in list(_children(value, path, nodes)):
            facts = nodes[child]
            if item is None and not facts.get("nullable") and "default" not in facts:
                del value[key]
    for _, item, child, _ in _children(value, path, nodes):
        _drop_nulls(item, child, nodes)


def _default(value: Any, path: str, nodes: Nodes) -> None:
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        for field, facts in nodes.items():
            name = field.removeprefix(prefix)
            mine = field.startswith(prefix) and name and not re.search(r"[.\[{]", name)
            if mine and "default" in facts and value.get(name) is None:
                value[name] = copy.deepcopy(facts["default"])
    for _, item, child, _ in _children(value, path, nodes):
        _default(item, child, nodes)


def _errors(value: Any, path: str, where: str, nodes: Nodes) -> Iterator[str]:
    facts = nodes[path]
    if value is None and facts.get("nullable"):
        return
    if not _has_type(value, facts):
        yield f"{where}: Invalid value: {_kind(value)}: must be of type {facts.get('type')}"
        return
    found = [f"{where}: {said}" for said in _of_value(value, facts)]
    for _, item, child, more in _children(value, path, nodes):
        found += _errors(item, child, where + more, nodes)
    yield from found
    if not found:  # a rule may look at any field
        yield from (f"{where}: Invalid value: {said}" for said in _of_rules(value, facts))


def _has_type(value: Any, facts: Facts) -> bool:
    if facts.get("int_or_string"):
        return isinstance(value, int | str) and not isinstance(value, bool)
    wanted = facts.get("type")
    if wanted is None:
        return True
    if isinstance(value, bool):
        return bool(wanted == "boolean")
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[wanted])


def _of_value(value: Any, facts: Facts) -> Iterator[str]:
    if "enum" in facts and value not in facts["enum"]:
        words = ", ".join(f'"{word}"' for word in facts["enum"])
        yield f'Unsupported value: "{value}": supported values: {words}'
    size = {"string": "Length", "array": "Items", "object": "Properties"}.get(str(facts.get("type")))
    if size and len(value) < facts.get(f"min{size}", 0):
        yield f"Invalid value: should be at least {facts[f'min{size}']} long"
    if size and len(value) > facts.get(f"max{size}", len(value)):
        yield f"Too long: may not be more than {facts[f'max{size}']}"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and not facts.get("minimum", value) <= value <= facts.get("maximum", value):
        yield f"Invalid value: {value}: should be in the range"
    if isinstance(value, str) and "pattern" in facts and not re.search(facts["pattern"], value, re.ASCII):
        yield f"Invalid value: {value!r}: should match '{facts['pattern']}'"
    for name in facts.get("required", ()):
        if name not in value:
            yield f"{name}: Required value"


def _of_rules(value: Any, facts: Facts) -> Iterator[str]:
    if sum(name in value for name in facts.get("one", ())) > 1:
        yield "must validate one and only one schema (oneOf)"
    for digest, *words in facts.get("rules", ()):
        if not RULES[digest].obeyed(value, words):
            yield f"failed rule {digest}"


def _duplicates(value: Any, path: str, where: str, nodes: Nodes) -> Iterator[str]:
    facts = nodes[path]
    if facts.get("list") == "map" and isinstance(value, list):
        keys = [tuple(item.get(key) for key in facts["keys"]) for item in value if isinstance(item, dict)]
        if any(keys.count(key) > 1 for key in keys):
            yield f".{where}: duplicate entries for key"
    for _, item, child, more in _children(value, path, nodes):
        yield from _duplicates(item, child, where + more, nodes)


def _kind(value: Any) -> str:
    return f'"{type(value).__name__}"'
