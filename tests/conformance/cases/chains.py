"""Several filters around a body, and who releases it: docs/abi.md §6.

The filter's actions are raw: what it returns goes past the SDK, which may hold a stream where a PAUSE does not.
"""

from __future__ import annotations

from typing import Any

from pwasm.testing import ExtAuthz, LuaBody, LuaCall, SlowUpstream

from ..case import Answer, Case
from ..ops import ON_TICK, body, later, resume, tick, write

MAX = 0x7FFFFFFF
CLUSTER = "gate"
"""Its answers come when the case says so."""

NEIGHBOURS: dict[str, dict[str, Any]] = {
    "authz-after": {"after": (ExtAuthz(CLUSTER),)},
    "authz-before": {"before": (ExtAuthz(CLUSTER),)},
    "authz-after-flag": {"after": (ExtAuthz(CLUSTER),), "allow_on_headers_stop_iteration": True},
    "lua-after": {"after": (LuaCall(CLUSTER),)},
    "lua-after-flag": {"after": (LuaCall(CLUSTER),), "allow_on_headers_stop_iteration": True},
    "lua-before": {"before": (LuaCall(CLUSTER),)},
    "lua-response-before": {"before": (LuaCall(CLUSTER, request=False, response=True),)},
    "lua-response-before-flag": {
        "before": (LuaCall(CLUSTER, request=False, response=True),),
        "allow_on_headers_stop_iteration": True,
    },
    "lua-response-after": {"after": (LuaCall(CLUSTER, request=False, response=True),)},
    "body-after": {"after": (LuaBody(response=True),)},
    "body-before": {"before": (LuaBody(response=True),)},
    "both": {"before": (LuaBody(),), "after": (ExtAuthz(CLUSTER),)},
    "two": {"after": (LuaBody(), ExtAuthz(CLUSTER))},
    "connecting": {"after": (SlowUpstream(),), "upstream_filter": True},
    "alone": {},
}
"""Listener → the emulator's options; Envoy's configuration is made of the same."""

CONTINUE, PAUSE = ["raw", 0], ["raw", 1]
REQUEST: dict[str, Any] = {"method": "POST", "chunks": [b"evil", b"rest"]}
RESPONSE = {"answer": Answer(chunks=[b"evil", b"rest"])}
TRAILERS = [("x-end", "1")]
SIDES: tuple[tuple[str, int, dict[str, Any], dict[str, Any]], ...] = (
    ("request", 0, REQUEST, {**REQUEST, "trailers": TRAILERS}),
    ("response", 1, RESPONSE, {"answer": Answer(chunks=[b"evil", b"rest"], trailers=TRAILERS)}),
)
LISTENERS = {
    "request": ("authz-after", "authz-before", "lua-after", "lua-before", "body-after", "body-before", "both", "two"),
    "response": ("lua-response-before", "lua-response-after", "body-after", "body-before"),
}
FLAGGED = {"request": ("authz-after-flag", "lua-after-flag"), "response": ("lua-response-before-flag",)}
RELEASING = {"authz-after", "lua-after", "lua-response-before"}


def _scripts(side: str, buffer: int) -> dict[str, dict[str, Any]]:
    """What the filter does with a body of two pieces."""
    seen, drained = body(buffer), write(buffer, 0, MAX, "")
    put_back = write(buffer, 0, MAX, "evilrest")
    return {
        "holds-until-the-end": {f"{side}_body": [seen, PAUSE], f"{side}_body!": [seen, CONTINUE]},
        "holds-the-first": {f"{side}_body": [seen, CONTINUE], f"{side}_body#1": [seen, PAUSE]},
        "drains-and-puts-back-at-the-end": {
            f"{side}_body": [seen, drained, PAUSE],
            f"{side}_body!": [seen, put_back, CONTINUE],
        },
        "lets-pass": {f"{side}_body": [seen, CONTINUE]},
    }


def _with_trailers(side: str, buffer: int) -> dict[str, dict[str, Any]]:
    seen, drained = body(buffer), write(buffer, 0, MAX, "")
    return {
        "holds-until-trailers": {f"{side}_body": [seen, PAUSE], f"{side}_trailers": [seen, CONTINUE]},
        "puts-back-in-trailers": {
            f"{side}_body": [seen, drained, PAUSE],
            f"{side}_trailers": [write(buffer, 0, 0, "evilrest"), CONTINUE],
        },
        "holds-trailers": {f"{side}_body": [seen, PAUSE], f"{side}_trailers": [seen, PAUSE]},
    }


def _answers(listener: str) -> tuple[int | None, ...]:
    return (1, 2) if "body" not in listener else (None,)


def _hangs(listener: str, name: str, answer: int | None) -> bool:
    """Whether the filter pauses at the end, and nobody continues then."""
    if name == "holds-trailers":
        return answer != 2 or listener not in RELEASING
    return name == "holds-the-first" and not (listener in RELEASING or (answer == 1 and "response" not in listener))


CHAINS = [
    Case(f"{listener}-{answer}-{side}-{name}", script, **exchange, listener=listener, answer_after=answer)
    for side, buffer, plain, trailing in SIDES
    for listener in LISTENERS[side]
    for exchange, scripts in ((plain, _scripts(side, buffer)), (trailing, _with_trailers(side, buffer)))
    for name, script in scripts.items()
    for answer in _answers(listener)
    if not _hangs(listener, name, answer)
]
CHAINS += [
    # The end cannot be held: upstream, or the client, gets a message without a body.
    Case(
        f"{listener}-drains-the-end-{side}",
        {f"{side}_body": [body(buffer), write(buffer, 0, MAX, ""), PAUSE]},
        **plain,
        listener=listener,
        answer_after=2,
    )
    for side, buffer, plain, _ in SIDES
    for listener in ({"request": ("authz-after", "lua-after"), "response": ("lua-response-before",)}[side])
]
CHAINS += [
    # The headers can: nobody else has the stream until they go on.
    Case(
        f"{listener}-{answer}-{side}-held-by-its-headers-{name}",
        {f"{side}_headers": [PAUSE], **script},
        **exchange,
        listener=listener,
        answer_after=answer,
    )
    for side, buffer, plain, trailing in SIDES
    for listener in FLAGGED[side]
    for exchange, scripts in ((plain, _scripts(side, buffer)), (trailing, _with_trailers(side, buffer)))
    for name, script in scripts.items()
    if name in {"holds-until-the-end", "lets-pass", "holds-until-trailers"}
    for answer in (None, 2)
]
CHAINS += [
    Case(f"connecting-{answer}-request-{name}", script, **exchange, listener="connecting", answer_after=answer)
    for side, buffer, plain, trailing in SIDES[:1]
    for exchange, scripts in ((plain, _scripts(side, buffer)), (trailing, _with_trailers(side, buffer)))
    for name, script in scripts.items()
    if name != "holds-trailers"
    for answer in (1,)
]
CHAINS += [
    # Resumed from elsewhere between the pieces. Envoy 1.36.4 loses what comes after that: it goes on collecting.
    Case(
        f"alone-{side}-resumed-between-pieces-then-{name}",
        {f"{side}_body#1": [body(buffer), PAUSE, ON_TICK], f"{side}_body": [body(buffer), *then], **later(*ops)},
        **plain,
        listener="alone",
        answer_after=1,
        ticks=1,
    )
    for side, buffer, plain, _ in SIDES
    for name, then in (("lets-pass", [CONTINUE]), ("replaces", [write(buffer, 0, MAX, "new"), CONTINUE]))
    for ops in ([resume(buffer)],)
]
CHAINS += [
    # What is put back when the end has been released without it is lost.
    Case(
        f"{listener}-puts-back-after-the-end",
        {
            "request_body": [body(0), write(0, 0, MAX, ""), PAUSE],
            "request_body!": [body(0), write(0, 0, MAX, ""), PAUSE, tick(500)],
            **later(write(0, 0, 0, "evilrest"), resume(0)),
        },
        **REQUEST,
        listener=listener,
        answer_after=2,
        ticks=1,
    )
    for listener in ("authz-after", "lua-after")
]
