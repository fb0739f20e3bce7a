"""Resources that may be wrong: valid ones with one to three changes, from a seed; for the differential test."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from pwasm_compiler.kube.kind import ResourceKind
from pwasm_compiler.kube.kinds import KINDS

Json = dict[str, Any]

DIGEST = "0123456789abcdef" * 4
_ISTIO: Json = {
    "selector": {"matchLabels": {"app": "httpbin"}},
    "match": [{"mode": "SERVER", "ports": [{"number": 80}, {"number": 8080}]}, {"mode": "CLIENT"}],
    "phase": "AUTHN",
    "priority": 10,
}
_WASM: Json = {
    "url": "oci://registry.example/hello:v1",
    "sha256": DIGEST,
    "failStrategy": "FAIL_OPEN",
    "imagePullPolicy": "IfNotPresent",
    "imagePullSecret": "regcred",
    "pluginName": "check",
    "pluginConfig": {"header": "y", "deep": {"n": [1, 2.5, None]}},
    "vmConfig": {"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": "HOST"}]},
}
_TARGET = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "backend"}
SPECS: dict[str, tuple[Json, ...]] = {
    "WasmPlugin": (
        {**_ISTIO, **_WASM, "type": "HTTP"},
        {"targetRefs": [{"kind": "Service", "name": "x", "group": ""}], "url": "r/x:1"},
    ),
    "TrafficExtension": (
        {**_ISTIO, "wasm": {**_WASM, "type": "NETWORK"}},
        {"targetRefs": [{**_TARGET, "kind": "Gateway"}], "wasm": {"url": "https://h/x.wasm"}},
        {"lua": {"inlineCode": "x"}, "phase": "STATS"},
    ),
    "EnvoyFilter": (
        {
            "workloadSelector": {"labels": {"app": "x"}},
            "priority": 1,
            "configPatches": [
                {
                    "applyTo": "EXTENSION_CONFIG",
                    "match": {"context": "ANY"},
                    "patch": {"operation": "ADD", "value": {}},
                },
                {
                    "applyTo": "HTTP_FILTER",
                    "match": {
                        "context": "GATEWAY",
                        "proxy": {"proxyVersion": "^1", "metadata": {"a": "b"}},
                        "listener": {
                            "portNumber": 80,
                            "filterChain": {"filter": {"name": "x", "subFilter": {"name": "y"}}},
                        },
                    },
                    "patch": {"operation": "INSERT_BEFORE", "filterClass": "AUTHZ", "value": {"any": [1]}},
                },
                {
                    "applyTo": "HTTP_FILTER",
                    "match": {"context": "WAYPOINT", "waypoint": {"portNumber": 15008, "route": {"name": "r"}}},
                    "patch": {"operation": "MERGE"},
                },
            ],
        },
        {"targetRefs": [{**_TARGET, "kind": "Gateway"}], "configPatches": []},
    ),
    "EnvoyExtensionPolicy": (
        {
            "targetRefs": [_TARGET, {**_TARGET, "kind": "GRPCRoute", "sectionName": "s"}],
            "mergeType": "StrategicMerge",
            "wasm": [
                {
                    "name": "x",
                    "rootID": "r",
                    "code": {
                        "type": "Image",
                        "image": {
                            "url": "registry.example/x:1",
                            "sha256": DIGEST,
                            "pullSecretRef": {"name": "s", "kind": "Secret"},
                            "tls": {"caCertificateRef": {"name": "ca", "kind": "ConfigMap"}},
                        },
                        "pullPolicy": "Always",
                    },
                    "config": {"a": [1, None]},
                    "failOpen": True,
                    "env": {"hostKeys": ["POD_NAME"]},
                },
                {"code": {"type": "HTTP", "http": {"url": "https://h.example/x.wasm"}}},
            ],
        },
        {
            "targetSelectors": [
                {
                    "kind": "Gateway",
                    "matchLabels": {"a": "b"},
                    "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}],
                    "namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}},
                }
            ],
            "wasm": [{"code": {"type": "Image", "image": {"url": "r/x:1"}}}],
        },
    ),
    "EnvoyPatchPolicy": (
        {
            "type": "JSONPatch",
            "priority": 1,
            "targetRef": {**_TARGET, "kind": "Gateway"},
            "jsonPatches": [
                {
                    "type": "type.googleapis.com/envoy.config.listener.v3.Listener",
                    "name": "a/b/c",
                    "operation": {"op": "add", "jsonPath": "..x", "path": "y", "value": True},
                }
            ],
        },
    ),
    "HigressWasmPlugin": (
        {
            **{name: value for name, value in _WASM.items() if name not in ("type", "pluginConfig")},
            "phase": "AUTHZ",
            "priority": 300,
            "defaultConfig": {"a": 1},
            "defaultConfigDisable": False,
            "matchRules": [
                {"domain": ["*.example"], "ingress": ["a/b"], "service": ["s"], "config": {}, "routeType": "GRPC"}
            ],
        },
    ),
}
_WORDS = [
    "", "x", "*", "a*b", "X Y", "AUTHN", "UNSPECIFIED", "UNSPECIFIED_PHASE", "INVALID", "FAIL_RELOAD", "NETWORK",
    "HOST", "INLINE", "WAYPOINT", "ANY", "Gateway", "Service", "ListenerSet", "ServiceEntry", "Secret",
    "ConfigMap", "r:5000/x:1", "Replace", "JSONMerge", "Selector", "Same", "HTTP", "Image",
    "MERGE_AND_REPLACE_LIST", "ftp://h/x", "file:///x", "oci://r/x", "r/x:1", "http://", "beef",
    "networking.istio.io", "gateway.networking.k8s.io", "core", "é", "a" * 64, "a" * 254, "v" * 2049,
]  # fmt: skip
_VALUES = json.loads(
    "[null, true, false, 0, 1, -1, 80, 65535, 65536, 6554, 2147483648, -2147483648, 1099511627776, 1.5, 1.0, [], {},"
    ' ["x"], {"x": 1}]'
)
_NAMES = [
    "failStrategey", "phase", "targetRef", "targetRefs", "selector", "workloadSelector", "wasm", "lua", "value",
    "valueFrom", "sectionName", "namespace", "mergeType", "namespaces", "waypoint", "cluster", "http", "image",
    "x", "a/b", "", "*",
]  # fmt: skip


def mutants(seed: int, count: int) -> Iterator[tuple[ResourceKind, str, Json]]:
    """Kinds, releases that have them (often the newest), and resources."""
    chance = random.Random(seed)
    for _ in range(count):
        name = chance.choice(list(SPECS))
        kind = KINDS[name]
        releases = list(kind.releases())
        release = releases[-1] if chance.random() < 0.5 else chance.choice(releases)
        spec = copy.deepcopy(chance.choice(SPECS[name]))
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            _change(spec, chance)
        yield kind, release, resource(kind, spec)


def resource(kind: ResourceKind, spec: Json) -> Json:
    """A resource of `kind`."""
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "x"}, "spec": spec}


def _change(spec: Json, chance: random.Random) -> None:
    place = chance.choice(list(_containers(spec)))
    value: Any = chance.choice(_WORDS) if chance.random() < 0.6 else copy.deepcopy(chance.choice(_VALUES))
    if isinstance(place, dict):
        how, keys = chance.random(), list(place)
        if how < 0.2 and keys:
            del place[chance.choice(keys)]
        elif how < 0.4 or not keys:
            place[chance.choice(_NAMES)] = value
        else:
            place[chance.choice(keys)] = value
    elif place and chance.random() < 0.4:
        place.append(copy.deepcopy(chance.choice(place)))
    elif place:
        place[chance.randrange(len(place))] = value
    else:
        place.append(value)


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _containers(item)
