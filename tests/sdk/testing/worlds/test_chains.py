"""Neighbours in the three worlds: in Envoy a chain of the real filters, elsewhere their doubles; all show the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pwasm.testing import (
    REFUSED,
    SILENCE,
    Answer,
    ExtAuthz,
    LuaBody,
    LuaCall,
    Pause,
    Setup,
    SlowUpstream,
    WasmFilter,
    World,
)
from pwasm.testing.worlds.filters import wants_held_headers
from pwasm.testing.worlds.host import HostWorld

PROJECTS = Path(__file__).parents[3] / "projects"
LATE = Answer(200, delay=0.4)
BODY: list[bytes | Pause] = [b"evil", Pause(0.8), b"rest"]
WAITING = WasmFilter(PROJECTS / "waiting")
pytestmark = pytest.mark.pwasm(filter=PROJECTS / "passing", clusters={"gate": LATE})


def beside(place: str, *neighbours: Any) -> pytest.MarkDecorator:
    return pytest.mark.pwasm(**{place: neighbours})


def passed(world: World) -> None:
    """A request in two pieces; in between, what has been let pass is upstream."""
    pending = world.send("POST", "/", body=BODY)
    world.advance(0.2)
    assert world.upstream.arriving == []
    world.advance(0.4)
    (arriving,) = world.upstream.arriving
    assert (arriving.method, arriving.body) == ("POST", b"evil")
    response = pending.response()
    assert (response.status, response.text) == (200, "hello from upstream")
    assert world.upstream.arriving == []
    assert world.upstream.requests[0].body == b"evilrest"


@beside("after", ExtAuthz("gate"))
def test_http_authz_after(pwasm_world: World) -> None:
    passed(pwasm_world)
    logged = pwasm_world.logs()
    assert logged[:3] == ["request", "request evil", "request rest"]
    (asked,) = pwasm_world.clusters["gate"].requests
    assert (asked.method, asked.path) == ("POST", "/")


@beside("after", ExtAuthz("gate", grpc=True))
def test_grpc_authz_after(pwasm_world: World) -> None:
    passed(pwasm_world)
    (asked,) = pwasm_world.clusters["gate"].requests
    assert (asked.method, asked.path) == ("POST", "/")


@beside("after", LuaCall("gate"))
def test_lua_after(pwasm_world: World) -> None:
    passed(pwasm_world)


@beside("after", WAITING)
def test_another_wasm_filter_after(pwasm_world: World) -> None:
    passed(pwasm_world)


@beside("before", ExtAuthz("gate"))
def test_authz_before(pwasm_world: World) -> None:
    pending = pwasm_world.send("POST", "/", body=BODY)
    pwasm_world.advance(0.2)
    assert pwasm_world.logs() == []
    pwasm_world.advance(0.4)
    assert pwasm_world.logs() == ["request", "request evil"]
    assert pending.response().status == 200


@beside("before", WAITING)
def test_another_wasm_filter_before(pwasm_world: World) -> None:
    pending = pwasm_world.send("POST", "/", body=BODY)
    pwasm_world.advance(0.2)
    assert pwasm_world.logs() == []
    assert pending.response().status == 200
    assert pwasm_world.logs()[:3] == ["request", "request evil", "request rest"]


@beside("after", LuaBody())
def test_a_whole_body_after(pwasm_world: World) -> None:
    pending = pwasm_world.send("POST", "/", body=BODY)
    pwasm_world.advance(0.4)
    assert (pwasm_world.logs(), pwasm_world.upstream.arriving) == (["request", "request evil"], [])
    assert pending.response().status == 200


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [(Answer(401, {"x-why": "no"}, "denied"), 401, "denied"), (503, 403, ""), (REFUSED, 403, "")],
    ids=["denied", "error", "refused"],
)
def test_what_authz_refuses(pwasm_worlds: Any, answer: Any, status: int, body: str) -> None:
    world = pwasm_worlds(after=[ExtAuthz("gate")], clusters={"gate": answer})
    response = world.request("POST", "/", body=b"abc")
    assert (response.status, response.text) == (status, body)
    assert response.headers.get("x-why") == ("no" if status == 401 else None)
    assert world.upstream.requests == []
    assert f"response {status}" in world.logs()


def test_what_authz_refuses_over_grpc(pwasm_worlds: Any) -> None:
    answer = Answer(402, {"x-why": "no"}, "denied")
    world = pwasm_worlds(before=[ExtAuthz("gate", grpc=True)], clusters={"gate": answer})
    response = world.request("POST", "/", body=b"abc")
    assert (response.status, response.text, response.headers["x-why"]) == (402, "denied", "no")
    assert (world.upstream.requests, world.logs()) == ([], [])


@pytest.mark.pwasm(upstream=Answer(body=[b"secret", Pause(0.8), b"rest"]), clusters={"gate": LATE})
@beside("before", LuaCall("gate", request=False, response=True))
def test_a_response_that_an_earlier_filter_keeps(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/", timeout=0.3)
    assert (response.status, response.complete) == (None, False)
    pwasm_world.advance(0.2)
    assert pwasm_world.logs() == ["request", "response 200", "response secret"]


@pytest.mark.pwasm(upstream=Answer(body=[b"one", Pause(0.6), b"two"]))
def test_a_response_in_pieces(pwasm_world: World) -> None:
    pending = pwasm_world.send("GET", "/")
    pwasm_world.advance(0.3)
    assert pwasm_world.logs() == ["request", "response 200", "response one"]
    assert pending.response().body == b"onetwo"


@pytest.mark.pwasm(place="upstream", after=[SlowUpstream()])
def test_a_filter_of_a_cluster(pwasm_world: World) -> None:
    response = pwasm_world.request("POST", "/", body=BODY)
    assert (response.status, response.text) == (200, "hello from upstream")
    assert pwasm_world.upstream.requests[0].body == b"evilrest"
    assert [text for text in pwasm_world.logs() if text.startswith("request")][:3] == [
        "request",
        "request evil",
        "request rest",
    ]


def test_who_holds_a_stream_without_an_answer(pwasm_worlds: Any) -> None:
    world = pwasm_worlds(after=[ExtAuthz("gate")], clusters={"gate": SILENCE})
    if world.tier == "envoy":
        assert world.request(timeout=0.3).status is None
        return
    with pytest.raises(AssertionError, match="does not hold the stream; 1 of its neighbours' calls are not answered"):
        world.request()


def test_set_ups_that_cannot_be(pwasm_worlds: Any) -> None:
    for wrong, said in (
        ({"after": [SlowUpstream()]}, "upstream"),
        ({"after": [ExtAuthz("nowhere")]}, "nowhere"),
        ({"place": "elsewhere"}, "elsewhere"),
    ):
        with pytest.raises(pytest.fail.Exception, match=said):
            pwasm_worlds(**wrong)


def told(world: Any) -> tuple[bool, bool]:
    """Whether the host has the option, and whether the plugin has been told of it."""
    if world.tier == "envoy":
        text = str(world.envoy.config_dump())
        return "'allow_on_headers_stop_iteration': True" in text, "'PWASM_HOLD_HEADERS': '1'" in text
    plugin = world.host.plugin
    said = plugin.hold_headers if world.tier == "python" else b"PWASM_HOLD_HEADERS=1\0" in plugin._environment
    return world.host.allow_on_headers_stop_iteration, said


@pytest.mark.parametrize(("hold", "expected"), [(None, False), (True, True), (False, False)])
def test_held_headers_are_an_option_with_a_variable(pwasm_worlds: Any, hold: bool | None, expected: bool) -> None:
    assert told(pwasm_worlds(hold_headers=hold)) == (expected, expected)


@pytest.mark.parametrize(
    ("line", "wants"),
    [
        ("holds_request_headers = True", True),
        ("buffer_response_body = True", True),
        ("edits_request_body = True", False),
        ("pass", False),
    ],
)
def test_whose_headers_are_held_without_a_word(tmp_path: Path, line: str, wants: bool) -> None:
    filter_py = f"import pwasm\n\nclass Own(pwasm.HttpContext):\n    {line}\n\npwasm.set_http_context(Own)\n"
    (tmp_path / "filter.py").write_text(filter_py)
    assert wants_held_headers(tmp_path, "python") == wants
    assert told(HostWorld(Setup(), tmp_path, "python")) == (wants, wants)
    assert told(HostWorld(Setup(hold_headers=not wants), tmp_path, "python")) == (not wants, not wants)
