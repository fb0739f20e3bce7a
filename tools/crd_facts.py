"""Read the facts of a release's custom resource definitions (CRDs) into `compiler/pwasm_compiler/kube/crd_facts.json`.

    python tools/crd_facts.py istio=1.26 "istio.io/api v1.26.0" customresourcedefinitions.gen.yaml
    python tools/crd_facts.py                       # what is in the data, and what is new in which release

The files are the products' own, and stay where they are. As Go modules, `go mod download -json MODULE@VERSION` prints
the folder of a version; they are `kubernetes/customresourcedefinitions.gen.yaml` of `istio.io/api`, and below `charts`
in `github.com/envoyproxy/gateway`. Higress keeps them in `helm/core/crds`.

Descriptions are left out, and CEL rules become digests (see `crd_rules`). A keyword that this tool does not know is an
error, so that nothing is lost silently.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "compiler"))

from pwasm_compiler.kube.crd_facts import FILE, Nodes, Product, decoded, order
from pwasm_compiler.kube.kinds import KINDS

Json = dict[str, Any]

OPEN = {
    # Extensions that are not Wasm: their contents are hundreds of fields that pwasm neither writes nor reads.
    "EnvoyExtensionPolicy": ("spec.extProc[]", "spec.lua[]", "spec.dynamicModule[]"),
}
_KEYWORDS = (
    "type", "enum", "pattern", "format", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
    "maxProperties", "required", "nullable", "default",
)  # fmt: skip
_RENAMED = {
    "x-kubernetes-preserve-unknown-fields": "open",
    "x-kubernetes-list-type": "list",
    "x-kubernetes-list-map-keys": "keys",
    "x-kubernetes-int-or-string": "int_or_string",
}
_NO_RULE = {"description", "title", "properties", "items", "additionalProperties", "x-kubernetes-map-type"}
_COMBINED = {"oneOf", "allOf", "anyOf", "x-kubernetes-validations"}
_STRINGS = r"\[\s*'[^']*'(?:\s*,\s*'[^']*')*\s*\]"
_LISTS = re.compile(rf"\[\s*{_STRINGS}(?:\s*,\s*{_STRINGS})*\s*\]|{_STRINGS}")


def main(arguments: list[str]) -> None:
    data = decoded(json.loads(FILE.read_text(encoding="utf-8"))) if FILE.exists() else {}
    if not arguments:
        print("\n".join(_report(data)))
        return
    if len(arguments) < 3 or not re.fullmatch(r"[a-z-]+=\d+\.\d+", arguments[0]):
        sys.exit((__doc__ or "").partition("\n\n")[2])
    name, _, release = arguments[0].partition("=")
    documents = [found for file in arguments[2:] for found in yaml.safe_load_all(Path(file).read_bytes())]
    data[name] = _with(data.get(name, Product({}, {})), release, arguments[1], dict(_kinds(name, documents)))
    FILE.write_text(_text(_encoded(data)), encoding="utf-8")


def _kinds(product: str, documents: list[Any]) -> Iterator[tuple[str, Nodes]]:
    """The kinds of `product` that carry a filter, in its CRDs."""
    wanted = {
        (kind.api_version, kind.kind) for kind in KINDS.values() if kind.product.lower().replace(" ", "-") == product
    }
    for document in documents:
        if not document or document.get("kind") != "CustomResourceDefinition":
            continue
        name, group = document["spec"]["names"]["kind"], document["spec"]["group"]
        for version in document["spec"]["versions"]:
            if (f"{group}/{version['name']}", name) in wanted:
                schema = version["schema"]["openAPIV3Schema"]
                only = {**schema, "properties": {"spec": schema["properties"]["spec"]}}
                yield f"{name} {group}/{version['name']}", dict(_nodes(only, "", OPEN.get(name, ())))


def _nodes(schema: Json, path: str, opened: tuple[str, ...]) -> Iterator[tuple[str, Json]]:
    facts = {"type": "object", "open": True} if path in opened else _facts(schema, path)
    yield path, facts
    if path in opened:
        return
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}" if path else name, opened)
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(keyword), dict):
            yield from _nodes(schema[keyword], path + mark, opened)


def _facts(schema: Json, path: str) -> Json:
    facts = {keyword: schema[keyword] for keyword in _KEYWORDS if keyword in schema}
    facts |= {short: schema[long] for long, short in _RENAMED.items() if long in schema}
    if facts.get("list") == "atomic":
        del facts["list"]
    for part in schema.get("allOf", ()):
        if set(part) != {"enum"}:
            sys.exit(f"{path}: allOf of something else than words: {part}")
        facts["enum"] = [word for word in facts.get("enum", part["enum"]) if word in part["enum"]]
    if "oneOf" in schema:
        facts["one"] = _at_most_one(schema["oneOf"], path)
    if "x-kubernetes-validations" in schema:
        facts["rules"] = sorted(_rule(item["rule"]) for item in schema["x-kubernetes-validations"])
    integers = [{"type": "integer"}, {"type": "string"}]
    if schema.get("anyOf", integers) != integers:
        sys.exit(f"{path}: anyOf of something else than an integer or a string")
    unknown = set(schema) - set(_KEYWORDS) - set(_RENAMED) - _NO_RULE - _COMBINED
    if unknown:
        sys.exit(f"{path}: keywords that this tool does not know: {', '.join(sorted(unknown))}")
    return facts


def _at_most_one(choices: list[Json], path: str) -> list[str]:
    """The fields of `oneOf`, which protobuf's oneof becomes: none of them, or exactly one."""
    none, *each = choices
    if none != {"not": {"anyOf": each}} or any(set(item) != {"required"} for item in each):
        sys.exit(f"{path}: oneOf of something else than one field of several")
    return [item["required"][0] for item in each]


def _rule(text: str) -> list[Any]:
    """The digest of a CEL rule without its spaces and its lists of words; and those lists, sorted."""
    text = " ".join(text.replace('"', "'").split())
    lists = [sorted(json.loads(found.replace("'", '"'))) for found in _LISTS.findall(text)]
    plain = _LISTS.sub("[]", text).replace(" ", "")
    return [hashlib.sha256(plain.encode()).hexdigest()[:10], *lists]


def _with(product: Product, release: str, source: str, kinds: Mapping[str, Nodes]) -> Product:
    """`product` with this release in place of what was known of it."""
    releases = {**product.releases, release: source}
    names = [*product.kinds, *(name for name in kinds if name not in product.kinds)]
    merged = {name: {**product.kinds.get(name, {})} for name in names}
    for name, of_release in merged.items():
        of_release.pop(release, None)
        if name in kinds:
            of_release[release] = kinds[name]
    return Product({key: releases[key] for key in sorted(releases, key=order)}, merged)


def _encoded(data: Mapping[str, Product]) -> Json:
    return {
        name: {
            "releases": dict(product.releases),
            "kinds": {kind: _changes(product, of_release) for kind, of_release in product.kinds.items()},
        }
        for name, product in sorted(data.items())
    }


def _changes(product: Product, of_release: Mapping[str, Nodes]) -> dict[str, list[list[Any]]]:
    fields: dict[str, list[list[Any]]] = {}
    last: dict[str, Any] = {}
    for release in product.releases:
        nodes = of_release.get(release, {})
        for path in {**nodes, **last}:
            if (now := nodes.get(path)) != last.get(path):
                fields.setdefault(path, []).append([release, now])
                last[path] = now
    return dict(sorted(fields.items()))


def _text(data: Json) -> str:
    """JSON with a line for each field: a new release is a short diff."""

    def lines(value: Json, depth: int) -> Iterator[str]:
        for number, (key, item) in enumerate(value.items()):
            comma = "," if number + 1 < len(value) else ""
            if isinstance(item, dict):
                yield f"{' ' * depth}{json.dumps(key)}: {{"
                yield from lines(item, depth + 1)
                yield f"{' ' * depth}}}{comma}"
            else:
                yield f"{' ' * depth}{json.dumps(key)}: {json.dumps(item, ensure_ascii=False)}{comma}"

    return "\n".join(["{", *lines(data, 1), "}", ""])


def _report(data: Mapping[str, Product]) -> Iterator[str]:
    for name, product in data.items():
        yield f"{name}: {', '.join(f'{release} ({source})' for release, source in product.releases.items())}"
        for kind, of_release in product.kinds.items():
            yield f"  {kind}: {', '.join(of_release)}"
            for path, changes in _changes(product, of_release).items():
                for since, facts in changes:
                    if since != next(iter(of_release)):
                        yield f"    {since} {path or '(the resource)'}: {json.dumps(facts)}"


if __name__ == "__main__":
    main(sys.argv[1:])
