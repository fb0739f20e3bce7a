"""The rules of CRDs that JSON schemas cannot express: CEL rules, lists that are maps, one field of several.

A CEL rule is in the data as the digest of its text, with the lists of words in it (`tools/crd_facts.py`), because the
text belongs to the product. Here is what each of them means, in our words. A rule that is not in `RULES` would be
unknown to pwasm: a test fails while the data has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pwasm_compiler.kube import go_urls
from pwasm_compiler.kube.crd_facts import Facts, Nodes
from pwasm_compiler.kube.schemas import GATEWAY_API

Words = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class _Rule:
    """Whether a value obeys, given the lists in the rule; and what to say of one that does not."""

    obeyed: Callable[[Any, Words], bool]
    said: str
    """`{0}` is the first of the lists."""


def _few(*names: str) -> Callable[[Any, Words], bool]:
    return lambda value, _: sum(name in value for name in names) <= 1


def _refs(value: Any) -> list[Any]:
    """All references of an Envoy Gateway policy to its targets."""
    return [*([value["targetRef"]] if "targetRef" in value else []), *value.get("targetRefs", ())]


def _scheme(value: Any, words: Words) -> bool:
    """A URL has one of these schemes; what is no URL becomes one with a scheme before it."""
    found = go_urls.scheme(value)
    return (found if found is not None else go_urls.scheme(f"http://{value}")) in words[0]


def _kinds_of_routes(value: Any, words: Words) -> bool:
    chosen = [*_refs(value), *value.get("targetSelectors", ())]
    return "mergeType" not in value or all(item["kind"] in words[0] for item in chosen)


def _waypoint(value: Any, _: Words) -> bool:
    in_waypoint: bool = value.get("context") == "WAYPOINT"
    return in_waypoint == ("waypoint" in value)


def _one_way_to_targets(value: Any, _: Words) -> bool:
    return ("targetRef" in value) != ("targetRefs" in value) or bool(value.get("targetSelectors"))


_FORBIDDEN_NAMESPACE = "must be empty: targets are in the resource's own namespace"

RULES = {
    "0b3f22cae5": _Rule(_scheme, "must be a URL with a scheme of {0}; before the name of an image, write oci://"),
    "53965602dc": _Rule(
        lambda v, _: v.get("valueFrom") != "HOST" or "value" not in v, "has both a value and valueFrom HOST"
    ),
    "028fb5fa53": _Rule(lambda v, _: not any("*" in key for key in v), "must not have a * in a key"),
    "e7273ae062": _Rule(lambda v, _: "" not in v, "must not have an empty key"),
    "ff502b732b": _Rule(lambda v, _: "*" not in v, "must not have a *"),
    "f75f1cfe44": _Rule(lambda v, w: [v.get("group"), v["kind"]] in w[0], "must be [group, kind] of one of {0}"),
    "51ab6e01c0": _Rule(lambda v, _: not v, _FORBIDDEN_NAMESPACE),
    "e6a5059609": _Rule(
        _few("selector", "targetRef", "targetRefs"), "must not have more than one of selector, targetRef and targetRefs"
    ),
    "a8671dbd99": _Rule(_few("selector", "targetRefs"), "must not have more than one of selector and targetRefs"),
    "f8fbd77b4d": _Rule(_few("workloadSelector", "targetRefs"), "must not have both workloadSelector and targetRefs"),
    "2e9e45e665": _Rule(_waypoint, "must have waypoint if its context is WAYPOINT, and only then"),
    "3879e69923": _Rule(
        lambda v, _: isinstance(v, int) and 0 < v <= 6553, "must be from 1 to 6553"
    ),  # Istio 1.29 has lost a digit
    "71d8ed24bc": _Rule(lambda v, _: isinstance(v, int) and 0 < v <= 65535, "must be from 1 to 65535"),
    "caf60c0273": _Rule(lambda v, _: ("wasm" in v) != ("lua" in v), "must have exactly one of wasm and lua"),
    "b77e87c846": _Rule(
        _one_way_to_targets,
        "must have targetRefs (--target KIND/NAME) or targetSelectors, and not both targetRef and targetRefs",
    ),
    "0f967d6bad": _Rule(
        lambda v, _: v.get("targetRef", {}).get("group", GATEWAY_API) == GATEWAY_API,
        f"must have a targetRef of the group {GATEWAY_API}",
    ),
    "2000dc9faa": _Rule(
        lambda v, _: all(ref["group"] == GATEWAY_API for ref in v.get("targetRefs", ())),
        f"must have targetRefs of the group {GATEWAY_API}",
    ),
    "4c89a68bf3": _Rule(
        lambda v, w: "targetRef" not in v or v["targetRef"]["kind"] in w[0], "must have a targetRef of a kind of {0}"
    ),
    "74dbc030c3": _Rule(
        lambda v, w: all(ref["kind"] in w[0] for ref in v.get("targetRefs", ())),
        "must have targetRefs of a kind of {0}",
    ),
    "9327c25056": _Rule(
        lambda v, _: "sectionName" not in v.get("targetRef", {}), "must not have a targetRef with sectionName"
    ),
    "56e76fbb9f": _Rule(
        lambda v, _: not any("sectionName" in ref for ref in v.get("targetRefs", ())),
        "must not have targetRefs with sectionName",
    ),
    "5653dcbdbc": _Rule(lambda v, _: v.get("group", GATEWAY_API) == GATEWAY_API, f"must be of the group {GATEWAY_API}"),
    "35a6f3d731": _Rule(
        lambda v, _: (v["type"] == "HTTP") == ("http" in v), "must have exactly the field http if its type is HTTP"
    ),
    "1a29938667": _Rule(
        lambda v, _: (v["type"] == "Image") == ("image" in v), "must have exactly the field image if its type is Image"
    ),
    "e723784dea": _Rule(lambda v, _: v.get("kind", "Secret") == "Secret", "must be of the kind Secret"),
    "d0ab8dd669": _Rule(_kinds_of_routes, "must have only targets of a kind of {0}, because it has mergeType"),
    "4a6b0ad84a": _Rule(lambda v, _: v != "Replace", "must not be Replace"),
    "4286478b5c": _Rule(
        lambda v, _: v.get("from") != "Selector" or "selector" in v, "must have a selector if from is Selector"
    ),
}


def breaches(document: Any, nodes: Nodes) -> Iterator[str]:
    """What in `document` breaks such a rule; its types are those of the CRD, as a schema has found."""
    yield from _of_value(document, "", "", nodes)


def _of_value(value: Any, path: str, where: str, nodes: Nodes) -> Iterator[str]:
    facts = nodes.get(path)
    if facts is None or value is None:
        return
    yield from (f"{where} {said}" for said in _of_facts(value, facts))
    if isinstance(value, dict):
        for key, item in value.items():
            field = f"{path}.{key}" if path else key
            place = f"{where}.{key}" if where else key
            yield from _of_value(item, field if field in nodes else path + "{}", place, nodes)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _of_value(item, path + "[]", f"{where}[{number}]", nodes)


def _of_facts(value: Any, facts: Facts) -> Iterator[str]:
    for digest, *words in facts.get("rules", ()):
        rule = RULES[digest]
        if not rule.obeyed(value, words):
            yield rule.said.format(_shown(words[0]) if words else "")
    chosen = [name for name in facts.get("one", ()) if name in value]
    if len(chosen) > 1:
        yield f"must not have more than one of {' and '.join(chosen)}"
    if facts.get("list") == "map":
        keys = [tuple(item.get(key) for key in facts["keys"]) for item in value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            yield f"has {' '.join(facts['keys'])} {' '.join(map(str, twice))} more than once"


def _shown(words: Sequence[Any]) -> str:
    return ", ".join("none" if word == "" else str(word) for word in words)
