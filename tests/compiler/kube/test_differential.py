"""What `check` says, against what a server with the products' CRDs says, of thousands of resources that may be wrong.

`check` may refuse more than a server: each such difference is in `INTENDED`. It may never accept what a server refuses.
The double's answers were compared with those of the real code once, see docs/meshes.md.
"""

from __future__ import annotations

import copy
import functools
import re
from typing import Any, NamedTuple

import pytest

from pwasm_compiler.kube.kinds import KINDS
from pwasm_compiler.kube.releases import found_in
from tests.support.crd_double import answer
from tests.support.resource_mutants import SPECS, mutants, resource

SEED, COUNT = 21, 5_000


class Intended(NamedTuple):
    """A refusal of ours that a server does not share."""

    kinds: str
    said: str
    why: str


INTENDED = (
    Intended(".*", r" is null, but must be", "a server drops such a null: whoever wrote it meant something else"),
    Intended(".*", r"(matchLabels|labels)\b.*does not match", "no pod or route can have such a label"),
    Intended(".*", r"[lL]abels.* is longer than|[lL]abels.*: longer than", "no pod or route can have such a label"),
    Intended(".*", r"\burl is .*(does not match|shorter)", "the product could not fetch from there"),
    Intended("Higress.*|EnvoyEx.*", r"sha256 is .*does not match", "no digest looks like that"),
    Intended("HigressWasmPlugin", r"missing the required field '(url|name)'", "its CRD requires nothing"),
    Intended("HigressWasmPlugin", r"(shorter|longer) than|(less|more) than", "its CRD has none of Istio's limits"),
    Intended("HigressWasmPlugin", r"makes Higress ignore|or Higress ignores", "Higress would ignore a part, or all"),
    Intended("HigressWasmPlugin", r"belongs into ingress|Higress replaces", "Higress makes it of matchRules"),
    Intended("EnvoyFilter", r"missing the required field '(applyTo|patch|operation)'", "such a patch does nothing"),
    Intended("EnvoyFilter", r'"INVALID": does not match', "the zero value of an enumeration of protobuf"),
    Intended("EnvoyExtensionPolicy", r"spec must have targetRefs", "an empty list of targets selects nothing"),
    Intended("EnvoyExtensionPolicy", r"targetSelectors\[\d+\]\.kind is", "such a selector selects nothing"),
    Intended("EnvoyExtensionPolicy", r"mergeType is", "Envoy Gateway knows two words"),
    Intended("EnvoyExtensionPolicy", r"wasm\[\d+\]\.name is \"\"", "an empty name is no name"),
    Intended("EnvoyExtensionPolicy", r"pullSecretRef\.group is", "Secrets have no group"),
    Intended("EnvoyPatchPolicy", r"targetRef\.(kind|group) is|name is \"\"", "Envoy Gateway patches Gateways only"),
)


_LONG = "a" * 64
_REMOVED = object()
EXAMPLES: list[tuple[str, int, str, Any]] = [
    # for each row of INTENDED: a spec of SPECS, and what is changed in it
    ("WasmPlugin", 0, "sha256", None),
    ("WasmPlugin", 0, "selector.matchLabels.app", "X Y"),
    ("EnvoyExtensionPolicy", 1, "targetSelectors.0.matchLabels.a", _LONG),
    ("HigressWasmPlugin", 0, "url", "ftp://h/x"),
    ("HigressWasmPlugin", 0, "sha256", "beef"),
    ("HigressWasmPlugin", 0, "url", _REMOVED),
    ("HigressWasmPlugin", 0, "pluginName", "a" * 257),
    ("HigressWasmPlugin", 0, "pluginConfig", {}),
    ("HigressWasmPlugin", 0, "matchRules.0.config._match_domain_", ["x"]),
    ("EnvoyFilter", 0, "configPatches.0.applyTo", _REMOVED),
    ("EnvoyFilter", 0, "configPatches.0.applyTo", "INVALID"),
    ("EnvoyExtensionPolicy", 0, "targetRefs", []),
    ("EnvoyExtensionPolicy", 1, "targetSelectors.0.kind", "Service"),
    ("EnvoyExtensionPolicy", 0, "mergeType", "x"),
    ("EnvoyExtensionPolicy", 0, "wasm.0.name", ""),
    ("EnvoyExtensionPolicy", 0, "wasm.0.code.image.pullSecretRef.group", "core"),
    ("EnvoyPatchPolicy", 0, "targetRef.kind", "HTTPRoute"),
]


@pytest.mark.parametrize(("example", "row"), list(zip(EXAMPLES, INTENDED, strict=True)))
def test_a_difference_that_is_intended(example: tuple[str, int, str, Any], row: Intended) -> None:
    name, number, path, value = example
    spec = copy.deepcopy(SPECS[name][number])
    steps: list[Any] = [int(part) if part.isdigit() else part for part in path.split(".")]
    *above, last = steps
    place: Any = functools.reduce(lambda at, key: at[key], above, spec)
    if value is _REMOVED:
        del place[last]
    else:
        place[last] = value
    kind = KINDS[name]
    document, release = resource(kind, spec), kind.known_releases()[-1]
    server = answer(document, kind.releases()[release])
    assert (server.unknown, server.duplicates, server.errors) == ((), (), ())
    assert re.fullmatch(row.kinds, name)
    assert any(re.search(row.said, line) for line in found_in(kind, document, release))


@pytest.mark.slow
def test_every_difference_is_intended() -> None:
    used: set[Intended] = set()
    accepted = 0
    for kind, release, document in mutants(SEED, COUNT):
        server = answer(document, kind.releases()[release])
        refused = [*server.unknown, *server.duplicates, *server.errors]
        ours = found_in(kind, document, release)
        assert ours or not refused, (release, document, refused)
        accepted += not ours
        for line in ours if not refused else ():
            rows = [row for row in INTENDED if re.fullmatch(row.kinds, kind.name) and re.search(row.said, line)]
            assert rows, (release, document, line)
            used.update(rows)
    assert accepted > COUNT / 10
    assert len(used) > len(INTENDED) / 2, "the mutants no longer reach what differs"


def test_what_the_mutants_are_made_of_is_accepted() -> None:
    for name, specs in SPECS.items():
        kind = KINDS[name]
        for spec in specs:
            document = resource(kind, spec)
            release = kind.known_releases()[-1]
            assert found_in(kind, document, release) == []
            server = answer(document, kind.releases()[release])
            assert (server.unknown, server.duplicates, server.errors) == ((), (), ())
