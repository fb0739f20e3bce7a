"""Envoy configuration with a Wasm filter in it: the filter, an ECDS file, a whole bootstrap.

What a filter is given is as little as it needs: `failure_policy: FAIL_RELOAD`, so that a trap costs a VM and not the
filter, and a `capability_restriction_config` with the functions that its module imports and the callbacks that it
exports, no others.
"""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pwasm_compiler import inspect
from pwasm_compiler.errors import UsageError
from pwasm_compiler.files import read_bytes, shown

Json = dict[str, Any]
Kind = Literal["http", "tcp", "plugin"]

NEWEST = (1, 40)
"""The newest Envoy that is known here."""
RELOAD_SINCE = (1, 33)
"""The Envoy that has `failure_policy`; an older one refuses a configuration with it."""
RESTRICTED_VM_SINCE = (1, 40)
"""The Envoy that has the restriction in VmConfig. An older one refuses it there, a newer one warns elsewhere."""
NODE = {"id": "pwasm", "cluster": "pwasm"}
"""What Envoy asks for before it reads anything over xDS, be it from a file."""
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
FETCH_TIMEOUT = "30s"

_TYPE = "type.googleapis.com/"
MESSAGES: dict[Kind, str] = {
    "http": f"{_TYPE}envoy.extensions.filters.http.wasm.v3.Wasm",
    "tcp": f"{_TYPE}envoy.extensions.filters.network.wasm.v3.Wasm",
    "plugin": f"{_TYPE}envoy.extensions.wasm.v3.WasmService",
}
FILTER_NAMES: dict[Kind, str] = {
    "http": "envoy.filters.http.wasm",
    "tcp": "envoy.filters.network.wasm",
    "plugin": "envoy.bootstrap.wasm",
}


@dataclass(frozen=True)
class Module:
    """A built module: what it is for, and what it needs of Envoy."""

    path: Path
    kind: Kind
    sha256: str
    capabilities: tuple[str, ...]


@dataclass(frozen=True)
class Remote:
    """Where Envoy fetches the code: over HTTP, through one of its clusters."""

    url: str
    sha256: str
    cluster: str
    own_cluster: bool
    """Whether the cluster is to be made from the URL."""

    def code(self) -> Json:
        """The `code` of a VmConfig."""
        uri = {"uri": self.url, "cluster": self.cluster, "timeout": FETCH_TIMEOUT}
        return {"remote": {"http_uri": uri, "sha256": self.sha256}}

    def cluster_config(self) -> Json:
        """The cluster that leads to the URL's server."""
        parts = urllib.parse.urlsplit(self.url)
        tls = parts.scheme == "https"
        address = {"address": parts.hostname, "port_value": parts.port or (443 if tls else 80)}
        cluster: Json = {
            "name": self.cluster,
            "type": "STRICT_DNS",
            "connect_timeout": "5s",
            "load_assignment": {
                "cluster_name": self.cluster,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": address}}}]}],
            },
        }
        if tls:
            context = {
                "@type": f"{_TYPE}envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": parts.hostname,
                "common_tls_context": {"validation_context": {
                    "trusted_ca": {"filename": SYSTEM_CA},
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": parts.hostname}}],
                }},
            }  # fmt: skip
            cluster["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
        return cluster


@dataclass(frozen=True)
class Filter:
    """One Wasm filter as Envoy is to have it; `code` is a local file name or a `Remote`."""

    module: Module
    name: str
    code: str | Remote
    root_id: str = ""
    configuration: str | None = None
    failure_policy: str | None = None
    """None is what is kept, else FAIL_RELOAD."""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    restrict: bool = True
    kept: Json = field(default_factory=dict)
    """The PluginConfig that it replaces, keys in snake_case: what is not said here stays as it is there."""
    envoy: tuple[int, int] = NEWEST
    """Version of the Envoy that is to take it; fields moved."""

    def message(self) -> Json:
        """The typed_config."""
        return {"@type": MESSAGES[self.module.kind], "config": self.plugin()}

    def entry(self) -> Json:
        """The entry in a list of filters."""
        return {"name": FILTER_NAMES[self.module.kind], "typed_config": self.message()}

    def plugin(self) -> Json:
        """The PluginConfig."""
        kept = {key: value for key, value in self.kept.items() if key != "capability_restriction_config"}
        plugin: Json = {"name": self.name, **kept, **({"root_id": self.root_id} if self.root_id else {})}
        plugin |= {"name": self.name, **self._policy()}
        code = self.code.code() if isinstance(self.code, Remote) else {"local": {"filename": self.code}}
        vm = dict(kept.get("vm_config", {}))
        vm.pop("capability_restriction_config", None)
        plugin["vm_config"] = {"runtime": "envoy.wasm.runtime.v8", **vm, "code": code, **self._environment()}
        if self.configuration is not None:
            # A StringValue: Envoy passes exactly its text. A Struct it would write anew, with every number a double.
            plugin["configuration"] = {"@type": f"{_TYPE}google.protobuf.StringValue", "value": self.configuration}
        if self.restrict and self.module.capabilities:
            allowed: Json = {name: {} for name in self.module.capabilities}
            place = plugin["vm_config"] if self.envoy >= RESTRICTED_VM_SINCE else plugin
            place["capability_restriction_config"] = {"allowed_capabilities": allowed}
        return plugin if self.failure_policy is None else _without_the_other_policy(plugin)

    def _policy(self) -> Json:
        if self.failure_policy is None and {"failure_policy", "fail_open"} & set(self.kept):
            return {}
        if self.envoy >= RELOAD_SINCE:
            return {"failure_policy": self.failure_policy or "FAIL_RELOAD"}
        return {"fail_open": True} if self.failure_policy == "FAIL_OPEN" else {}

    def _environment(self) -> Json:
        values = {name: value for name, value in self.environment.items() if value is not None}
        keys = [name for name, value in self.environment.items() if value is None]
        variables = {**({"key_values": values} if values else {}), **({"host_env_keys": keys} if keys else {})}
        return {"environment_variables": variables} if variables else {}


def _without_the_other_policy(plugin: Json) -> Json:
    """Envoy takes failure_policy or its old name, and not both."""
    return {key: value for key, value in plugin.items() if key != "fail_open" or "failure_policy" not in plugin}


def read_module(path: Path) -> Module:
    """What Envoy needs to know of the module in `path`.

    Raises:
        UsageError: there is no such file.
        BinaryError, ProjectError: it is not a core module.
    """
    data = read_bytes(path, hint="make it with: pwasm build")
    report = inspect.describe(shown(path), data)
    return Module(
        path=path,
        kind=kind_of(report["callbacks"]),
        sha256=hashlib.sha256(data).hexdigest(),
        capabilities=tuple(report["capabilities"]),
    )


def version_of(text: str) -> tuple[int, int]:
    """The version of Envoy in `1.40.0`; the newest known for an Envoy that would not say."""
    major, _, rest = text.partition(".")
    return (int(major), int(rest.partition(".")[0])) if text else NEWEST


def kind_of(callbacks: Sequence[str]) -> Kind:
    """Where a module belongs, by the callbacks it exports."""
    from pwasm_compiler.envoy.run import kind_of

    return kind_of(tuple(callbacks))


def remote(url: str, sha256: str, cluster: str | None) -> Remote:
    """The code at `url`, through `cluster` or through one made for it."""
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", url):
        raise UsageError(
            f"'{url}' is not a URL that Envoy fetches from",
            hint="write http:// or https://; an image in a registry is fetched by Istio, see: pwasm manifest",
        )
    if parts.username is not None:
        raise UsageError("a URL with a password in it would show it in Envoy's config_dump", hint="leave it out")
    made = "wasm_code_" + re.sub(r"[^A-Za-z0-9]+", "_", parts.netloc)
    return Remote(url, sha256, cluster or made, cluster is None)


def ecds_entry(plugin: Filter, file: Path) -> Json:
    """The entry in a list of filters whose configuration Envoy reads from `file`, and again when that is replaced."""
    source = {"path_config_source": {"path": str(file)}, "resource_api_version": "V3"}
    discovery = {"config_source": source, "type_urls": [MESSAGES[plugin.module.kind]]}
    return {"name": plugin.name, "config_discovery": discovery}


def ecds_document(plugin: Filter) -> Json:
    """What is in that file."""
    resource = {"@type": f"{_TYPE}envoy.config.core.v3.TypedExtensionConfig", "name": plugin.name}
    return {"resources": [{**resource, "typed_config": plugin.message()}]}


def bootstrap(plugin: Filter, entry: Json, *, port: int, admin_port: int, upstream: tuple[str, int] | None) -> Json:
    """A whole configuration around `entry`, on 127.0.0.1: traffic goes to `upstream`, or Envoy answers itself."""
    from pwasm_compiler.envoy import test_config as made

    upstreams = [made.Upstream(*upstream)] if upstream else []
    cluster = upstreams[0].name if upstreams else None
    if plugin.module.kind == "plugin":
        config = made.bootstrap(upstreams=upstreams, admin_port=admin_port)
        config["bootstrap_extensions"] = [entry]
    elif plugin.module.kind == "tcp":
        config = made.bootstrap(
            [made.TcpListener((), port, upstream=cluster)], upstreams=upstreams, admin_port=admin_port
        )
        _chain(config).insert(0, entry)
    else:
        listener = made.HttpListener((), port, routes=[made.Route(upstream=cluster)])
        config = made.bootstrap([listener], upstreams=upstreams, admin_port=admin_port)
        _chain(config)[0]["typed_config"]["http_filters"].insert(0, entry)
    if "config_discovery" in entry:
        config = {"node": NODE, **config}
    if isinstance(plugin.code, Remote) and plugin.code.own_cluster:
        config["static_resources"]["clusters"].append(plugin.code.cluster_config())
    return config


def _chain(config: Json) -> list[Json]:
    chain: list[Json] = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    return chain
