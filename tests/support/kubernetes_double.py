"""A DOUBLE of a Kubernetes API server: enough for a real kubectl, and for nothing else.

It discovers, applies server-side with field managers and conflicts, compares with dryRun, and gives back what it has.
It refuses what a server with the products' CRDs of `releases` refuses (crd_double.py), but hardly looks at metadata.
What a controller would write is scripted: `statuses` holds for each object the statuses that its GETs answer, one after
the other, the last for ever.
"""

from __future__ import annotations

import copy
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from pwasm_compiler.kube.crd_facts import Nodes, products
from tests.support.crd_double import answer

Json = dict[str, Any]
Key = tuple[str, str, str]
"""Plural with group (as kubectl names it), namespace, name."""

KINDS = {
    # group/version → plural → kind
    "v1": {"services": "Service", "namespaces": "Namespace", "pods": "Pod"},
    "apps/v1": {"deployments": "Deployment"},
    "extensions.istio.io/v1alpha1": {"wasmplugins": "WasmPlugin", "trafficextensions": "TrafficExtension"},
    "extensions.higress.io/v1alpha1": {"wasmplugins": "WasmPlugin"},
    "networking.istio.io/v1alpha3": {"envoyfilters": "EnvoyFilter"},
    "gateway.envoyproxy.io/v1alpha1": {
        "envoyextensionpolicies": "EnvoyExtensionPolicy",
        "envoypatchpolicies": "EnvoyPatchPolicy",
    },
    "gateway.networking.k8s.io/v1": {"gateways": "Gateway", "httproutes": "HTTPRoute"},
    "apiextensions.k8s.io/v1": {"customresourcedefinitions": "CustomResourceDefinition"},
}
PRODUCTS = {"extensions.istio.io": "istio", "networking.istio.io": "istio", "extensions.higress.io": "higress",
            "gateway.envoyproxy.io": "envoy-gateway"}  # fmt: skip
"""API group → product."""
CLUSTER_WIDE = {"namespaces", "customresourcedefinitions"}


@dataclass
class ApiServer:
    """The double's objects, and the requests it received."""

    url: str = ""
    kinds: dict[str, dict[str, str]] = field(default_factory=lambda: copy.deepcopy(KINDS))
    objects: dict[Key, Json] = field(default_factory=dict)
    owners: dict[Key, dict[str, str]] = field(default_factory=dict)
    statuses: dict[Key, list[Json | None]] = field(default_factory=dict)
    releases: dict[str, str] = field(default_factory=dict)
    """Product → the release whose CRDs are installed; otherwise the newest that is known."""
    refuse: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """HTTP method, or method and plural → (code, reason, message) that it is answered with, for objects."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def put(self, plural: str, name: str, content: Json, namespace: str = "default") -> None:
        """Add an existing object."""
        metadata = {"name": name, "namespace": namespace, **content.get("metadata", {})}
        self.objects[plural, namespace, name] = {**content, "metadata": metadata}

    def install(self, product: str, release: str) -> None:
        """Have this release's CRDs, and only the kinds that are in it."""
        self.releases[product] = release
        for name, of_release in products()[product].kinds.items():
            kind, _, version = name.partition(" ")
            if release not in of_release:
                self.kinds[version] = {plural: it for plural, it in self.kinds[version].items() if it != kind}

    def rules(self, kind: Json) -> Nodes | None:
        """The facts of a kind's CRD; None if no product of ours has it."""
        product = PRODUCTS.get(kind["apiVersion"].partition("/")[0])
        if product is None:
            return None
        known = products()[product]
        return known.kinds[f"{kind['kind']} {kind['apiVersion']}"][self.releases.get(product, list(known.releases)[-1])]

    def applied(self) -> list[tuple[str, dict[str, str]]]:
        """Path and query of each change that was made, not of comparisons."""
        return [(path, query) for method, path, query in self.requests if method == "PATCH" and "dryRun" not in query]

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig for this server, with a context `double`."""
        file = folder / "kubeconfig"
        cluster = {"name": "double", "cluster": {"server": self.url}}
        context = {"name": "double", "context": {"cluster": "double", "user": "nobody", "namespace": "default"}}
        document = {
            "apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context],
            "current-context": "double", "users": [{"name": "nobody", "user": {}}],
        }  # fmt: skip
        file.write_text(json.dumps(document))
        return file


@contextmanager
def api_server() -> Iterator[ApiServer]:
    """A double on a free port of 127.0.0.1."""
    state = ApiServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ApiServer

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        path, query = self._request()
        parts = path.strip("/").split("/")
        if path == "/version":
            return self._send(200, {"major": "1", "minor": "33", "gitVersion": "v1.33.0-double"})
        if path == "/api":
            return self._send(200, {"kind": "APIVersions", "versions": ["v1"]})
        if path == "/apis":
            return self._send(
                200,
                {
                    "kind": "APIGroupList",
                    "apiVersion": "v1",
                    "groups": [_group(gv) for gv in self.state.kinds if "/" in gv],
                },
            )
        version = "/".join(parts[1:] if parts[0] == "apis" else parts[1:2])
        if version in self.state.kinds and len(parts) == (3 if parts[0] == "apis" else 2):
            return self._send(200, _resources(version, self.state.kinds[version]))
        if path.startswith("/openapi"):
            return self._openapi(path)
        return self._object(path, "GET", query)

    def do_PATCH(self) -> None:
        path, query = self._request()
        self._object(path, "PATCH", query)

    def _object(self, path: str, method: str, query: dict[str, str]) -> None:
        parts = path.strip("/").split("/")
        start = 3 if parts[0] == "apis" else 2
        version, rest = "/".join(parts[1:start]), parts[start:]
        namespace = rest[1] if rest[:1] == ["namespaces"] and len(rest) > 2 else ""
        plural, name = (rest[2:] if namespace else rest)[:1], (rest[2:] if namespace else rest)[1:2]
        kinds = self.state.kinds.get(version, {})
        if not plural or plural[0] not in kinds:
            return self._status(404, "NotFound", "the server could not find the requested resource")
        refusal = self.state.refuse.get(method) or self.state.refuse.get(f"{method} {plural[0]}")
        if refusal:
            return self._status(*refusal)
        group = version.rpartition("/")[0]
        full = f"{plural[0]}.{group}" if group else plural[0]
        if not name:
            selected = dict(part.split("=", 1) for part in query.get("labelSelector", "").split(",") if part)
            found = [
                item
                for key, item in self.state.objects.items()
                if key[0] == full and key[1] == (namespace or key[1])
                if selected.items() <= item["metadata"].get("labels", {}).items()
            ]
            return self._send(
                200, {"kind": f"{kinds[plural[0]]}List", "apiVersion": version, "metadata": {}, "items": found}
            )
        key = (full, namespace, name[0])
        if method == "PATCH":
            return self._apply(key, query, {"apiVersion": version, "kind": kinds[plural[0]]})
        if key not in self.state.objects:
            return self._status(404, "NotFound", f'{full} "{name[0]}" not found')
        return self._send(200, {"apiVersion": version, "kind": kinds[plural[0]], **self._with_status(key)})

    def _with_status(self, key: Key) -> Json:
        found = self.state.objects[key]
        script = self.state.statuses.get(key)
        if script:
            status = script.pop(0) if len(script) > 1 else script[0]
            if status is not None:
                found["status"] = status  # as a controller would write it
        return found

    def _apply(self, key: Key, query: dict[str, str], kind: Json) -> None:
        wanted = yaml.safe_load(self.body)
        if self.headers["Content-Type"] != "application/apply-patch+yaml":
            return self._status(415, "UnsupportedMediaType", "this double takes server-side apply only")
        manager, owners = query["fieldManager"], dict(self.state.owners.get(key, {}))
        there = self.state.objects.get(key)
        leaves = dict(_leaves(wanted.get("spec", {})))
        theirs = [
            path for path, value in leaves.items() if owners.get(path, manager) != manager and _at(there, path) != value
        ]
        if theirs and query.get("force") != "true":
            return self._status(
                409,
                "Conflict",
                f'Apply failed with {len(theirs)} conflict: conflict with "{owners[theirs[0]]}": .spec.{theirs[0]}',
            )
        refused = self._refusal(key, kind, wanted)
        if refused is not None:
            return self._status(*refused)
        spec = copy.deepcopy((there or {}).get("spec", {}))
        for path in [path for path, owner in owners.items() if owner == manager and path not in leaves]:
            _remove(spec, path)
        _merge(spec, wanted.get("spec", {}))
        metadata = {**(there or {}).get("metadata", {}), **wanted["metadata"]}
        changed = there is None or spec != there.get("spec")
        metadata["generation"] = metadata.get("generation", 0) + changed
        metadata["resourceVersion"] = str(int(metadata.get("resourceVersion", "0")) + changed)
        metadata.setdefault("uid", "00000000-0000-0000-0000-000000000001")
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        status = {"status": there["status"]} if there and "status" in there else {}
        made = {**kind, "metadata": metadata, "spec": spec, **status}
        if "dryRun" not in query:
            self.state.objects[key] = made
            self.state.owners[key] = owners | dict.fromkeys(leaves, manager)
        return self._send(200 if there else 201, made)

    def _refusal(self, key: Key, kind: Json, wanted: Json) -> tuple[int, str, str] | None:
        """Code, reason and message with which a server refuses what is applied, as server-side apply says it."""
        nodes = self.state.rules(kind)
        if nodes is None:
            return None
        said = answer({**wanted, **kind}, nodes)
        undeclared = [f".{field.lstrip('.')}: field not declared in schema" for field in said.unknown]
        if untyped := (*undeclared, *said.duplicates):
            group, _, version = kind["apiVersion"].partition("/")
            what = f"({key[1]}/{key[2]}; {group}/{version}, Kind={kind['kind']})"
            return 500, "InternalError", f"failed to create typed patch object {what}: {untyped[0]}"
        if said.errors:
            group = kind["apiVersion"].partition("/")[0]
            listed = said.errors[0] if len(said.errors) == 1 else f"[{', '.join(said.errors)}]"
            return 422, "Invalid", f'{kind["kind"]}.{group} "{key[2]}" is invalid: {listed}'
        return None

    def _openapi(self, path: str) -> None:
        """No schemas; only that PATCH takes `fieldValidation`, so that kubectl leaves the validation to the server."""
        kinds = self.state.kinds
        if path == "/openapi/v3":
            places = {version: f"{'apis' if '/' in version else 'api'}/{version}" for version in kinds}
            return self._send(200, {"paths": {p: {"serverRelativeURL": f"/openapi/v3/{p}"} for p in places.values()}})
        version = path.removeprefix("/openapi/v3/").partition("/")[2]
        paths = {
            f"{path.removeprefix('/openapi/v3')}/namespaces/{{namespace}}/{plural}/{{name}}": {
                "patch": {
                    "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
                    "responses": {},
                    "x-kubernetes-group-version-kind": {
                        "group": version.rpartition("/")[0], "version": version.rpartition("/")[2], "kind": kind,
                    },
                }
            }
            for plural, kind in kinds.get(version, {}).items()
        }  # fmt: skip
        return self._send(200, {"openapi": "3.0.0", "info": {"title": "double", "version": "1"}, "paths": paths})

    def _request(self) -> tuple[str, dict[str, str]]:
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.state.requests.append((self.command, parts.path, query))
        return parts.path, query

    def _status(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self._send(code, {**status, "message": message, "reason": reason, "code": code})

    def _send(self, code: int, document: Json) -> None:
        data = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _group(version: str) -> Json:
    entry = {"groupVersion": version, "version": version.rpartition("/")[2]}
    return {"name": version.rpartition("/")[0], "versions": [entry], "preferredVersion": entry}


def _resources(version: str, kinds: dict[str, str]) -> Json:
    resources = [
        {
            "name": plural,
            "singularName": kind.lower(),
            "namespaced": plural not in CLUSTER_WIDE,
            "kind": kind,
            "verbs": ["get", "list", "patch", "watch"],
        }
        for plural, kind in kinds.items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of everything that is not a mapping; a list is one value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    else:
        yield path, value


def _at(there: Json | None, path: str) -> Any:
    value: Any = (there or {}).get("spec", {})
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _remove(spec: Json, path: str) -> None:
    *parents, last = path.split(".")
    for part in parents:
        spec = spec.get(part, {})
    spec.pop(last, None)


def _merge(into: Json, changes: Json) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)
