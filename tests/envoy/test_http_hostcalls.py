"""Headers, trailers, bodies, answers, holding and closing of HTTP streams in a real Envoy, seen from both ends.

The filters are tests/projects/whole_api/http_cases.py; a request's path chooses one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, WasmFilter, bootstrap
from tests.support import wire

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

SENT = [("x-twice", "1"), ("x-twice", "2"), ("x-gone", "soon"), ("x-bytes", b"\xff"), ("x-empty", "")]
TRAILERS = [("x-trailer", "1"), ("x-trailer", "2"), ("x-gone", "soon")]
ANSWERED = [("x-from", "upstream"), ("x-twice", "1"), ("x-twice", "2"), ("x-gone", "soon"), ("x-bytes", "\udcff")]


@pytest.fixture(scope="module")
def world(built: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    module, upstream = built("whole_api"), wire.HttpUpstream()
    routes = (Route(upstream="upstream"),)
    config = bootstrap(
        [
            HttpListener([WasmFilter(module, name="cases")], name="cases", routes=routes),
            HttpListener([WasmFilter(module, name="whole", root_id="whole")], name="whole", routes=routes),
        ],
        upstreams=[Upstream("127.0.0.1", upstream.port)],
    )
    access_log = wire.prepare(config, tmp_path_factory.mktemp("http"))
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    elsewhere = {
        "name": "elsewhere",
        "match": {"prefix": "/", "headers": [{"name": "x-route", "string_match": {"exact": "elsewhere"}}]},
        "direct_response": {"status": 200, "body": {"inline_string": "elsewhere"}},
    }
    manager["route_config"]["virtual_hosts"][0]["routes"].insert(0, elsewhere)
    with wire.running(config) as envoy:
        yield wire.World(envoy, upstream, access_log)
    upstream.close()


# --- headers and trailers -----------------------------------------------------------------------------------------


def test_request_headers(world: Any) -> None:
    answer = world.request("/RequestHeaders", SENT)
    assert answer.status == 200
    seen = world.reported("RequestHeaders")
    pairs = seen["all"]
    assert seen["count"] == (len(pairs), True)
    assert [pair for pair in pairs if pair[0].startswith("x-") and pair[0] in dict(SENT)] == [
        (name, value if isinstance(value, str) else "\udcff") for name, value in SENT
    ]
    assert (dict(pairs)[":path"], dict(pairs)[":method"], dict(pairs)[":authority"]) == (
        "/RequestHeaders",
        "GET",
        "test.example",
    )
    assert seen["bytes"] == [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in pairs]
    assert seen["one"] == ["1", "\udcff", "", None]
    assert (seen["one bytes"], seen["default"]) == (b"\xff", "a default")
    assert seen["size"] == (0, sum(len(name) + len(value) for name, value in seen["bytes"]))
    sent = world.upstream.one("/RequestHeaders")
    assert sent.all("x-added") == [b"1", b"\xff\x80"]
    assert sent.all("x-twice") == [b"once"]
    assert sent.all("x-again") == sent.all("x-bytes") == [b"\xff"]
    assert sent.all("x-gone") == []


def test_replace_request_headers(world: Any) -> None:
    assert world.request("/ReplaceRequestHeaders", SENT).status == 200
    sent = world.upstream.one("/ReplaceRequestHeaders")
    assert sent.all("x-only") == [b"1", b"2"]
    assert (sent.start, sent.all("host")) == (b"GET /ReplaceRequestHeaders HTTP/1.1", [b"test.example"])
    assert [sent.all(name) for name in ("x-twice", "x-gone", "x-bytes", "x-empty", "te")] == [[], [], [], [], []]


def test_a_new_request_header_changes_the_route(world: Any) -> None:
    assert world.request("/Reroute").body == b"elsewhere"
    assert world.access_log.wait("/Reroute")["route"] == "elsewhere"
    assert world.request("/NoCase").body == b"hello upstream"


def test_request_trailers(world: Any) -> None:
    world.request("/RequestTrailers", chunks=[b"abc"], trailers=TRAILERS)
    pairs = [("x-trailer", "1"), ("x-trailer", "2"), ("x-gone", "soon")]
    in_bytes = [(name.encode(), value.encode()) for name, value in pairs]
    assert world.reported("RequestTrailers") == (3, pairs, in_bytes, ["1", None, b"1"])
    sent = world.upstream.one("/RequestTrailers")
    assert sorted(sent.trailers) == [("x-added", b"1"), ("x-trailer", b"once")]


def test_replace_request_trailers(world: Any) -> None:
    world.request("/ReplaceRequestTrailers", chunks=[b"abc"], trailers=TRAILERS)
    assert world.upstream.one("/ReplaceRequestTrailers").trailers == [("x-only", b"1")]


def test_new_request_trailers(world: Any) -> None:
    world.request("/NewRequestTrailers", chunks=[b"abc"])
    sent = world.upstream.one("/NewRequestTrailers")
    assert (sent.body, sent.trailers) == (b"abc", [("x-new", b"1")])


def test_response_headers(world: Any) -> None:
    answer = world.request("/ResponseHeaders")
    seen = world.reported("ResponseHeaders")
    pairs = seen["all"]
    assert seen["count"] == (len(pairs), False)
    assert [pair for pair in pairs if pair[0] in dict(ANSWERED)] == ANSWERED
    assert dict(pairs)[":status"] == "200"
    assert seen["bytes"] == [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in pairs]
    assert (seen["one"], seen["one bytes"]) == (["1", "\udcff", None], b"\xff")
    assert seen["request"] == "PhaseError"
    assert answer.status == 202
    assert answer.all("x-added") == [b"1", b"\xff\x80"]
    assert (answer.all("x-twice"), answer.all("x-bytes"), answer.all("x-gone")) == ([b"once"], [b"\xff"], [])
    assert answer.body == b"hello upstream"


def test_replace_response_headers(world: Any) -> None:
    answer = world.request("/ReplaceResponseHeaders")
    assert (answer.status, answer.body) == (200, b"hello upstream")
    assert answer.all("x-only") == [b"1", b"2"]
    assert [answer.all(name) for name in ("x-from", "x-twice", "x-gone")] == [[], [], []]


def test_response_trailers(world: Any) -> None:
    answer = world.request("/ResponseTrailers?trailers")
    pairs = [("x-trailer", "1"), ("x-trailer", "2"), ("x-gone", "soon")]
    in_bytes = [(name.encode(), value.encode()) for name, value in pairs]
    assert world.reported("ResponseTrailers?trailers") == (3, pairs, in_bytes, ["1", None, b"1"])
    assert answer.body == b"hello upstream"
    assert sorted(answer.trailers) == [("x-added", b"1"), ("x-trailer", b"once")]


def test_replace_response_trailers(world: Any) -> None:
    assert world.request("/ReplaceResponseTrailers?trailers").trailers == [("x-only", b"1")]


def test_new_response_trailers(world: Any) -> None:
    answer = world.request("/NewResponseTrailers")
    assert (answer.body, answer.trailers) == (b"hello upstream", [("x-new", b"1")])


# --- bodies -------------------------------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "append": lambda body: body + b"<\x00\xff>",
    "prepend": lambda body: b"<\x00\xff>" + body,
    "replace": lambda body: b"<\x00\xff>",
    "part": lambda body: b"<part>" + body[3:],
    "middle": lambda body: body,
}


@pytest.mark.parametrize("how", CHANGES)
def test_request_body(world: Any, how: str) -> None:
    body = b"hello \x00\xff body"
    path = f"/RequestBody?plain&{how}"
    assert world.request(path, body=body).status == 200
    expected = (len(body), (0, len(body), 0), body, body[2:5], b"", body[4:])
    assert world.reported(path[1:]) == expected
    sent = world.upstream.one(path)
    assert sent.body == CHANGES[how](body)
    assert (sent.all("content-length"), sent.all("transfer-encoding")) == ([], [b"chunked"])
    if how == "middle":
        assert world.reported("middle") == 2


@pytest.mark.parametrize("how", CHANGES)
def test_response_body(world: Any, how: str) -> None:
    body = b"hello upstream"
    path = f"/ResponseBody?plain&{how}"
    answer = world.request(path)
    assert answer.body == CHANGES[how](body)
    assert (answer.all("content-length"), answer.complete) == ([], True)
    expected = (len(body), (0, len(body), 0), body, body[2:5], b"", body[4:])
    assert world.reported(path[1:]) == expected


def test_bodies_pass_in_parts(world: Any) -> None:
    """Each part is readable once, and `end_of_stream` comes with the last, which may be empty."""
    world.request("/Parts", chunks=[b"request ", b"body"])
    seen = world.reported("Parts")
    ends = [index for index, (_, end, _) in enumerate(seen) if end]
    assert len(ends) == 2
    assert ends[1] == len(seen) - 1
    assert b"".join(data for _, _, data in seen[: ends[0] + 1]) == b"request body"
    assert b"".join(data for _, _, data in seen[ends[0] + 1 :]) == b"hello upstream"
    assert all(size == len(data) for size, _, data in seen)
    assert world.upstream.one("/Parts").body == b"request body"


@pytest.mark.parametrize("shape", ["length", "chunks", "trailers"])
def test_whole_bodies(world: Any, shape: str) -> None:
    """`buffer_request_body`: one callback with all of it, changed in size, with no wrong content-length."""
    parts = [b"first ", b"second"]
    options: dict[str, Any] = {"body": b"".join(parts)} if shape == "length" else {"chunks": parts}
    if shape == "trailers":
        options["trailers"] = TRAILERS
    path = f"/whole?{'trailers' if shape == 'trailers' else 'plain'}&{shape}"
    answer = world.request(path, [("x-user", "a")], to="whole", **options)
    number = ["length", "chunks", "trailers"].index(shape) + 1
    assert world.reported("Whole request", number) == (12, True, b"first second")
    sent = world.upstream.one(path)
    assert (sent.body, sent.all("content-length"), sent.complete) == (b"FIRST SECOND" * 3, [], True)
    assert len(sent.trailers) == (3 if shape == "trailers" else 0)
    read = (path, "a", ["a"])
    assert world.reported("Whole response", number) == (14, True, b"hello upstream", read, "PhaseError")
    assert (answer.body, answer.all("content-length"), answer.complete) == (b"HELLO UPSTREAM" * 3, [], True)


@pytest.mark.parametrize("shape", ["body", "chunks"])
def test_a_request_body_over_the_limit(world: Any, shape: str) -> None:
    path = f"/large?{shape}"
    data = b"x" * 101
    options: dict[str, Any] = {"body": data} if shape == "body" else {"chunks": [data]}
    answer = world.request(path, to="whole", **options)
    assert (answer.status, answer.body) == (413, b"the request body is larger than 100 bytes\n")
    assert world.details(path) == "pwasm_request_body_too_large"
    received = world.upstream.received.get(path, [])
    assert [message for message in received if message.complete] == []


def test_a_response_body_over_the_limit(world: Any) -> None:
    answer = world.request("/large?big", to="whole")
    assert (answer.status, answer.body) == (500, b"the response body is larger than 100 bytes\n")
    assert world.details("/large?big") == "pwasm_response_body_too_large"
    cut = world.request("/large?unknown_size", to="whole")
    assert (cut.status, cut.complete, cut.body) == (200, False, b"")


# --- answers ------------------------------------------------------------------------------------------------------


def test_answer_to_the_headers(world: Any) -> None:
    answer = world.request("/Answer", SENT)
    assert (answer.status, answer.body) == (403, b"no \x00entry")
    assert answer.all("x-own") == [b"1", b"2"]
    assert answer.all("x-seen") == [b"403"]
    assert answer.all("content-length") == [b"9"]
    assert answer.all("content-type") == [b"text/plain"]
    assert world.details("/Answer") == "on_request"
    assert world.reported("Answer") == "PhaseError"
    assert world.reported("Answer done") == "PhaseError"
    assert "/Answer" not in world.upstream.received


def test_answer_to_head(world: Any) -> None:
    answer = world.request("/Answer?head", method="HEAD")
    assert (answer.status, answer.all("content-length"), answer.body) == (403, [b"9"], b"")


def test_answer_in_the_body(world: Any) -> None:
    answer = world.request("/Answer?plain&later", body=b"abc")
    assert (answer.status, answer.body, answer.all("x-seen")) == (409, b"in the body", [b"409"])


def test_answer_to_grpc(world: Any) -> None:
    answer = world.request("/AnswerGrpc", [("content-type", "application/grpc")], method="POST", chunks=[])
    assert (answer.status, answer.body) == (200, b"")
    assert (answer.all("grpc-status"), answer.all("grpc-message")) == ([b"7"], [b"not you"])


def test_answer_in_the_response(world: Any) -> None:
    answer = world.request("/AnswerInResponse")
    assert (answer.status, answer.body, answer.all("x-own")) == (502, b"instead", [b"1"])
    assert (answer.all("x-from"), answer.all("content-length")) == ([], [b"7"])
    assert world.upstream.one("/AnswerInResponse").complete


# --- the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["request", "response"])
def test_close(world: Any, where: str) -> None:
    path = f"/Close?plain&{where}"
    answer = world.request(path)
    assert (answer.status, answer.start, answer.headers) == (0, b"", [])
    # Envoy keeps the details of the response that it had.
    assert world.details(path) == {"request": "wasm_close_stream", "response": "via_upstream"}[where]
    assert (path in world.upstream.received) == (where == "response")
    if where == "request":
        assert world.reported(path[1:]) == "PhaseError"


def test_the_life_of_a_stream(world: Any) -> None:
    """A context is created at the first callback, told of the stream's end, and dropped when the host deletes it."""
    world.request("/Life")
    world.request("/Life")
    events = [world.reported("Life", count) for count in range(1, 7)]
    assert [event[0] for event in events] == ["begins", "is over", "is deleted"] * 2
    first, second = events[0][1], events[3][1]
    assert second > first
    assert [event[1] for event in events] == [first] * 3 + [second] * 3
    assert events[1][2:] == ("/Life", "200", "PhaseError")
    assert world.reported("Early") == "PhaseError"


def test_after_all_that_envoy_serves(world: Any) -> None:
    for path in itertools.repeat("/last", 3):
        assert world.request(path).status == 200
