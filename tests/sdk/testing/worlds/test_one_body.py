"""A test body works alike in CPython, in wasmtime and in Envoy; the filter is tests/projects/worlds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pwasm.testing import REFUSED, RESET, SILENCE, Answer, HostEmulator, Plugin, Request, World

pytestmark = pytest.mark.pwasm(
    filter="../../../projects/worlds", configuration={"name": "one"}, vm_configuration="of the VM"
)
Worlds = Callable[..., World]


def test_a_request_and_its_response(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/plain", {"x-a": "1"})

    assert (response.status, response.text, response.complete) == (200, "hello from upstream", True)
    assert response.headers["x-world"] == "one"
    (received,) = pwasm_world.upstream.requests
    assert (received.method, received.path, received.headers["x-a"]) == ("GET", "/plain", "1")
    assert received.headers["x-seen"] == "one"


@pytest.mark.pwasm(upstream=lambda request: Answer(201, {"x-up": request.path}, request.body, {"x-end": "1"}))
@pytest.mark.parametrize("body", [b"abc", [b"ab", b"c"]], ids=["whole", "chunks"])
def test_bodies_and_trailers(pwasm_world: World, body: bytes | list[bytes]) -> None:
    response = pwasm_world.request("POST", "/upper", body=body, trailers={"x-sent": "1"})

    assert (response.status, response.body) == (201, b"ABC")
    assert (response.headers["x-up"], response.trailers["x-end"]) == ("/upper", "1")
    (received,) = pwasm_world.upstream.requests
    assert (received.body, received.trailers["x-sent"], received.trailers["x-trailer-seen"]) == (b"ABC", "1", "1")


def test_a_local_response(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/forbidden")

    assert (response.status, response.text, response.headers["x-why"]) == (403, "no", "because")
    assert pwasm_world.upstream.requests == []


def auth(request: Request) -> object:
    assert (request.method, request.path, request.authority) == ("POST", "/check", "auth.example")
    return {"asked": request.text, "with": request.headers["x-ask"]}


CLUSTERS = {
    "auth": auth,
    "late": Answer(202, body="late", delay=0.3),
    "too_late": Answer(202, body="late", delay=3.0),
    "silent": SILENCE,
    "reset": RESET,
    "refused": REFUSED,
    "plain": 204,
}


@pytest.mark.pwasm(clusters=CLUSTERS)
@pytest.mark.parametrize(
    ("cluster", "status", "text"),
    [
        ("auth", 200, 'said 200 {"asked": "may I?", "with": "1"}'),
        ("late", 202, "said 202 late"),
        ("too_late", 504, "said 504 upstream request timeout"),
        ("silent", 504, "said 504 upstream request timeout"),
        ("reset", 503, "said 503 upstream connect error"),
        ("refused", 503, "said 503 upstream connect error"),
        ("plain", 204, ""),
        ("upstream", 200, "said 200 hello from upstream"),
    ],
)
def test_calls(pwasm_world: World, cluster: str, status: int, text: str) -> None:
    response = pwasm_world.request("GET", f"/call/{cluster}")

    assert response.status == status
    assert response.text.startswith(text)
    if cluster not in {"refused", "upstream"}:
        assert [request.text for request in pwasm_world.clusters[cluster].requests] == ["may I?"]


@pytest.mark.pwasm(configuration={"tick": 20})
def test_a_tick_lets_a_request_go(pwasm_world: World) -> None:
    first, second = pwasm_world.send("GET", "/wait"), pwasm_world.send("GET", "/wait")

    assert [pending.response().status for pending in (first, second)] == [200, 200]
    pwasm_world.eventually(lambda: "tick 3" in pwasm_world.logs("debug"), "the third tick")


def test_what_is_held_has_no_response(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/wait", timeout=0.2)

    assert (response.status, response.complete) == (None, False)


def test_logs_are_those_of_this_test(pwasm_world: World) -> None:
    pwasm_world.request("GET", "/only/here")

    assert [text for text in pwasm_world.logs("info") if text.startswith(("request", "done"))] == [
        "request /only/here",
        "done only",
    ]


@pytest.mark.parametrize("times", [1, 3])
def test_counters_count_from_the_test_s_beginning(pwasm_world: World, times: int) -> None:
    for _ in range(times):
        pwasm_world.request()

    assert pwasm_world.metric("worlds_requests") == times
    assert pwasm_world.metric("no such metric") == 0


@pytest.mark.parametrize("value", [7, 3])
def test_gauges_have_a_value(pwasm_world: World, value: int) -> None:
    pwasm_world.request("GET", f"/gauge/{value}")

    assert pwasm_world.metric("worlds_last") == value


@pytest.mark.pwasm(fresh=True)
@pytest.mark.parametrize("time", ["first", "second"])
def test_a_fresh_world_remembers_nothing(pwasm_world: World, time: str) -> None:
    assert pwasm_world.request("GET", "/seen").text == "1"


def test_the_configuration_of_the_vm(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/vm").text == "of the VM"


def test_queues(pwasm_world: World) -> None:
    pwasm_world.request("GET", "/queue/item")

    pwasm_world.eventually(lambda: "queued item" in pwasm_world.logs(), "the item")


@pytest.mark.pwasm(starts=False, configuration="{")
def test_a_refused_configuration(pwasm_world: World) -> None:
    assert not pwasm_world.started
    assert any(text.startswith("configuration: ") for text in pwasm_world.logs("critical"))


@pytest.mark.pwasm(
    configuration=None,
    plugins=[Plugin("first", configuration={"name": "1st"}), Plugin("tcp", root_id="tcp", kind="tcp")],
    greeting=b"hi",
    tcp=lambda data: None if data == b"<end>" else data.upper(),
)
def test_several_plugins_and_tcp(pwasm_world: World) -> None:
    assert pwasm_world.request(plugin="first").headers["x-world"] == "1st"
    connection = pwasm_world.connect(plugin="tcp")
    assert connection.receive(3) == b"hi!"
    connection.send(b"abc")
    assert connection.receive(6) == b"<ABC>!"
    connection.send(b"end")
    assert connection.receive_all() == b""
    assert pwasm_world.upstream.received == b"<abc><end>"
    connection.close()


@pytest.mark.pwasm(plugins=[Plugin("tcp", root_id="tcp", kind="tcp")])
def test_a_connection_that_the_filter_closes(pwasm_world: World) -> None:
    connection = pwasm_world.connect()
    connection.send(b"bye")

    assert connection.receive_all() == b""
    assert pwasm_world.upstream.received == b""


@pytest.mark.pwasm(workers=2)
def test_workers_share_data(pwasm_world: World) -> None:
    for _ in range(6):
        assert pwasm_world.request("GET", "/count").status == 200

    assert pwasm_world.metric("worlds_requests") == 6


def test_worlds_are_made_on_demand(pwasm_worlds: Worlds) -> None:
    names = [pwasm_worlds(configuration={"name": name}).request().headers["x-world"] for name in ("a", "b")]

    assert names == ["a", "b"]


@pytest.mark.wasm
def test_the_module_in_an_emulator(pwasm_module: Callable[..., HostEmulator]) -> None:
    host = pwasm_module("../../../projects/worlds", plugin_configuration=b'{"name": "module"}')

    assert host.request("GET", "/plain").headers["x-world"] == "module"


@pytest.mark.wasm
@pytest.mark.envoy
def test_in_envoy_whatever_the_tier(pwasm_envoy: World) -> None:
    assert pwasm_envoy.tier == "envoy"
    assert pwasm_envoy.request().headers["x-world"] == "one"
