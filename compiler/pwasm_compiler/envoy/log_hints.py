"""Explanations and hints for messages of Envoy, Istio's agent and Envoy Gateway: `explain` reads a log.

Sources of the messages: Envoy 1.40 and 1.36 in our tests; Istio's are from the source of its agent (pkg/wasm).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_PROTOBUF_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Explanation:
    """The meaning of a message, in plain terms, and a hint."""

    pattern: str
    meaning: str
    hint: str


@dataclass(frozen=True)
class Found:
    """An explained message, the first line that matched, and the number of matching lines."""

    explanation: Explanation
    line: str
    count: int


EXPLANATIONS = (
    # Envoy, loading a module
    Explanation(
        r"Invalid path: \S+|invalid file path \S+",
        "Envoy cannot find the module's file.",
        "the path is relative to Envoy's working directory, in its container; pwasm build creates main.wasm",
    ),
    Explanation(
        r"Missing or unknown Proxy-Wasm ABI version",
        "The file is not a Proxy-Wasm module, but perhaps a component or a WASI program.",
        "identify it with pwasm inspect FILE; build a module with pwasm build",
    ),
    Explanation(
        r"Failed to parse corrupted Wasm module",
        "The file is damaged or not Wasm at all: perhaps an HTML error page, a Git LFS pointer or a gzip file.",
        "compare its SHA-256 with that of the built module",
    ),
    Explanation(
        r"missing malloc function",
        "The module exports no allocator, so Envoy cannot pass data to it.",
        "build it with pwasm build, or export malloc or proxy_on_memory_allocate",
    ),
    Explanation(
        r"import type mismatch",
        "The module expects a host function with a different signature.",
        "find it with pwasm inspect FILE; build with an SDK for ABI 0.2.1",
    ),
    Explanation(
        r"missing import",
        "This Envoy lacks a function that the module imports.",
        "list the imports with pwasm inspect FILE; use a newer Envoy, or build without the function",
    ),
    Explanation(
        r"Failed to create new Wasm instance",
        "The VM could not be created: its initial memory exceeds 1 GiB, or its start function failed.",
        "lower memory in [tool.pwasm]",
    ),
    Explanation(
        r"Failed to load Wasm code",
        "The runtime does not exist in this Envoy, or the code is empty.",
        "runtime must be envoy.wasm.runtime.v8",
    ),
    Explanation(
        r"only one of fail_open or failure_policy can be set",
        "fail_open is the old name of failure_policy.",
        "remove fail_open",
    ),
    Explanation(
        r"Using deprecated option '[\w.]*PluginConfig\.capability_restriction_config'",
        "Envoy 1.40 moved the restriction to vm_config and will reject it in its old place.",
        "regenerate the configuration with: pwasm config --envoy-version 1.40",
    ),
    Explanation(
        r"[Nn]o such field: '?\w*capability_restriction_config|capability_restriction_config[^\n]*[Nn]o such field",
        "Before Envoy 1.40 the restriction is next to vm_config, not inside it.",
        "regenerate the configuration with: pwasm config --envoy-version X.Y",
    ),
    Explanation(
        r"no such field|Cannot find field",
        "The configuration has a field that this Envoy does not know.",
        "check its spelling, and which Envoy version introduced it",
    ),
    Explanation(
        r"node 'id' and 'cluster' are required",
        "Without a node, Envoy reads nothing over xDS, not even from files.",
        "start it with --service-node and --service-cluster, or use: pwasm config --ecds",
    ),
    Explanation(
        r"Unable to create Wasm (plugin|HTTP filter|network filter|service)",
        "The filter failed to start: on_vm_start or on_plugin_start raised, or returned False.",
        "see the traceback in the lines above; the cause is often the configuration",
    ),
    # Envoy, running a module
    Explanation(
        r"Attempted call to restricted (proxy-wasm|WASI)? ?capability",
        "The filter called a function that capability_restriction_config does not list.",
        "regenerate the configuration after a build that uses more functions: pwasm config",
    ),
    Explanation(
        r"Maximum call stack size exceeded",
        "Recursion exhausted the VM's stack, and the VM is lost.",
        "set failure_policy FAIL_RELOAD to replace it; limit the nesting depth of client input",
    ),
    Explanation(
        r"Function: \w+ failed:",
        "The VM crashed and is lost; without FAIL_RELOAD every further request of this worker fails.",
        "set failure_policy FAIL_RELOAD (Istio: failStrategy); the backtrace below shows the function",
    ),
    Explanation(
        r"[Ff]ilesystem config update rejected|config(uration)? for \S*Typed?ExtensionConfig rejected",
        "A new version of the filter was rejected; the last good one keeps serving.",
        "see the same line for the reason",
    ),
    # Istio's agent, fetching a module
    Explanation(
        r"applying (deny|allow) RBAC filter|error in converting the wasm config to local",
        "Istio's agent could not fetch or verify the module. It is replaced by a filter that denies every request with "
        "403, or with FAIL_OPEN allows all of them.",
        "see the same line for the cause; the fetch is retried when the resource changes",
    ),
    Explanation(
        r"RBAC: access denied|wasm-default-deny",
        "A 403 from the filter that Istio substitutes for a module it could not fetch.",
        "see the agent's log: kubectl logs POD -c istio-proxy | pwasm status --log -",
    ),
    Explanation(
        r"rejected unsafe bearer realm",
        "Istio 1.29.1 and later reject registries that use Basic authentication, and token servers on private "
        "addresses.",
        "use a registry with Bearer tokens or anonymous access, or a URL to the module itself",
    ),
    Explanation(
        r"(checksum|digest)\b.*does not match|checksum_mismatched",
        "sha256 does not match the digest of what the registry serves.",
        "for an image use the manifest's digest, not the module's; for an index, that of the linux/amd64 manifest; "
        "pwasm push prints it",
    ),
    Explanation(
        r"missing image pulling secret|failed to (find|get) image pull secret",
        "The Secret named in imagePullSecret does not exist.",
        "it must be of type kubernetes.io/dockerconfigjson and in the resource's namespace",
    ),
    Explanation(
        r"plugin\.wasm not found",
        "The image's last layer has no file plugin.wasm.",
        "build the image with: pwasm package",
    ),
    Explanation(
        r"invalid media type|number of layers must be 2",
        "The image is in none of the three formats that Istio accepts.",
        "build the image with pwasm package; to see what is wrong with this one: pwasm inspect REF --as istio",
    ),
    Explanation(
        r"no child with platform linux/amd64",
        "The image is an index without a linux/amd64 manifest.",
        "push a single manifest: pwasm push",
    ),
    Explanation(
        r"server gave HTTP response to HTTPS client",
        "The registry speaks plain HTTP.",
        "enable TLS on it, or list it in the agent's WASM_INSECURE_REGISTRIES",
    ),
    Explanation(
        r"MANIFEST_UNKNOWN|NAME_UNKNOWN|manifest unknown",
        "The registry has no such image or tag.",
        "push it, or fix the reference",
    ),
    Explanation(
        r"\bUNAUTHORIZED\b|\bDENIED\b|401 Unauthorized|403 Forbidden",
        "The registry refused the credentials, or there were none.",
        "name a Secret in the resource's namespace with --pull-secret",
    ),
    Explanation(
        r"context deadline exceeded|i/o timeout|Client\.Timeout exceeded",
        "Fetching took too long: Istio gives an image 30 seconds.",
        "check that the proxy can reach the registry",
    ),
    Explanation(
        r"size exceeded|exceeds the (size )?limit|larger than the limit",
        "The module is larger than the 256 MiB that the agent accepts.",
        "set ISTIO_WASM_MAX_BINARY_SIZE_BYTES, or see what takes up space with pwasm inspect",
    ),
)
_COMPILED = tuple((re.compile(item.pattern), item) for item in EXPLANATIONS)


def explanation_of(message: str) -> Explanation | None:
    """The first matching explanation. Protobuf varies the whitespace in its messages, so it is normalized."""
    words = _PROTOBUF_SPACES.sub(" ", message)
    return next((item for pattern, item in _COMPILED if pattern.search(words)), None)


def explain(lines: Iterable[str]) -> list[Found]:
    """Every known message in a log, in the order of its first line."""
    return list(_counted(lines))


def _counted(lines: Iterable[str]) -> Iterator[Found]:
    first: dict[Explanation, str] = {}
    counts: dict[Explanation, int] = {}
    for line in lines:
        found = explanation_of(line)
        if found is not None:
            first.setdefault(found, line.strip())
            counts[found] = counts.get(found, 0) + 1
    for explanation, line in first.items():
        yield Found(explanation, line, counts[explanation])
