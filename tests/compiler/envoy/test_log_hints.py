"""`pwasm status --log`: what messages mean, and that their cause is shown.

The lines are short ones in the form in which the products print them; `tests/compiler/envoy/test_status.py` and
`test_remote_code.py` have those that a real Envoy prints.
"""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

from pwasm_compiler.envoy.log_hints import EXPLANATIONS, explain, explanation_of
from tests.support.command_line import Pwasm

AGENT = "2026-01-01T00:00:00Z\terror\twasm\terror in converting the wasm config to local: "
DENY = ". applying deny RBAC filter"
MODULE = AGENT + "cannot fetch Wasm module oci://r.example/team/a:b: "
IMAGE = MODULE + "could not fetch Wasm OCI image: could not fetch manifest: "
GET = 'Get "https://r.example/v2/": '
FAILOPEN = "T\terror\twasm\terror in applying failopen rbac config: cannot fetch Wasm module oci://r.example/a:b: "
FORMAT = "could not fetch Wasm binary: the given image is in invalid format as an OCI image: 2 errors occurred:\n"
ENVOY = "[2026-01-01 00:00:00.000][1][warning][config] [a/b.cc:1] "
PROXY = "2026-01-01T00:00:00Z\twarning\tenvoy wasm\t"
GATEWAY = "2026-01-01T00:00:00Z\tERROR\twasm-cache\twasm/httpserver.go:1\tFailed to get Wasm module\t"
POLICY = "T\tinfo\tgateway-api\tx.go:1\tsetting 500 direct response in routes due to errors in EnvoyExtensionPolicy\t"

REPLACED = "It is replaced by a filter that denies"
NO_UPDATE = "refused the whole update"
NOT_ACCEPTED = "the policy is not accepted"
ANSWERED_500 = "answers every request of the policy's routes with 500"

# the line → what is said of its cause, what the excerpt shows, and what is said of the effect
CAUSES: dict[str, tuple[str, str, str | None]] = {
    # Istio's agent
    IMAGE + "GET https://r.example/v2/a/manifests/b: UNAUTHORIZED: authentication required" + DENY: (
        "refused the credentials", "UNAUTHORIZED", REPLACED),
    MODULE + "module downloaded from oci://r.example/a:b has checksum aa, which does not match: bb" + DENY: (
        "sha256 does not match", "has checksum aa", REPLACED),
    IMAGE + GET + 'rejected unsafe bearer realm: realm scheme "" not allowed' + DENY: (
        "from 1.27.8, 1.28.5 and 1.29.1 on", 'scheme ""', REPLACED),
    IMAGE + GET + "dial tcp: lookup r.example on 10.0.0.10:53: no such host" + DENY: (
        "does not resolve", "no such host", REPLACED),
    IMAGE + GET + "tls: failed to verify certificate: x509: certificate signed by unknown authority" + DENY: (
        "a CA that the fetching process does not trust", "unknown authority", REPLACED),
    IMAGE + GET + "tls: failed to verify certificate: x509: certificate has expired or is not yet valid" + DENY: (
        "is not valid for it", "has expired", REPLACED),
    IMAGE + GET + "dial tcp 10.0.0.1:443: connect: connection refused" + DENY: (
        "does not accept connections", "connection refused", REPLACED),
    IMAGE + GET + "context deadline exceeded" + DENY: ("30 seconds", "deadline", REPLACED),
    IMAGE + GET + "http: server gave HTTP response to HTTPS client" + DENY: (
        "try that by themselves", "HTTP response", REPLACED),
    IMAGE + "connection blocked: resolved IP 169.254.1.1 is link-local" + DENY: ("link-local", "169.254", REPLACED),
    MODULE + "fetched Wasm binary from https://f.example/a.wasm is invalid" + DENY: (
        "not Wasm", "is invalid", REPLACED),
    MODULE + "wasm module download failed after 5 attempts, last error: wasm module download request failed: "
    "status code 404" + DENY: ("did not answer with 200", "404", REPLACED),
    MODULE + "unsupported Wasm module downloading URL scheme: ftp" + DENY: ("neither oci://", "ftp", REPLACED),
    AGENT + "cannot fetch Wasm module web.a: missing image pulling secret" + DENY: (
        "Secret named in imagePullSecret", "missing image", REPLACED),
    MODULE + "could not fetch Wasm binary: plugin.wasm not found in the archive" + DENY: (
        "no file plugin.wasm", "plugin.wasm", REPLACED),
    IMAGE + "no child with platform linux/amd64 in index" + DENY: ("without a linux/amd64", "no child", REPLACED),
    FAILOPEN + FORMAT + "\t* could not parse as oci variant: number of layers must be 2 but got 3": (
        "none of the three formats", "must be 2 but got 3", NO_UPDATE),
    FAILOPEN.replace("error in applying failopen rbac config", "convert the wasm config") + FORMAT
    + "\t* could not parse as compat variant: invalid media type application/x (expect y)": (
        "none of the three formats", "invalid media type", NO_UPDATE),
    # Envoy Gateway
    GATEWAY + '{"URL": "oci://r.example/a:b", "error": "could not fetch Wasm OCI image: could not fetch manifest: GET '
    'https://r.example/v2/a/manifests/b: MANIFEST_UNKNOWN: manifest unknown"}': (
        "no such image", "MANIFEST_UNKNOWN", NOT_ACCEPTED),
    GATEWAY + '{"URL": "oci://r.example/a:b", "error": "module downloaded from oci://r.example/a:b has checksum aa, '
    'which does not match: bb"}': ("sha256 does not match", "which does not match: bb", NOT_ACCEPTED),
    GATEWAY + '{"error": "could not fetch Wasm OCI image: Get \\"https://r.example/v2/\\": tls: failed to verify '
    'certificate: x509: certificate signed by unknown authority (possibly because of \\"x509: invalid\\")"}': (
        "a CA that the fetching process does not trust", "unknown authority", NOT_ACCEPTED),
    POLICY + '{"routes": ["httproute/a/b/rule/0/match/0/*"], "error": "Wasm: could not fetch Wasm OCI image: could not '
    'fetch manifest: GET https://r.example/v2/a/manifests/b: MANIFEST_UNKNOWN: manifest unknown"}': (
        "no such image", "MANIFEST_UNKNOWN", ANSWERED_500),
    'T\tERROR\twasm-cache\tx.go:1\t\t{"error": "failed to get Wasm module oci://r.example/a:b after 10 attempts"}': (
        "an hour later", "after 10 attempts", None),
    "T\tERROR\twasm-cache\tx.go:1\twasm cache size exceeded the limit: 1073741824": (
        "1 GiB for all of them", "exceeded", None),
    "T\tERROR\tgateway-api\tx\tWasm: wasm module size 1 exceeds maximum size 268435456": (
        "256 MiB", "exceeds maximum", None),
    "T\tERROR\tgateway-api\tx\tWasm: missing .dockerconfigjson key in secret a/b": (
        "has no .dockerconfigjson", "secret a/b", None),
    "T\tERROR\tgateway-api\tx\tWasm: secret a/b does not exist": ("does not exist", "secret a/b", None),
    "T\tERROR\twasm-cache\tx\tfailed to check permission for image\toci wasm module": (
        "no longer opens", "permission", None),
    ENVOY + "cds: cluster 'wasm_cluster' config rejected: Invalid path: /certs/ca.crt": (
        "Envoy Gateway's module server", "/certs/ca.crt", "A new version of a cluster"),
    # Envoy, by itself or under Istio's agent
    PROXY + "createWasm: failed to load (in progress) from https://f.example/a.wasm": (
        "still being fetched for another", "in progress", None),
    PROXY + "createWasm: failed to load (cached) from https://g.example:18002/0.wasm": (
        "less than 10 seconds ago", "cached", None),
    PROXY + "Wasm VM failed Failed to load Wasm code": ("runtime does not exist", "Failed to load", None),
    PROXY + "Wasm VM failed Failed to initialize Wasm code": ("not linked or started", "initialize", None),
    PROXY + "Wasm VM failed Failed to configure base Wasm plugin": (
        "refused its configuration", "configure base", None),
    PROXY + "Wasm VM failed Failed to start base Wasm": ("The VM did not start", "start base", None),
    PROXY + "Function: proxy_on_context_create failed: Uncaught RuntimeError: unreachable": (
        "The VM crashed", "proxy_on_context_create", None),
    ENVOY + "gRPC config for type.googleapis.com/envoy.config.listener.v3.Listener rejected: Error adding/updating "
    "listener(s) 0.0.0.0_8080: Unable to create Wasm network filter a": (
        "filter failed to start", "network filter a", "A new version of a listener"),
    ENVOY + "gRPC config for type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig rejected: Unable to create "
    "Wasm plugin web.a": ("filter failed to start", "plugin web.a", "A new version of the filter"),
    ENVOY + "fetch remote data [uri = http://f.example/a.wasm]: response status code 404": (
        "did not answer with 200", "404", None),
    ENVOY + "fetch remote data [uri = http://f.example/a.wasm]: response status code 504": (
        "no response within the timeout", "504", None),
    ENVOY + "fetch remote data [uri = http://f.example/a.wasm]: data is invalid": (
        "does not have the SHA-256", "is invalid", None),
    ENVOY + "fetch remote data [uri = http://f.example/a.wasm]: network error reset": (
        "could not be read", "network error", None),
    ENVOY + "only one of fail_open or failure_policy can be set": ("old name", "fail_open", None),
    ENVOY + "Using deprecated option 'envoy.extensions.wasm.v3.PluginConfig.capability_restriction_config' from file": (
        "1.40", "deprecated", None),
    ENVOY + "Protobuf message has unknown fields … capability_restriction_config: no such field": (
        "next to vm_config", "no such field", None),
    ENVOY + "node  'id'  and 'cluster' are required. Set it": ("Without a node", "are required", None),
    ENVOY + "Attempted call to restricted proxy-wasm capability: proxy_http_call": ("does not list", "Attempted", None),
    ENVOY + "wasm log x: Uncaught RangeError: Maximum call stack size exceeded": ("Recursion", "Maximum", None),
}  # fmt: skip

EFFECTS = {
    # a line that says no cause → what is said of it, and what is shown
    AGENT + "something new" + DENY: ("denies every request with 403", "something new"),
    FAILOPEN + "something new": (NO_UPDATE, "something new"),
    "RBAC: access denied": ("403", "access denied"),
    POLICY + '{"error": "something new"}': (ANSWERED_500, "something new"),
    GATEWAY + '{"URL": "oci://r.example/a:b", "error": "something new"}': (NOT_ACCEPTED, "something new"),
    ENVOY + "Plugin web.a failed to load": ("answered with 503", "web.a"),
    ENVOY + "Plugin configured to fail closed failed to load": ("answered with 503", "fail closed"),
    ENVOY + "Filesystem config update rejected: something new": ("last good one", "something new"),
    ENVOY + "lds: listener 'http' config rejected: something new": ("version of a listener", "something new"),
    ENVOY + "cds: cluster 'x' config rejected: something new": ("version of a cluster", "something new"),
    "T\twarn\tads\tADS:ECDS: ACK ERROR a.b-1 Internal:something new": ("the proxy refused", "something new"),
}


@pytest.mark.parametrize("line", CAUSES, ids=[said for said, _, _ in CAUSES.values()])
def test_the_cause_is_explained_and_shown(line: str) -> None:
    said, shown, effect = CAUSES[line]
    (found,) = explain(line.splitlines(keepends=True))
    assert said in f"{found.explanation.meaning} {found.explanation.hint}"
    assert shown in found.excerpt
    assert (found.effect.meaning if found.effect else "None").find(effect or "None") >= 0


@pytest.mark.parametrize("line", EFFECTS)
def test_an_effect_without_a_known_cause(line: str) -> None:
    said, shown = EFFECTS[line]
    (found,) = explain([line])
    assert (found.explanation.effect, found.effect) == (True, None)
    assert said in found.explanation.meaning
    assert shown in found.excerpt


# Lines of other programs, of filters and of other parts of the products, with words that are in the table.
STRANGERS = [
    "wasm log my_filter: upstream said 401 Unauthorized",
    "wasm log my_filter: dial tcp 10.0.0.1:80: connect: connection refused",
    "2026-01-01T00:00:00Z\twarn\txdsproxy\tconnect to istiod: dial tcp 10.0.0.1:15012: connect: connection refused",
    "2026-01-01T00:00:00Z\terror\tgateway-api\tlistener: secret a/b does not exist",
    "lookup of a key: nothing",
    "request body size exceeded",
    "context deadline exceeded",
]


@pytest.mark.parametrize("line", STRANGERS)
def test_the_words_of_others_are_not_explained(line: str) -> None:
    assert explanation_of(line) is None


@pytest.mark.parametrize("length", [0, 50, 500, 5000])
def test_a_long_line_is_cut_around_its_cause(length: int) -> None:
    filler = "x" * length
    (found,) = explain([MODULE + filler + " UNAUTHORIZED: authentication required " + filler + DENY])
    assert "UNAUTHORIZED: authentication required" in found.excerpt
    assert len(found.excerpt) <= 322


def test_what_is_still_plain_http_names_no_setting() -> None:
    """Istio falls back to plain HTTP by itself; WASM_INSECURE_REGISTRIES is about certificates."""
    insecure = [item for item in EXPLANATIONS if "WASM_INSECURE_REGISTRIES" in item.hint]
    assert [item.pattern for item in insecure] == ["x509: certificate signed by unknown authority"]


def test_every_explanation_names_a_product_and_its_version() -> None:
    products = r"(Envoy|Istio|Envoy Gateway|Go's|go-containerregistry)\b.*\d\.\d+"
    assert [item.meaning for item in EXPLANATIONS if not re.match(products, item.read_in)] == []


LIVE = {
    # made by a real Envoy in test_status.py and test_remote_code.py
    "Envoy cannot find the module", "The file is not a Proxy-Wasm module", "The file is damaged",
    "exports no allocator",
    "a different signature", "lacks a function", "The VM could not be created", "a field that this Envoy does not know",
    "The remote code could not be fetched",
}  # fmt: skip


def test_every_explanation_is_reached_in_these_tests() -> None:
    lines = [line.replace("\n", "") for line in [*CAUSES, *EFFECTS]]
    reached = {explanation_of(line) for line in lines}
    reached |= {item for item in EXPLANATIONS for said in LIVE if said in item.meaning}
    assert [item.meaning for item in EXPLANATIONS if item not in reached] == []


def test_messages_of_several_plugins_are_told_apart() -> None:
    lines = ["Unable to create Wasm plugin a", "Unable to create Wasm plugin b", "Unable to create Wasm plugin a"]
    assert [(item.plugin, item.count) for item in explain(lines)] == [("a", 2), ("b", 1)]


def test_messages_are_counted_and_made_harmless(pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch) -> None:
    log = b"fine\n\x1b[31mInvalid path: a\xff\nInvalid path: b\nRBAC: access denied\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(log)))
    out = pwasm("status", "--log", "-").out
    assert "(2 times)" in out
    assert "\x1b" not in out
    assert [item.count for item in explain(["Invalid path: x", "nothing"])] == [1]


def test_a_log_without_known_messages(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("all is well\n")
    assert pwasm("status", "--log", "log").out == "no known message in the log\n"


def test_cause_effect_hint_and_product_are_printed(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(IMAGE + "DENIED: requested access to the resource is denied" + DENY)
    out = pwasm("status", "--log", "log").out
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["log", "effect", "hint", "product"]
    (found,) = json.loads(pwasm("status", "--log", "log", "--json").out)["log"]
    assert "go-containerregistry" in found["products"]
    assert REPLACED in found["effect"]
