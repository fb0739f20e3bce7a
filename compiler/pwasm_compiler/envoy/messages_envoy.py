"""Messages of Envoy: loading a module, fetching it, running it, and taking a new configuration.

"Envoy 1.40.0" means that a test makes that Envoy print the message, or that its binary contains it.
"""

from __future__ import annotations

from pwasm_compiler.envoy.explanation import Explanation

_ENVOY = "Envoy 1.40.0"
_BOTH = "Envoy 1.36 and 1.40.0"
_NO_VM = "every request of an HTTP filter is answered with 503, and every connection of a TCP filter is closed"

_LOADING = (
    Explanation(
        r"cluster '?wasm_cluster'? config rejected: Invalid path",
        "The proxy lacks the CA certificate with which it checks Envoy Gateway's module server, so it can fetch no "
        "module at all.",
        "in a cluster, the Secret envoy (or, in gateway namespace mode, the proxy's ConfigMap) is mounted at /certs: "
        "look for it; Envoy Gateway outside Kubernetes does not write that file",
        "Envoy Gateway 1.1 to 1.9.0, Envoy 1.40.0",
    ),
    Explanation(
        r"Invalid path: \S+|invalid file path \S+",
        "Envoy cannot find the module's file, or another file of its configuration.",
        "the path is relative to Envoy's working directory, in its container; pwasm build creates main.wasm",
        _BOTH,
    ),
    Explanation(
        r"Missing or unknown Proxy-Wasm ABI version",
        "The file is not a Proxy-Wasm module, but perhaps a component or a WASI program.",
        "identify it with pwasm inspect FILE; build a module with pwasm build",
        _BOTH,
    ),
    Explanation(
        r"Failed to parse corrupted Wasm module",
        "The file is damaged or not Wasm at all: perhaps an HTML error page, a Git LFS pointer or a gzip file.",
        "compare its SHA-256 with that of the built module",
        _BOTH,
    ),
    Explanation(
        r"missing malloc function",
        "The module exports no allocator, so Envoy cannot pass data to it.",
        "build it with pwasm build, or export malloc or proxy_on_memory_allocate",
        _BOTH,
    ),
    Explanation(
        r"import type mismatch",
        "The module expects a host function with a different signature.",
        "find it with pwasm inspect FILE; build with an SDK for ABI 0.2.1",
        _BOTH,
    ),
    Explanation(
        r"missing import",
        "This Envoy lacks a function that the module imports.",
        "list the imports with pwasm inspect FILE; use a newer Envoy, or build without the function",
        _BOTH,
    ),
    Explanation(
        r"Failed to create new Wasm instance",
        "The VM could not be created: its initial memory exceeds 1 GiB, or its start function failed.",
        "lower memory in [tool.pwasm]",
        _BOTH,
    ),
    Explanation(
        r"Failed to load Wasm code",
        "The runtime does not exist in this Envoy, or the code is empty or cannot be compiled.",
        "runtime must be envoy.wasm.runtime.v8; check the module with pwasm inspect FILE",
        _BOTH,
    ),
    Explanation(
        r"Failed to initialize Wasm code",
        "The module was compiled, but not linked or started: an import, the allocator or memory is wrong.",
        "the line before it, 'Failed to load Wasm module due to …', says which",
        _ENVOY,
    ),
    Explanation(
        r"Failed to configure (base|thread-local) Wasm plugin",
        "The filter refused its configuration: on_plugin_start (proxy_on_configure) raised, or returned False.",
        "see the filter's own message or traceback in the lines above; check a configuration with pwasm manifest or "
        "pwasm schema --check",
        _ENVOY,
    ),
    Explanation(
        r"Failed to start (base|thread-local) Wasm",
        "The VM did not start: on_vm_start (proxy_on_vm_start) raised, returned False or crashed.",
        "see the filter's own message or traceback in the lines above",
        _ENVOY,
    ),
    Explanation(
        r"only one of fail_open or failure_policy can be set",
        "fail_open is the old name of failure_policy.",
        "remove fail_open",
        _ENVOY,
    ),
    Explanation(
        r"Using deprecated option '[\w.]*PluginConfig\.capability_restriction_config'",
        "Envoy 1.40 moved the restriction to vm_config and will reject it in its old place.",
        "regenerate the configuration with: pwasm config --envoy-version 1.40",
        _ENVOY,
    ),
    Explanation(
        r"[Nn]o such field: '?\w*capability_restriction_config|capability_restriction_config[^\n]*[Nn]o such field",
        "Before Envoy 1.40 the restriction is next to vm_config, not inside it.",
        "regenerate the configuration with: pwasm config --envoy-version X.Y",
        "Envoy 1.36",
    ),
    Explanation(
        r"no such field|Cannot find field",
        "The configuration has a field that this Envoy does not know.",
        "check its spelling, and which Envoy version introduced it",
        _BOTH,
    ),
    Explanation(
        r"node 'id' and 'cluster' are required",
        "Without a node, Envoy reads nothing over xDS, not even from files.",
        "start it with --service-node and --service-cluster, or use: pwasm config --ecds",
        _ENVOY,
    ),
    Explanation(
        r"Unable to create Wasm (plugin|HTTP filter|network filter|service)( (?P<plugin>\S+))?",
        "The filter failed to start: its module could not be loaded, or on_vm_start or on_plugin_start raised or "
        "returned False.",
        "see the traceback or message in the lines above; the cause is often the configuration",
        _BOTH,
    ),
)

_FETCHING = (
    Explanation(
        r"createWasm: failed to load \(in progress\) from \S+",
        "A filter needs remote code that is still being fetched for another one; it does not wait, and stays without a "
        f"VM: {_NO_VM}.",
        "change the filter's configuration, or restart Envoy, once the code has been fetched; local code or an image "
        "has no such race",
        "Envoy 1.40.0; Istio's agent prints it as 'envoy wasm'",
    ),
    Explanation(
        r"createWasm: failed to load \(cached\) from \S+",
        "Fetching the same code failed less than 10 seconds ago, so Envoy did not try again; the filter stays without "
        f"a VM: {_NO_VM}.",
        "look for the first failure above; then change the filter's configuration, or restart Envoy",
        "Envoy 1.40.0; with Envoy Gateway the URL is that of its module server on port 18002",
    ),
    Explanation(
        r"fetch remote data \[uri = \S+\]: (?P<cause>response status code 50[34])",
        "Envoy found no connection, or no response within the timeout, for the remote code; or its server answered so.",
        "check the cluster in remote.http_uri, its address and TLS, and the timeout",
        _ENVOY,
    ),
    Explanation(
        r"fetch remote data \[uri = \S+\]: (?P<cause>response status code (?!200)\d+)",
        "The server of the remote code did not answer with 200.",
        "fix the URL, or publish the module there",
        _ENVOY,
    ),
    Explanation(
        r"fetch remote data \[uri = \S+\]: data is invalid",
        "The remote code does not have the SHA-256 of the configuration.",
        "regenerate the configuration after publishing: pwasm config --remote URL --sha256 DIGEST",
        _ENVOY,
    ),
    Explanation(
        r"fetch remote data \[uri = \S+\]: (network error|canceled|body is empty|no cluster \S*)",
        "The remote code could not be read: no connection, a response that took too long or was cut off, or a cluster "
        "that does not exist.",
        "check the cluster in remote.http_uri, its address and TLS, and the timeout",
        _ENVOY,
    ),
    Explanation(
        r"Retry limit exceeded for fetching data from remote data source",
        "The remote code could not be fetched: no server, a status other than 200, a response that was late or cut "
        f"off, or another SHA-256 than configured. Envoy does not try again: {_NO_VM}.",
        "set retry_policy in remote (pwasm config --remote writes one); for the reason start Envoy with "
        "--component-log-level config:debug; afterwards restart Envoy, or change the filter's configuration",
        _ENVOY,
    ),
)

_RUNNING = (
    Explanation(
        r"Attempted call to restricted (proxy-wasm|WASI)? ?capability",
        "The filter called a function that capability_restriction_config does not list.",
        "regenerate the configuration after a build that uses more functions: pwasm config",
        _BOTH,
    ),
    Explanation(
        r"Maximum call stack size exceeded",
        "Recursion exhausted the VM's stack, and the VM is lost.",
        "set failure_policy FAIL_RELOAD to replace it; limit the nesting depth of client input",
        _BOTH,
    ),
    Explanation(
        r"Function: \w+ failed:",
        "The VM crashed and is lost; without FAIL_RELOAD every further request of this worker fails.",
        "set failure_policy FAIL_RELOAD (Istio ≥ 1.27: failStrategy); the backtrace below shows the function",
        _BOTH,
    ),
)

_UPDATES = (
    Explanation(
        r"Plugin (configured to fail closed|(?P<plugin>\S+)) failed to load",
        f"A filter has no VM, because its code was not fetched or its module did not start: {_NO_VM}. After an update "
        "by ECDS the last good version serves instead.",
        "the lines above say why",
        _ENVOY,
        effect=True,
    ),
    Explanation(
        r"config for \S*Listener rejected: (?P<cause>.*)|listener '[^']*' config rejected: (?P<cause2>.*)",
        "A new version of a listener was rejected; the last good one keeps serving, and a new listener does not exist.",
        "the same line says why",
        "Envoy 1.40.0; Istio's agent prints it as 'envoy config'",
        effect=True,
    ),
    Explanation(
        r"([Ff]ilesystem config update|config(uration)? for \S*Typed?ExtensionConfig) rejected(: (?P<cause>.*))?",
        "A new version of the filter was rejected; the last good one keeps serving, and without one requests get 500.",
        "see the same line for the reason",
        _ENVOY,
        effect=True,
    ),
    Explanation(
        r"cluster '?[^' ]*'? config rejected: (?P<cause>.*)",
        "A new version of a cluster was rejected; the last good one stays, and a new cluster does not exist.",
        "the same line says why",
        _ENVOY,
        effect=True,
    ),
)

ENVOY = _LOADING + _FETCHING + _RUNNING + _UPDATES
