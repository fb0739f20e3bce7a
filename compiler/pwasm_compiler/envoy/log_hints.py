"""What the messages of Envoy, Istio's agent and Envoy Gateway mean, and what to do: `explain` reads a log.

Where a message was seen: Envoy 1.40 and 1.36 in our tests; Istio's in the source of its agent (pkg/wasm).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_PROTOBUF_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Explanation:
    """What a message says, for those who did not write Envoy."""

    pattern: str
    meaning: str
    hint: str


@dataclass(frozen=True)
class Found:
    """A message that is explained, the first line with it, and how many lines had it."""

    explanation: Explanation
    line: str
    count: int


EXPLANATIONS = (
    # Envoy, when it loads a module
    Explanation(
        r"Invalid path: \S+|invalid file path \S+",
        "Envoy does not find the module's file.",
        "it looks from its own working directory and in its own container; pwasm build makes main.wasm",
    ),
    Explanation(
        r"Missing or unknown Proxy-Wasm ABI version",
        "The file is no Proxy-Wasm module: a component, a WASI program, or something else.",
        "pwasm inspect FILE says what it is; pwasm build makes a module",
    ),
    Explanation(
        r"Failed to parse corrupted Wasm module",
        "The file is damaged or no Wasm at all: an HTML error page, a Git LFS pointer, a gzip.",
        "compare its SHA-256 with that of the module that was built",
    ),
    Explanation(
        r"missing malloc function",
        "The module exports no allocator, so Envoy cannot pass it anything.",
        "build it with pwasm build, or export malloc or proxy_on_memory_allocate",
    ),
    Explanation(
        r"import type mismatch",
        "The module was built for a host function of another signature.",
        "pwasm inspect FILE names it; build with an SDK of ABI 0.2.1",
    ),
    Explanation(
        r"missing import",
        "This Envoy lacks a function that the module imports.",
        "pwasm inspect FILE lists the imports; use a newer Envoy, or build without it",
    ),
    Explanation(
        r"Failed to create new Wasm instance",
        "The VM could not be made: its memory starts above 1 GiB, or its start function failed.",
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
        "Envoy 1.40 has the restriction in vm_config and will refuse it where it was.",
        "write the configuration again with: pwasm config --envoy-version 1.40",
    ),
    Explanation(
        r"[Nn]o such field: '?\w*capability_restriction_config|capability_restriction_config[^\n]*[Nn]o such field",
        "Before Envoy 1.40 the restriction is not in vm_config but beside it.",
        "write the configuration again with: pwasm config --envoy-version X.Y",
    ),
    Explanation(
        r"no such field|Cannot find field",
        "The configuration has a field that this Envoy does not know.",
        "see its spelling, and since which version Envoy has it",
    ),
    Explanation(
        r"node 'id' and 'cluster' are required",
        "Envoy reads nothing over xDS, files included, without a node.",
        "start it with --service-node and --service-cluster, or use: pwasm config --ecds",
    ),
    Explanation(
        r"Unable to create Wasm (plugin|HTTP filter|network filter|service)",
        "The filter refused to start: on_vm_start or on_plugin_start raised, or returned False.",
        "the traceback is in the lines above; often it is the configuration",
    ),
    # Envoy, when a module runs
    Explanation(
        r"Attempted call to restricted (proxy-wasm|WASI)? ?capability",
        "The filter called what capability_restriction_config does not list.",
        "write the configuration again after a build that uses more: pwasm config",
    ),
    Explanation(
        r"Maximum call stack size exceeded",
        "Recursion used up the VM's stack, and the VM is lost.",
        "failure_policy FAIL_RELOAD makes a new one; limit the depth of what clients send",
    ),
    Explanation(
        r"Function: \w+ failed:",
        "The VM crashed and is lost; without FAIL_RELOAD every further request of this worker fails.",
        "set failure_policy FAIL_RELOAD (Istio: failStrategy); the backtrace below names the function",
    ),
    Explanation(
        r"[Ff]ilesystem config update rejected|config(uration)? for \S*Typed?ExtensionConfig rejected",
        "A new version of the filter was refused; the last good one serves on.",
        "the reason is in the same line",
    ),
    # Istio's agent, when it fetches a module
    Explanation(
        r"applying (deny|allow) RBAC filter|error in converting the wasm config to local",
        "Istio's agent could not fetch or check the module. In its place is a filter that denies every request with "
        "403, or allows all with FAIL_OPEN.",
        "the cause is in the same line; the next attempt comes with the next change of the resource",
    ),
    Explanation(
        r"RBAC: access denied|wasm-default-deny",
        "403 from the filter that Istio puts in the place of a module it could not fetch.",
        "see the agent's log: kubectl logs POD -c istio-proxy | pwasm status --log -",
    ),
    Explanation(
        r"rejected unsafe bearer realm",
        "Istio 1.29.1 and later refuse registries that ask for a password with Basic, and token servers on private "
        "addresses.",
        "use a registry with Bearer tokens, an anonymous one, or a URL to the module itself",
    ),
    Explanation(
        r"(checksum|digest)\b.*does not match|checksum_mismatched",
        "sha256 is not the digest of what the registry has.",
        "for an image it is the manifest's digest, not the module's, and of the linux/amd64 manifest, not of an index; "
        "pwasm push prints it",
    ),
    Explanation(
        r"missing image pulling secret|failed to (find|get) image pull secret",
        "The Secret of imagePullSecret is not there.",
        "it must be of type kubernetes.io/dockerconfigjson and in the resource's namespace",
    ),
    Explanation(
        r"plugin\.wasm not found",
        "The image's last layer has no file plugin.wasm.",
        "make the image with: pwasm package",
    ),
    Explanation(
        r"invalid media type|number of layers must be 2",
        "The image is of none of the three forms that Istio takes.",
        "make the image with: pwasm package; what is wrong with this one says: pwasm inspect REF --as istio",
    ),
    Explanation(
        r"no child with platform linux/amd64",
        "The image is an index without a linux/amd64 manifest.",
        "push a single manifest: pwasm push",
    ),
    Explanation(
        r"server gave HTTP response to HTTPS client",
        "The registry speaks plain HTTP.",
        "give it a certificate, or list it in the agent's WASM_INSECURE_REGISTRIES",
    ),
    Explanation(
        r"MANIFEST_UNKNOWN|NAME_UNKNOWN|manifest unknown",
        "The registry has no such image or tag.",
        "push it, or mend the reference",
    ),
    Explanation(
        r"\bUNAUTHORIZED\b|\bDENIED\b|401 Unauthorized|403 Forbidden",
        "The registry refused the credentials, or there were none.",
        "name a Secret with --pull-secret, in the resource's namespace",
    ),
    Explanation(
        r"context deadline exceeded|i/o timeout|Client\.Timeout exceeded",
        "Fetching took too long: Istio gives an image 30 seconds.",
        "see whether the proxy reaches the registry",
    ),
    Explanation(
        r"size exceeded|exceeds the (size )?limit|larger than the limit",
        "The module is larger than the 256 MiB that the agent takes.",
        "set ISTIO_WASM_MAX_BINARY_SIZE_BYTES, or see with pwasm inspect what is in it",
    ),
)
_COMPILED = tuple((re.compile(item.pattern), item) for item in EXPLANATIONS)


def explanation_of(message: str) -> Explanation | None:
    """The first explanation that fits. Protobuf varies the spaces in its messages, so spaces do not count."""
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
