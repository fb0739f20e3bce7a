"""Kubernetes resources that carry a filter: made from options, and checked before anybody sees them.

build     Plugin → document      what `pwasm manifest` prints
check     document → Kind        refuses what an API server would drop or a mesh would misread
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pwasm_compiler.errors import PwasmError, UsageError
from pwasm_compiler.kube.schemas import DNS_NAME, GATEWAY_API, KINDS, METADATA, Kind
from pwasm_compiler.validation import listed, problems

Document = dict[str, Any]

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_IN_URL = re.compile(r"@sha256:([0-9a-f]{64})$")
_EXACT_IN_A_DOUBLE = 2**53


class ManifestError(PwasmError):
    """A resource that must not be applied as it is."""


@dataclass(frozen=True)
class Plugin:
    """A filter in a registry and where it is to run; None and empty mean: not said.

    `environment` maps a name to its value, or to None for the proxy's own variable of that name.
    """

    name: str
    url: str
    namespace: str | None = None
    selector: Mapping[str, str] | None = None
    targets: Sequence[tuple[str, str]] = ()
    phase: str | None = None
    priority: int | None = None
    match: Sequence[tuple[str, tuple[int, ...]]] = ()
    plugin_config: Any = None
    root_id: str | None = None
    fail_strategy: str | None = None
    sha256: str | None = None
    environment: Mapping[str, str | None] | None = None
    pull_secret: str | None = None
    pull_policy: str | None = None
    type: str | None = None


def build(plugin: Plugin, kind_name: str) -> Document:
    """The resource of `kind_name` (a key of KINDS) for `plugin`, checked.

    Raises:
        UsageError: it says something that this kind cannot say.
        ManifestError: a value is not one that the API takes.
    """
    kind = KINDS[kind_name]
    _refuse_what_it_cannot_say(plugin, kind_name)
    spec = _policy_spec(plugin) if kind_name == "EnvoyExtensionPolicy" else _istio_spec(plugin, kind_name)
    metadata = {"name": plugin.name, **_given(namespace=plugin.namespace)}
    document = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
    check(document)
    return document


def check(document: Any) -> Kind:
    """The kind of a resource in which everything is as the API has it.

    Raises:
        ManifestError: with every problem found, up to eight.
    """
    kind = kind_of(document)
    schema = {
        "type": "object",
        "properties": {"apiVersion": {}, "kind": {}, "metadata": METADATA, "spec": kind.schema},
        "required": ["metadata", "spec"],
        "additionalProperties": False,
    }
    found = problems(document, schema, "the resource")
    if not found:
        found = [said for rule in kind.rules if (said := rule(document["spec"]))]
    if found:
        raise ManifestError(f"this is no valid {kind.kind} of {kind.product}", why=listed(found))
    return kind


def kind_of(document: Any) -> Kind:
    """Which kind of resource `document` says it is."""
    if not isinstance(document, dict):
        raise ManifestError("this is not a Kubernetes resource", why="It is not a mapping with apiVersion and kind.")
    version, name = document.get("apiVersion"), document.get("kind")
    for kind in KINDS.values():
        if (kind.api_version, kind.kind) == (version, name):
            return kind
    known = [f"{kind.kind} of {kind.api_version}" for kind in KINDS.values()]
    near = difflib.get_close_matches(f"{name} of {version}", known, n=1, cutoff=0.7)
    hint = f"did you mean {near[0]}?" if near else f"the kinds are: {', '.join(known)}"
    raise ManifestError(
        f"{name or 'a resource without kind'} of {version or 'no apiVersion'} carries no filter", hint=hint
    )


def cautions(document: Document) -> Iterator[str]:
    """What is allowed and may surprise; `document` is one that `check` took."""
    kind = kind_of(document)
    for wasm in _wasm_parts(document, kind):
        url, pinned = _url_and_pin(wasm, kind)
        if not pinned and not url.startswith("file://"):
            yield f"{url} is not pinned: whoever may push to it changes what runs; name its digest with --sha256"
        if wasm.get("failStrategy") == "FAIL_OPEN" or wasm.get("failOpen"):
            yield "a filter that fails open is off after a crash until the proxy restarts: not for access control"
        if wasm.get("failStrategy") == "FAIL_RELOAD":
            yield "FAIL_RELOAD needs Istio 1.25 or later"
        if kind.kind != "EnvoyExtensionPolicy" and (number := _inexact(wasm.get("pluginConfig"))) is not None:
            yield f"{kind.product} passes the number {number} on as a double, which is not exact; write it as a string"
    if kind.kind == "TrafficExtension":
        yield "TrafficExtension needs Istio 1.30 or later; for an older one use --kind WasmPlugin"


def resource_name(project_name: str) -> str:
    """A filter's name in the form that Kubernetes takes: `hello_world` is `hello-world`."""
    name = re.sub(r"[^a-z0-9.-]+", "-", project_name.lower()).strip("-.")
    if not re.fullmatch(DNS_NAME, name):
        raise UsageError(f"'{project_name}' makes no name for a resource", hint="give it one with --name")
    return name


def sha256_of(text: str) -> str:
    """The 64 digits of a digest, written with `sha256:` or without."""
    match = _DIGEST.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(
            f"'{text}' is not a SHA-256 digest", hint="pwasm push prints it: sha256: and 64 hexadecimal digits"
        )
    return match[1]


def digest_of_layout(folder: Path) -> str:
    """The digest of the one manifest in an OCI image layout: what a mesh compares `sha256` with."""
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        (manifest,) = index["manifests"]
        return sha256_of(manifest["digest"])
    except OSError as error:
        raise UsageError(
            f"cannot read {folder}/index.json", why=f"{error.strerror}.", hint="make an image with: pwasm package"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder} is not an image layout with one manifest", hint="make one with: pwasm package"
        ) from error


def image_url(reference: str) -> str:
    """The URL as Istio wants it; a plain reference gets its scheme."""
    return reference if "://" in reference else f"oci://{reference}"


def _refuse_what_it_cannot_say(plugin: Plugin, kind_name: str) -> None:
    kind = KINDS[kind_name]
    if plugin.selector and plugin.targets:
        raise UsageError("--selector and --target exclude each other", hint="a resource has one or the other")
    no = _CANNOT_SAY[kind_name]
    for field, option in _OPTIONS.items():
        if field in no and getattr(plugin, field) not in (None, (), [], {}):
            raise UsageError(f"{option} means nothing to {kind.kind} of {kind.product}", hint=no[field])
    for target, _ in plugin.targets:
        if target not in kind.targets:
            raise UsageError(
                f"{kind.kind} of {kind.product} has no target {target}",
                hint=f"its targets are: {', '.join(kind.targets)}",
            )
    if kind_name in ("HigressWasmPlugin", "EnvoyExtensionPolicy") and plugin.fail_strategy == "FAIL_RELOAD":
        raise UsageError(
            f"{kind.product} knows no FAIL_RELOAD",
            hint="use FAIL_CLOSE: a VM that crashed answers 503 until the proxy restarts",
        )
    if kind_name == "EnvoyExtensionPolicy" and any(value is not None for value in (plugin.environment or {}).values()):
        raise UsageError(
            "Envoy Gateway passes only variables that its proxy has",
            hint="give --env NAME without a value, or use --plugin-config",
        )


_DEFAULT_STRATEGY = {"WasmPlugin": "FAIL_RELOAD", "TrafficExtension": "FAIL_RELOAD"}
"""Istio's own default is FAIL_CLOSE: after one crash, 503 until the proxy restarts."""
_OPTIONS = {
    "selector": "--selector", "targets": "--target", "phase": "--phase", "priority": "--priority",
    "match": "--match", "type": "--type",
}  # fmt: skip
_ORDER = "the order is that of the filters in the policy, and spec.mergeType"
_RULES_HINT = "Higress applies a plugin to its gateway; narrow it down with matchRules"
_CANNOT_SAY: dict[str, dict[str, str]] = {
    "WasmPlugin": {},
    "TrafficExtension": {},
    "EnvoyExtensionPolicy": {
        "selector": "name what it applies to with --target Gateway/NAME or HTTPRoute/NAME",
        "phase": _ORDER, "priority": _ORDER, "match": "use a target that is narrower",
        "type": "it carries HTTP filters only",
    },
    "HigressWasmPlugin": {
        "selector": _RULES_HINT, "targets": _RULES_HINT, "match": _RULES_HINT, "type": "it carries HTTP filters only",
    },
}  # fmt: skip


def _istio_spec(plugin: Plugin, kind_name: str) -> Document:
    targets = KINDS[kind_name].targets
    where = _given(
        selector={"matchLabels": dict(plugin.selector)} if plugin.selector else None,
        targetRefs=[_without_empty(group=targets[kind], kind=kind, name=name) for kind, name in plugin.targets] or None,
        phase=plugin.phase,
        priority=plugin.priority,
        match=[_given(mode=mode, ports=[{"number": port} for port in ports] or None) for mode, ports in plugin.match]
        or None,
    )
    wasm = _given(
        url=image_url(plugin.url),
        sha256=_pin(plugin),
        type=plugin.type,
        imagePullPolicy=plugin.pull_policy,
        imagePullSecret=plugin.pull_secret,
        pluginName=plugin.root_id,
        failStrategy=plugin.fail_strategy or _DEFAULT_STRATEGY.get(kind_name),
        pluginConfig=plugin.plugin_config,
        vmConfig={"env": [_variable(*item) for item in plugin.environment.items()]} if plugin.environment else None,
    )
    return {**where, "wasm": wasm} if kind_name == "TrafficExtension" else {**where, **wasm}


def _policy_spec(plugin: Plugin) -> Document:
    sha256 = _pin(plugin)
    if plugin.url.startswith(("http://", "https://")):
        if plugin.pull_secret:
            raise UsageError(
                "Envoy Gateway fetches from a plain HTTP server without a secret",
                hint="use an image for a private module",
            )
        code: Document = {"type": "HTTP", "http": _given(url=plugin.url, sha256=sha256)}
    else:
        secret = {"kind": "Secret", "name": plugin.pull_secret} if plugin.pull_secret else None
        image = _given(url=plugin.url.removeprefix("oci://"), sha256=sha256, pullSecretRef=secret)
        code = {"type": "Image", "image": image}
    code |= _given(pullPolicy=plugin.pull_policy)
    wasm = _given(
        name=plugin.name,
        rootID=plugin.root_id,
        code=code,
        config=plugin.plugin_config,
        failOpen=None if plugin.fail_strategy is None else plugin.fail_strategy == "FAIL_OPEN",
        env={"hostKeys": list(plugin.environment)} if plugin.environment else None,
    )
    targets = [{"group": GATEWAY_API, "kind": kind, "name": name} for kind, name in plugin.targets]
    return {"targetRefs": targets, "wasm": [wasm]} if targets else {"wasm": [wasm]}


def _pin(plugin: Plugin) -> str | None:
    """The digest for `sha256`, and an error if it contradicts the one in the URL."""
    in_url = _IN_URL.search(plugin.url)
    given = None if plugin.sha256 is None else sha256_of(plugin.sha256)
    if in_url and given and in_url[1] != given:
        raise UsageError("--sha256 and the digest in the reference differ", hint="the reference's digest is enough")
    return given or (in_url[1] if in_url else None)


def _variable(name: str, value: str | None) -> Document:
    return {"name": name, "valueFrom": "HOST"} if value is None else {"name": name, "value": value}


def _given(**fields: Any) -> Document:
    return {name: value for name, value in fields.items() if value is not None}


def _without_empty(**fields: str) -> Document:
    return {name: value for name, value in fields.items() if value}


def _wasm_parts(document: Document, kind: Kind) -> list[Document]:
    spec = document["spec"]
    if kind.kind == "EnvoyExtensionPolicy":
        return list(spec.get("wasm", ()))
    return [spec["wasm"]] if "wasm" in spec else [] if kind.kind == "TrafficExtension" else [spec]


def _url_and_pin(wasm: Document, kind: Kind) -> tuple[str, bool]:
    source = wasm
    if kind.kind == "EnvoyExtensionPolicy":
        source = wasm["code"].get("image") or wasm["code"]["http"]
    return source["url"], bool(source.get("sha256") or _IN_URL.search(source["url"]))


def _inexact(value: Any) -> int | None:
    """An integer in `value` that a double cannot hold."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT_IN_A_DOUBLE:
        return value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for child in children if (found := _inexact(child)) is not None), None)
