"""A built module as Envoy loads it: its kind, its capabilities, and where Envoy gets its code."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pwasm_compiler import held_headers, inspect
from pwasm_compiler.envoy.kinds import Kind, kind_of, traffic_of
from pwasm_compiler.errors import UsageError
from pwasm_compiler.files import read_bytes, shown


@dataclass(frozen=True)
class Module:
    """A built module: its kind, and what it needs from Envoy."""

    path: Path
    kind: Kind
    sha256: str
    capabilities: tuple[str, ...]
    traffic: tuple[Kind, ...] = ()
    """What traffic it has callbacks for; more than one kind if it has filters of several."""
    hold_headers: Mapping[str, str | None] = field(default_factory=dict)
    """root_id → what it needs of Envoy about holding headers (`pwasm_compiler.held_headers`)."""

    def need(self, root_id: str = "") -> str | None:
        """The `need` of a `WasmFilter` for the plugin with this `root_id`."""
        return held_headers.need(self.hold_headers, root_id) if self.kind == "http" else None


@dataclass(frozen=True)
class Remote:
    """Where Envoy fetches the code from: over HTTP, through one of its clusters."""

    url: str
    sha256: str
    cluster: str
    own_cluster: bool
    """Whether the cluster is to be generated from the URL."""


def read_module(path: Path) -> Module:
    """What Envoy needs to know about the module in `path`.

    Raises:
        UsageError: the file does not exist.
        BinaryError, ProjectError: it is not a core module.
    """
    data = read_bytes(path, hint="create it with: pwasm build")
    report = inspect.describe(shown(path), data)
    return Module(
        path=path,
        kind=kind_of(report["callbacks"]),
        sha256=hashlib.sha256(data).hexdigest(),
        capabilities=tuple(report["capabilities"]),
        traffic=traffic_of(report["callbacks"]),
        hold_headers=report["hold_headers"],
    )


def remote(url: str, sha256: str, cluster: str | None) -> Remote:
    """The code at `url`, through `cluster` or a generated one."""
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", url):
        raise UsageError(
            f"Envoy cannot fetch from '{url}'",
            hint="use http:// or https://; only a mesh fetches images from registries, see: pwasm manifest",
        )
    if parts.username is not None:
        raise UsageError("a password in the URL would be exposed in Envoy's config_dump", hint="remove it")
    made = "wasm_code_" + re.sub(r"[^A-Za-z0-9]+", "_", parts.netloc)
    return Remote(url, sha256, cluster or made, cluster is None)
