"""The kinds of resources that carry a filter, by their name on the command line; and which of them can hold headers."""

from __future__ import annotations

from pwasm_compiler import held_headers
from pwasm_compiler.errors import UsageError
from pwasm_compiler.kube.envoy_filter import EnvoyFilter
from pwasm_compiler.kube.envoy_gateway import EnvoyExtensionPolicy
from pwasm_compiler.kube.envoy_patch_policy import EnvoyPatchPolicy
from pwasm_compiler.kube.higress import HigressWasmPlugin
from pwasm_compiler.kube.istio import TrafficExtension, WasmPlugin
from pwasm_compiler.kube.kind import ResourceKind

DEFAULT_KIND = WasmPlugin.name
_ALL: tuple[ResourceKind, ...] = (
    WasmPlugin(),
    TrafficExtension(),
    EnvoyFilter(),
    EnvoyExtensionPolicy(),
    EnvoyPatchPolicy(),
    HigressWasmPlugin(),
)
KINDS = {kind.name: kind for kind in _ALL}
CHOICES = [kind.name for kind in _ALL if not kind.only_beside]
"""The names that a user may choose."""


def kinds_that_hold(chosen: str | None) -> list[str]:
    """The kinds of the resources with which headers are held, where `chosen` is the user's kind, if any.

    Raises:
        UsageError: the chosen kind's product cannot hold headers, or another kind of it must be used.
    """
    kind = KINDS[chosen or DEFAULT_KIND]
    if kind.held_by is None:
        raise _cannot(kind, f"use another product, {_ACCEPT}")
    if kind.held_beside:
        return [kind.name, kind.held_by]
    if chosen not in (None, kind.held_by):
        raise _cannot(kind, f"use --kind {kind.held_by}, {_ACCEPT}")
    return [kind.held_by]


def unheld(chosen: str | None) -> str:
    """The warning for a filter that buffers bodies, in a resource that leaves headers alone."""
    kind = KINDS[chosen or DEFAULT_KIND]
    way = f"; --hold-headers prints an {kind.held_by}, which can" if kind.held_by else ""
    return f"{kind} does not hold headers: {held_headers.CANNOT}{way}"


_ACCEPT = "or accept it with --no-hold-headers: the filter then refuses to start if it requires that"


def _cannot(kind: ResourceKind, hint: str) -> UsageError:
    return UsageError(f"{kind} cannot hold headers (it has no {held_headers.OPTION})", why=_MEANS, hint=hint)


_MEANS = f"Without that, {held_headers.CANNOT}."
