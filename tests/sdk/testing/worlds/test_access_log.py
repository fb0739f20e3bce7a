"""A plugin that is an access logger, in CPython, in wasmtime and in Envoy; it is tests/projects/access_log."""

from __future__ import annotations

import pytest

from pwasm.testing import Answer, Plugin, World

SEEN = "a /one 200 here 7; GET 200 via_upstream"
pytestmark = pytest.mark.pwasm(
    filter="../../../projects/access_log",
    upstream=lambda _: Answer(200, {"x-up": "here"}, "body", {"x-sum": "7"}),
)


def _log(world: World, count: int) -> list[str]:
    """What was logged; a stream is logged after its response has been sent."""
    return world.eventually(lambda: lines if len(lines := world.logs()) >= count else None) or []


def _ask(world: World, path: str = "/one") -> None:
    assert world.request("GET", path, {"x-tenant": "a", "te": "trailers"}).status == 200


def test_each_stream_is_logged_once_with_its_maps_and_properties(pwasm_world: World) -> None:
    _ask(pwasm_world)
    _ask(pwasm_world, "/two")
    assert _log(pwasm_world, 2) == [SEEN, SEEN.replace("/one", "/two")]
    pwasm_world.eventually(lambda: pwasm_world.metric("logged") == 2)


@pytest.mark.pwasm(configuration="refused")
def test_nothing_can_be_done_to_the_stream(pwasm_world: World) -> None:
    """What Envoy would ignore is an error, and the stream's maps cannot be written."""
    _ask(pwasm_world)
    lines = _log(pwasm_world, 7)
    assert [line.partition(":")[0] for line in lines[:-1]] == [
        "local response",
        "resume",
        "close",
        "body",
        "request header",
        "response header",
    ]
    assert all("on_log" in line for line in lines[:-1])
    assert "the stream is over" in lines[4]
    assert lines[-1] == SEEN


@pytest.mark.pwasm(configuration="call", clusters={"collector": 202})
def test_a_call_is_answered(pwasm_world: World) -> None:
    _ask(pwasm_world)
    assert sorted(_log(pwasm_world, 2)) == [SEEN, "stored: 202"]
    (sent,) = pwasm_world.clusters["collector"].requests
    assert sent.body.decode() == SEEN.partition(";")[0]


@pytest.mark.pwasm(configuration="raise")
def test_an_exception_costs_nothing_but_its_line(pwasm_world: World) -> None:
    _ask(pwasm_world)
    _ask(pwasm_world)
    lines = _log(pwasm_world, 2)
    assert len(lines) == 2
    assert all("Logger.on_log failed" in line and "the logger fails" in line for line in lines)


@pytest.mark.pwasm(plugins=(Plugin("one"), Plugin("two", configuration="raise")))
def test_several_loggers_of_one_vm(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/one", {"x-tenant": "a", "te": "trailers"}, plugin="one").status == 200
    assert _log(pwasm_world, 1) == [SEEN]
