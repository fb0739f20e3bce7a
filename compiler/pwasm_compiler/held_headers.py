"""Whether a filter's streams are held by their headers: what its module records, and what that means for a host.

Envoy's body buffer belongs to the whole chain of filters, so any other filter that pauses and continues releases a body
that is held there. Only held headers keep a stream away from later filters. A plugin's headers callback can hold them,
and be called for the body all the same, if Envoy's PluginConfig has `allow_on_headers_stop_iteration` (`OPTION`). The
module cannot see the option, so whatever writes it also writes the variable `VARIABLE` into the plugin's environment,
and nothing writes one without the other (`pwasm_compiler.envoy.wasm_filter`).

Without the variable the SDK takes held bytes out of Envoy's buffer and keeps them in the module's memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from .errors import UsageError

OPTION: Final = "allow_on_headers_stop_iteration"
VARIABLE: Final = "PWASM_HOLD_HEADERS"
VALUE: Final = "1"
SINCE: Final = (1, 35)
"""The first Envoy with the option; older ones reject a configuration with it."""

REQUIRED, WANTED = "required", "wanted"
NEEDS: Final = {
    REQUIRED: "a class changes headers after seeing the body; without the option, the filter refuses to start",
    WANTED: "a class holds bodies; without the option, they are held in the module's own memory",
}
"""What a module may record for a `root_id`, the strongest first → what it means."""

CANNOT: Final = (
    "bodies are held in the module's own memory; request headers reach upstream before the body is checked; and beside"
    " a later filter that pauses, a stream cannot be held while a callback awaits at the end of its body"
)
"""What it means for a filter whose host does not hold headers."""
WITHOUT: Final = (
    "Istio's WasmPlugin and TrafficExtension, Envoy Gateway's EnvoyExtensionPolicy and Higress's WasmPlugin"
)
"""The resources that carry a filter and cannot set the option (their products' sources, August 2026)."""


def need(held: Mapping[str, str | None], root_id: str | None = None) -> str | None:
    """What the plugin with this `root_id` needs (one of `NEEDS`); for None, the strongest need of the module.

    A `root_id` for which nothing is registered gets what is registered without one. A plugin that needs nothing wants
    what the others of its module need: older Envoys (1.36 does, 1.40 does not) run plugins with the same code in one
    VM whatever their environments, and that VM has the environment of the first.
    """
    strongest = next((one for one in NEEDS if one in held.values()), None)
    if root_id is None:
        return strongest
    return held.get(root_id, held.get("")) or (strongest and WANTED)


def too_old(envoy: tuple[int, int]) -> UsageError:
    """The error for a filter that needs headers held, and an Envoy without the option."""
    return UsageError(
        f"Envoy {envoy[0]}.{envoy[1]} cannot hold headers, which this filter requires",
        why=f"{OPTION} exists since Envoy {SINCE[0]}.{SINCE[1]}. Without it, the filter refuses to start.",
        hint="use a newer Envoy, or remove holds_request_headers and holds_response_headers from the filter",
    )


def caution(needed: str | None, *, chosen: bool | None, envoy: tuple[int, int]) -> str | None:
    """The warning for a filter whose headers will not be held, because of the user's choice or of this Envoy."""
    if needed is None or (chosen is not False and envoy >= SINCE):
        return None
    if needed == REQUIRED:  # by choice: otherwise it is an error
        return f"with --no-hold-headers this filter refuses to start: {NEEDS[REQUIRED]}"
    cause = (
        "with --no-hold-headers"
        if chosen is False
        else f"Envoy {envoy[0]}.{envoy[1]} cannot hold headers (no {OPTION})"
    )
    return f"{cause}: {CANNOT}"


def notes(held: Mapping[str, str | None], awaited_body: str) -> Iterator[str]:
    """What a build says about hosts that do not hold headers; `awaited_body` is a callback that may wait, or ""."""
    if need(held) == REQUIRED:
        yield (
            f"note: it changes headers after seeing the body, which {WITHOUT} do not support by themselves;"
            " see: pwasm manifest"
        )
    elif awaited_body:
        yield (
            f"note: {awaited_body} may wait: where headers are not held, as with {WITHOUT},"
            " a stream cannot be held while it awaits at the end of the body, beside a later filter that pauses"
        )
