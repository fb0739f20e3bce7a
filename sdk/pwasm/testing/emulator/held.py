"""Explains why a client gets no response: which callback returned PAUSE, and what could still resume its stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from pwasm._abi import Action
from pwasm._stream.phases import PHASES

from .base import Part


class Held(Protocol):
    """The stream that a message is about."""

    actions: list[tuple[str, int]]
    unanswered: str
    context_id: int

    @property
    def host(self) -> Part:
        """Its host."""

    @property
    def paused(self) -> str | None:
        """The part that the plugin holds."""


HINT = (
    "hint: code that pauses a stream must resume it later (from a callout, a tick, another stream), or answer it with"
    " pwasm.send_http_response; a test that expects the stream to be held passes a timeout: request(…, timeout=1)"
)


_DECIDED_BY_BODY = {
    "proxy_on_request_headers": ("proxy_on_request_body", "holds_request_headers"),
    "proxy_on_response_headers": ("proxy_on_response_body", "holds_response_headers"),
}
"""A callback that holds headers → the one that would see the body, and the setting with which it can decide them."""


def hint(export: str, hears: Callable[[str], bool], *, python: bool) -> str:
    """What to do about a stream held by `export`; `hears` says whether the filter has a callback."""
    body, setting = _DECIDED_BY_BODY.get(export, ("", ""))
    if not (python and body and hears(body)):
        return HINT
    meanwhile = f"{PHASES[body].method} is not called meanwhile"
    return (
        f"{HINT}\nhint: {meanwhile}; to change headers after seeing the body, set {setting} = True and return CONTINUE"
    )


def since(export: str, *, python: bool) -> str:
    """What holds a stream, with the callback's name as its author knows it."""
    return f"held since {PHASES[export].method if python else export} returned PAUSE"


def held_since(stream: Held) -> str:
    """What holds a stream of the emulator; "" if nothing does."""
    held = stream.paused
    if held is None:
        return ""
    export = _paused_by(stream, held)
    return since(export, python=stream.host.is_python) if export else "held"


def _paused_by(stream: Held, part: str) -> str:
    paused = (export for export, action in reversed(stream.actions) if part in export and action != Action.CONTINUE)
    return next(paused, "")


def still_to_come(hosts: Iterable[Part]) -> list[str]:
    """Descriptions of what the plugins wait for; any of it may resume a stream."""
    return list(dict.fromkeys(what for host in hosts for what in host.still_to_come()))


def why_held(stream: Held) -> str:
    """What holds a stream of the emulator, and whether nothing will resume it; "" if it is not held."""
    held = held_since(stream)
    return f"{held}; nothing resumes it" if held and not still_to_come([stream.host]) else held


def why_no_response(stream: Held, hosts: Sequence[Part], seconds: float) -> str:
    """The message for a test that waited for a response in vain."""
    held, coming = held_since(stream), still_to_come(hosts)
    if not held and stream.unanswered:
        return f"no response within {seconds:g} s: {stream.unanswered}"
    if not held:
        others = sum(not call.answered for host in hosts for call in host.neighbour_calls)
        beside = f"; {others} of its neighbours' calls are not answered" if others else ""
        return f"no response within {seconds:g} s, although the filter does not hold the stream{beside}"
    host, export = stream.host, _paused_by(stream, stream.paused or "")
    advice = hint(export, lambda body: host.hears(body, stream.context_id), python=host.is_python)
    if not coming:
        return f"{held}; nothing resumes it: there is no pending call and no tick\n{advice}"
    return f"{held}; nothing resumed it within {seconds:g} s ({', '.join(coming)})\n{advice}"
