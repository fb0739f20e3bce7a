"""Messages of the meshes that fetch a module for Envoy: Istio's agent and Envoy Gateway's control plane.

Both use the same client for registries, so a cause in it is explained for both. Higress fetches with Istio's agent.
The versions are those whose source contains the message (pkg/wasm of Istio, internal/wasm and internal/gatewayapi of
Envoy Gateway); "Istio 1.32" is its main branch of August 2026.
"""

from __future__ import annotations

from pwasm_compiler.envoy.explanation import Explanation

_ISTIO = "Istio 1.26 to 1.32"
_LONG_ISTIO = "Istio 1.18 to 1.32"
_GATEWAY = "Envoy Gateway 1.1 to 1.9.0"
_FETCHER = f"{_LONG_ISTIO}, {_GATEWAY}"
_FETCH = r"\bWasm\b|wasm module"
"""Each error of a fetch that these two log says what was fetched."""
_REGISTRY = "go-containerregistry, as in Istio 1.32 and Envoy Gateway 1.9.0"

_IMAGE = (
    Explanation(
        r"rejected unsafe bearer realm: .*",
        "Istio refuses registries that use Basic authentication, and token servers on localhost, private or link-local "
        "addresses: from 1.27.8, 1.28.5 and 1.29.1 on.",
        "use a registry with Bearer tokens or anonymous access, or a URL to the module itself",
        "Istio 1.27.8, 1.28.5, 1.29.1, 1.30 to 1.32",
    ),
    Explanation(
        r"(checksum|digest)\b.*does not match|checksum_mismatched",
        "sha256 does not match the digest of what the registry serves.",
        "for an image use the manifest's digest, not the module's; for an index, that of the linux/amd64 manifest; "
        "pwasm push prints it. For an http URL it is the module's own",
        f"Istio 1.12 to 1.32, {_GATEWAY}",
    ),
    Explanation(
        r"missing image pulling secret|failed to (find|get) image pull secret",
        "The Secret named in imagePullSecret does not exist.",
        "it must be of type kubernetes.io/dockerconfigjson and in the resource's namespace",
        _LONG_ISTIO,
    ),
    Explanation(
        r"missing \.dockerconfigjson key in secret \S+",
        "The Secret for the registry has no .dockerconfigjson.",
        "create it with: kubectl create secret docker-registry",
        _GATEWAY,
    ),
    Explanation(
        r"secret \S+ does not exist",
        "The Secret that the policy names for the registry or its CA does not exist.",
        "create it in the policy's namespace; in another namespace it needs a ReferenceGrant",
        _GATEWAY,
        context=_FETCH,
    ),
    Explanation(
        r"plugin\.wasm not found",
        "The image's last layer has no file plugin.wasm.",
        "build the image with: pwasm package",
        f"Istio 1.12 to 1.32, {_GATEWAY}",
    ),
    Explanation(
        r"invalid media type|number of layers must be|could not find the layer of type",
        "The image is in none of the three formats that Istio and Envoy Gateway accept.",
        "build the image with pwasm package; to see what is wrong with this one: pwasm inspect REF --as istio",
        f"Istio 1.12 to 1.32, {_GATEWAY}",
        context=_FETCH,
    ),
    Explanation(
        r"no child with platform linux/amd64",
        "The image is an index without a linux/amd64 manifest.",
        "push a single manifest: pwasm push",
        _REGISTRY,
        context=_FETCH,
    ),
    Explanation(
        r"fetched Wasm binary from \S+ is invalid",
        "What was fetched is not Wasm: perhaps an HTML page, or an archive without a module.",
        "open the URL, and compare its SHA-256 with that of the built module",
        f"Istio 1.12 to 1.32, {_GATEWAY}",
    ),
    Explanation(
        r"download request failed: status code \d+",
        "The server of the module's URL did not answer with 200.",
        "fix the URL, or publish the module there",
        _FETCHER,
    ),
    Explanation(
        r"unsupported Wasm module downloading URL scheme.*",
        "The URL begins with neither oci://, http:// nor https://.",
        "write it like oci://REGISTRY/NAME:TAG; an Istio image needs no scheme",
        f"Istio 1.12 to 1.32, {_GATEWAY}",
    ),
    Explanation(
        r"MANIFEST_UNKNOWN|NAME_UNKNOWN|manifest unknown",
        "The registry has no such image or tag.",
        "push it, or fix the reference",
        _REGISTRY,
        context=_FETCH,
    ),
    Explanation(
        r"\bUNAUTHORIZED\b|\bDENIED\b|401 Unauthorized|403 Forbidden",
        "The registry refused the credentials, or there were none.",
        "name a Secret in the resource's namespace with --pull-secret",
        _REGISTRY,
        context=_FETCH,
    ),
    Explanation(
        r"failed to login to private registry|failed to check permission for image",
        "Envoy Gateway has the image, but the policy's Secret no longer opens the registry.",
        "renew the Secret",
        "Envoy Gateway 1.1 to 1.3, and 1.4 to 1.9.0 in the second form",
        context=_FETCH,
    ),
)

_NETWORK = (
    Explanation(
        r"x509: certificate signed by unknown authority",
        "The registry's certificate is signed by a CA that the fetching process does not trust.",
        "Istio: name the registry in the agent's WASM_INSECURE_REGISTRIES, which skips the check, or add the CA to the "
        "proxy's image; Envoy Gateway ≥ 1.4: name the CA in tls.caCertificateRef of the code's source",
        "Istio 1.32, Envoy Gateway 1.9.0",
        context=_FETCH,
    ),
    Explanation(
        r"tls: failed to verify certificate|x509: .*",
        "The registry's certificate is not valid for it: another name, expired, or not yet valid.",
        "see the same line; fix the certificate, or the host in the reference",
        "Go's crypto/tls, as in Istio 1.32 and Envoy Gateway 1.9.0",
        context=_FETCH,
    ),
    Explanation(
        r"server gave HTTP response to HTTPS client",
        "The registry speaks plain HTTP. Istio and Envoy Gateway then try that by themselves, so this line is from "
        "another program, or from a redirect.",
        "enable TLS on the registry, or name it without a redirect",
        f"{_LONG_ISTIO}, {_GATEWAY}",
        context=_FETCH,
    ),
    Explanation(
        r"connection blocked: resolved IP .*",
        "Istio's agent does not connect to link-local addresses, cloud metadata services, or ranges in "
        "BLOCKED_CIDRS_IN_WASM_FETCH.",
        "serve the module from another address, or fix what the registry's name resolves to",
        "Istio 1.32",
    ),
    Explanation(
        r"dial tcp: lookup \S+( on \S+)?: .*",
        "The name of the registry does not resolve where the module is fetched: in the proxy for Istio, in the control "
        "plane for Envoy Gateway.",
        "fix the name, or the DNS there",
        "Go's net, as in Istio 1.32 and Envoy Gateway 1.9.0",
        context=_FETCH,
    ),
    Explanation(
        r"connect: (connection refused|no route to host|network is unreachable)",
        "The registry does not accept connections from where the module is fetched: the proxy for Istio, the control "
        "plane for Envoy Gateway.",
        "check its address and port, network policies, and whether it runs",
        "Go's net, as in Istio 1.32 and Envoy Gateway 1.9.0",
        context=_FETCH,
    ),
    Explanation(
        r"context deadline exceeded|i/o timeout|Client\.Timeout exceeded",
        "Fetching took too long: Istio gives an image 30 seconds, Envoy Gateway 5 minutes.",
        "check that the registry can be reached, from the proxy (Istio) or the control plane (Envoy Gateway)",
        _FETCHER,
        context=_FETCH,
    ),
)

_LIMITS = (
    Explanation(
        r"wasm cache size exceeded the limit",
        "Envoy Gateway's cache of modules, 1 GiB for all of them, is full; the module itself need not be large.",
        "an entry expires a day after its last use; remove policies of old versions, or restart Envoy Gateway",
        _GATEWAY,
    ),
    Explanation(
        r"failed to get Wasm module \S+ after \d+ attempts",
        "Envoy Gateway has given up on this module after repeated failures, and tries it again only an hour later.",
        "look for the cause in 'Failed to get Wasm module' above; a new reference is tried at once",
        _GATEWAY,
    ),
    Explanation(
        r"size exceeded|exceeds (the (size )?limit|maximum size)|larger than the limit",
        "The module is larger than the 256 MiB that Istio and Envoy Gateway accept.",
        "in Istio set ISTIO_WASM_MAX_BINARY_SIZE_BYTES; see what takes up space with pwasm inspect",
        "Envoy Gateway 1.9.0; Istio 1.32 cuts the module off instead",
        context=_FETCH,
    ),
)

_EFFECTS = (
    Explanation(
        r"error in converting the wasm config to local: (?P<cause>.*)|applying (deny|allow) RBAC filter",
        "Istio's agent could not fetch or verify the module. It is replaced by a filter that denies every request with "
        "403 and closes every TCP connection, or with FAIL_OPEN allows all of them.",
        "see the same line for the cause; the fetch is retried when the resource changes",
        _ISTIO,
        effect=True,
    ),
    Explanation(
        r"error in applying failopen rbac config: (?P<cause>.*)|convert the wasm config: (?P<cause2>.*)",
        "Istio's agent could not prepare a filter's configuration and refused the whole update, with the other filters "
        "in it: the last good one keeps serving.",
        "see the same line for the cause; the update is sent again when a resource changes",
        "Istio 1.26 to 1.32, and 1.18 to 1.25 in the second form",
        effect=True,
    ),
    Explanation(
        r"ADS:(ECDS|LDS|CDS): ACK ERROR (?P<cause>.*)",
        "istiod says that the proxy refused an update; the last good one keeps serving.",
        "see the same line for the reason, and that proxy's log for more",
        _LONG_ISTIO,
        effect=True,
    ),
    Explanation(
        r"RBAC: access denied|wasm-default-deny",
        "A 403 from the filter that Istio substitutes for a module it could not fetch.",
        "see the agent's log: kubectl logs POD -c istio-proxy | pwasm status --log -",
        "Istio 1.25 to 1.32",
        effect=True,
    ),
    Explanation(
        r"setting 500 direct response in routes due to errors in EnvoyExtensionPolicy",
        "Envoy Gateway answers every request of the policy's routes with 500, because the policy has an error.",
        "see the same line for the cause; failOpen: true leaves the filter out instead",
        "Envoy Gateway 1.6 to 1.9.0",
        effect=True,
    ),
    Explanation(
        r'Failed to get Wasm module\b.*?"error": "(?P<cause>.*)|Failed to get Wasm module',
        "Envoy Gateway could not fetch the module; the policy is not accepted, and its routes are answered with 500.",
        "see the same line for the cause, and the policy's status: kubectl get envoyextensionpolicy NAME -o yaml",
        _GATEWAY,
        effect=True,
    ),
)

MESHES = _IMAGE + _NETWORK + _LIMITS + _EFFECTS
