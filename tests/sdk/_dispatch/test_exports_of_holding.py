"""What a module must export so that nothing passes what it holds."""

from __future__ import annotations

from typing import Any

import pytest

import pwasm
from pwasm import Action
from pwasm._dispatch.exports import callbacks_used
from pwasm.entrypoint import registration_of


def pauses(self: object, num_headers: int, end_of_stream: bool) -> Action:
    return Action.PAUSE


def continues(self: object, num_headers: int, end_of_stream: bool) -> Action:
    return Action.CONTINUE


async def awaits(self: object, num_headers: int, end_of_stream: bool) -> None:
    return None


BODY, TRAILERS = "proxy_on_{}_body", "proxy_on_{}_trailers"


@pytest.mark.parametrize("message", ["request", "response"])
@pytest.mark.parametrize(
    ("part", "function", "needed"),
    [
        ("headers", continues, ()),
        ("headers", pauses, (BODY, TRAILERS)),
        ("headers", awaits, (BODY, TRAILERS)),
        ("body", continues, (BODY, TRAILERS)),
        ("body", pauses, (BODY, TRAILERS)),
    ],
)
def test_callbacks_that_holding_needs(message: str, part: str, function: Any, needed: tuple[str, ...]) -> None:
    cls = type("Filter", (pwasm.HttpContext,), {f"on_http_{message}_{part}": function})
    exported = set(callbacks_used(registration_of(cls)))
    assert {name.format(message) for name in needed} == exported & {BODY.format(message), TRAILERS.format(message)}
