"""What a filter holds is held in the three worlds, beside filters that pause and continue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pwasm.testing import Answer, ExtAuthz, LuaBody, LuaCall, Pause, Plugin, WasmFilter

PROJECTS = Path(__file__).parents[3] / "projects"
EVIL: list[bytes | Pause] = [b"evil", Pause(0.5), b"rest"]
GOOD: list[bytes | Pause] = [b"good", Pause(0.5), b"rest"]
pytestmark = pytest.mark.pwasm(
    filter=PROJECTS / "data_path", clusters={"gate": Answer(200, delay=0.2), "scan": Answer(200, delay=0.1)}
)
# One Envoy for the tests with the same neighbours.
PLUGINS = (Plugin("whole", "whole"), Plugin("scan", "scan"))
both_modes = pytest.mark.parametrize("hold", [False, True], ids=["drain", "headers"])
beside = pytest.mark.parametrize(
    "neighbours",
    [
        {"after": [ExtAuthz("gate")]},
        {"after": [ExtAuthz("gate", grpc=True)]},
        {"after": [LuaCall("gate")]},
        {"after": [LuaBody()]},
        {"after": [WasmFilter(PROJECTS / "waiting")]},
        {"before": [ExtAuthz("gate")]},
    ],
    ids=["authz", "grpc", "lua", "lua body", "wasm", "before"],
)


@both_modes
@beside
def test_a_whole_body_is_refused_before_anything_passes(pwasm_worlds: Any, hold: bool, neighbours: Any) -> None:
    world = pwasm_worlds(plugins=PLUGINS, hold_headers=hold, **neighbours)
    response = world.request("POST", "/", plugin="whole", body=EVIL)
    assert (response.status, response.text) == (403, "blocked")
    assert "request evilrest" in world.logs()
    assert b"evil" not in b"".join(request.body for request in (*world.upstream.requests, *world.upstream.arriving))


@both_modes
@beside
def test_a_whole_body_passes(pwasm_worlds: Any, hold: bool, neighbours: Any) -> None:
    world = pwasm_worlds(plugins=PLUGINS, hold_headers=hold, **neighbours)
    assert world.request("POST", "/", plugin="whole", body=GOOD).status == 200
    (received,) = world.upstream.requests
    assert received.body == b"goodrest"


@both_modes
def test_a_whole_response_that_an_earlier_filter_keeps(pwasm_worlds: Any, hold: bool) -> None:
    answer = Answer(body=[b"secret", Pause(0.5), b"rest"])
    before = [LuaCall("gate", request=False, response=True)]
    world = pwasm_worlds(plugins=PLUGINS, hold_headers=hold, before=before, upstream=answer)
    response = world.request(plugin="whole")
    assert (response.status, response.body) == (200, b"secretrest")
    assert world.logs() == ["response secretrest"]


@both_modes
@beside
def test_an_awaited_piece_passes_when_it_has_been_scanned(pwasm_worlds: Any, hold: bool, neighbours: Any) -> None:
    world = pwasm_worlds(plugins=PLUGINS, hold_headers=hold, **neighbours)
    response = world.request("POST", "/", plugin="scan", body=EVIL)
    assert response.status in {403, None} or not response.complete
    assert "piece evil" in world.logs()
    assert b"evil" not in b"".join(request.body for request in (*world.upstream.requests, *world.upstream.arriving))


@both_modes
@beside
def test_each_awaited_piece_is_shown_once(pwasm_worlds: Any, hold: bool, neighbours: Any) -> None:
    world = pwasm_worlds(plugins=PLUGINS, hold_headers=hold, **neighbours)
    assert world.request("POST", "/", plugin="scan", body=[*GOOD, Pause(0.5)]).status == 200
    assert "".join(text.removeprefix("piece ") for text in world.logs() if text != "scanned") == "goodrest"
    (received,) = world.upstream.requests
    assert received.body == b"goodrest"


@pytest.mark.parametrize("neighbours", [{}, {"after": [ExtAuthz("gate")]}, {"before": [LuaCall("gate")]}])
def test_the_body_decides_the_headers(pwasm_worlds: Any, neighbours: Any) -> None:
    world = pwasm_worlds(root_id="router", **neighbours)
    response = world.request("POST", "/x", body=b'{"model": "acme/small"}')
    assert response.status == 200
    (received,) = world.upstream.requests
    assert (received.headers["x-provider"], received.path) == ("acme", "/acme/v1")
    assert json.loads(received.body) == {"model": "small"}


def test_where_headers_cannot_be_held_the_filter_does_not_start(pwasm_worlds: Any) -> None:
    world = pwasm_worlds(root_id="router", hold_headers=False, starts=False)
    assert any("PWASM_HOLD_HEADERS=1" in text for text in world.logs())
