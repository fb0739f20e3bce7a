"""Neighbours in the three worlds: in Envoy a chain of the real filters, elsewhere their doubles; all show the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pwasm.testing import REFUSED, Answer, ExtAuthz, LuaBody, LuaCall, Pause, SlowUpstream, WasmFilter, World

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


@pytest.mark.parametrize("_name", ["authz"])
@beside("before", ExtAuthz("gate"))
def test_authz_before(pwasm_world: World, _name: str) -> None:
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


def test_set_ups_that_cannot_be(pwasm_worlds: Any) -> None:
    for wrong, said in (
        ({"after": [SlowUpstream()]}, "upstream"),
        ({"after": [ExtAuthz("nowhere")]}, "nowhere"),
        ({"place": "elsewhere"}, "elsewhere"),
    ):
        with pytest.raises(pytest.fail.Exception, match=said):
            pwasm_worlds(**wrong)
