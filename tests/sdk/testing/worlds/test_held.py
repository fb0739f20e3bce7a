"""What a filter holds is held in the three worlds, beside filters that pause and continue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pwasm.testing import Answer, ExtAuthz, LuaBody, LuaCall, Pause, Plugin, WasmFilter

PROJECTS = Path(__file__).parents[3] / "projects"
EVIL: list[bytes | Pause] = [b"evil", Pause(0.3), b"rest"]
GOOD: list[bytes | Pause] = [b"good", Pause(0.3), b"rest"]
pytestmark = pytest.mark.pwasm(
    filter=PROJECTS / "data_path", clusters={"gate": Answer(200, delay=0.15), "scan": Answer(200, delay=0.05)}
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
def test_a_body_passes_when_the_filter_says_so(pwasm_worlds: Any, hold: bool, neighbours: Any) -> None:
    world = pwasm_worlds(plugins=PLUGINS, hold_headers=hold, **neighbours)
    whole = [world.send("POST", "/whole", body=body, plugin="whole") for body in (EVIL, GOOD)]
    pieces = [world.send("POST", "/scan", body=body, plugin="scan") for body in (EVIL, [*GOOD, Pause(0.3)])]
    refused, passed = (pending.response() for pending in whole)
    assert (refused.status, refused.text, passed.status) == (403, "blocked", 200)
    refused, passed = (pending.response() for pending in pieces)
    assert (refused.status, passed.status) == (403, 200)
    received = {(request.path, request.body) for request in world.upstream.requests}
    assert received == {("/whole", b"goodrest"), ("/scan", b"goodrest")}
    assert not any(request.body for request in world.upstream.arriving)
    logged = world.logs()
    assert {"request evilrest", "request goodrest", "piece evil", "piece good", "piece rest"} <= set(logged)
    assert logged.count("piece evil") == logged.count("piece good") == 1


@both_modes
def test_a_whole_response_that_an_earlier_filter_keeps(pwasm_worlds: Any, hold: bool) -> None:
    answer = Answer(body=[b"secret", Pause(0.3), b"rest"])
    before = [LuaCall("gate", request=False, response=True)]
    world = pwasm_worlds(plugins=PLUGINS, hold_headers=hold, before=before, upstream=answer)
    response = world.request(plugin="whole")
    assert (response.status, response.body) == (200, b"secretrest")
    assert world.logs() == ["response secretrest"]


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
