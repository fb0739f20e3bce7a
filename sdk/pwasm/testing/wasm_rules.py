"""Envoy's requirements on a module, and the calls it allows at its start (docs/abi.md §1.1, §1.8, cases 1 to 6)."""

from __future__ import annotations

from typing import Any, Final

from .. import _abi

VERSIONS: Final = ("0_1_0", "0_2_0", "0_2_1")

_LOGGING = {"proxy_log", "fd_write", "clock_time_get", "poll_oneoff"}
_START = _LOGGING | {
    *("args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "fd_prestat_get", "fd_prestat_dir_name"),
    *("random_get", "fd_fdstat_get", "fd_fdstat_set_flags"),
}
ALLOWED: Final = {
    "_initialize": _START,
    "_start": _START,
    "main": _START,
    "malloc": _LOGGING,
    "proxy_on_memory_allocate": _LOGGING,
}
"""Running export → the functions it may call; any other call traps. Exports not listed may call everything."""


def problem_of_exports(module: Any) -> str:
    """The reason why Envoy would not load the module, in Envoy's words; "" if it would."""
    exports = {item.name: item.type for item in module.exports}
    if not any(f"proxy_abi_version_{version}" in exports for version in VERSIONS):
        return "Missing or unknown Proxy-Wasm ABI version"
    if "memory" not in exports:
        return "exports no memory"
    for callback in _abi.CALLBACKS:
        found = exports.get(callback.name)
        if found is None:
            continue
        want = callback.core_type()
        has = tuple(" ".join(map(str, getattr(found, side, ("?",)))) for side in ("params", "results"))
        if has != want:
            return (
                f"Bad function signature for: {callback.name}, want: ({want[0]}) -> ({want[1]}),"
                f" but the module exports: ({has[0]}) -> ({has[1]})"
            )
    return ""
