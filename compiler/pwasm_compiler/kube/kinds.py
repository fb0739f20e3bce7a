"""The kinds of resources that carry a filter, by their name on the command line."""

from __future__ import annotations

from pwasm_compiler.kube.envoy_gateway import EnvoyExtensionPolicy
from pwasm_compiler.kube.higress import HigressWasmPlugin
from pwasm_compiler.kube.istio import TrafficExtension, WasmPlugin
from pwasm_compiler.kube.kind import ResourceKind

DEFAULT_KIND = WasmPlugin.name
_ALL: tuple[ResourceKind, ...] = (WasmPlugin(), TrafficExtension(), EnvoyExtensionPolicy(), HigressWasmPlugin())
KINDS = {kind.name: kind for kind in _ALL}
