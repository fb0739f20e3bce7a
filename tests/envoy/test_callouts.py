"""Calls to other services from a filter in a real Envoy: HTTP to a server of ours, gRPC to a grpcio server.

The filters are tests/projects/whole_api/callout_cases.py; a request's path chooses one.
"""

from __future__ import annotations

import ast
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pwasm.testing.worlds.servers import own_port, refusing_port
from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, WasmFilter, bootstrap
from tests.support import wire
from tests.support.grpc_double import grpc_server

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]


@pytest.fixture(scope="module")
def world(built: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    web = wire.HttpUpstream()
    port = own_port()
    with grpc_server() as (service, grpc_port):
        config = bootstrap(
            [
                HttpListener(
                    [WasmFilter(built("whole_api"), name="cases")],
                    name="cases",
                    port=port,
                    routes=(Route(upstream="web"),),
                )
            ],
            upstreams=[
                Upstream("127.0.0.1", web.port, name="web"),
                Upstream("127.0.0.1", grpc_port, name="grpc", http2=True),
                Upstream("127.0.0.1", port, name="self", http2=True),
                Upstream("127.0.0.1", refusing_port(), name="refusing"),
            ],
        )
        access_log = wire.prepare(config, tmp_path_factory.mktemp("callouts"))
        with wire.running(config) as envoy:
            world: Any = wire.World(envoy, web, access_log)
            world.grpc = service
            yield world
        web.close()


def answer(world: Any, path: str) -> Any:
    """The filter's response."""
    got = world.request(path)
    assert got.status == 200, got
    return ast.literal_eval(got.body.decode())


# --- HTTP ---------------------------------------------------------------------------------------------------------


def test_http_call(world: Any) -> None:
    got = answer(world, "/Call?plain")
    headers = got["headers"]
    assert got["sizes"] == (len(headers), 14, 0)
    assert headers[0] == (":status", "200")
    assert [value for name, value in headers if name == "x-twice"] == ["1", "2"]
    assert [value for name, value in headers if name == "x-bytes"] == ["\udcff"]
    assert got["headers bytes"] == [
        (name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers
    ]
    assert (got["body"], got["part"]) == (b"hello upstream", b"llo")
    assert (got["trailers"], got["trailers bytes"]) == ([], [])
    sent = world.upstream.one("/called?plain")
    assert sent.start == b"PUT /called?plain HTTP/1.1"
    assert (sent.body, sent.all("content-length")) == (b"body \x00", [b"6"])
    assert (sent.all("host"), sent.all("x-call")) == ([b"web.example"], [b"1"])
    assert world.reported("Call?plain") == (True, "PhaseError")
    assert "/Call?plain" not in world.upstream.received


def test_trailers_of_an_http_call_are_not_sent(world: Any) -> None:
    """CONTRADICTION: Envoy takes the trailers and says Ok, but its client sends none, over HTTP/2 either."""
    assert world.request("/CallWithTrailers").status == 200
    seen = world.reported("Parts?called")
    assert b"".join(data for _, _, data in seen[:-1]) + seen[-1][2] == b"body" + b"hello upstream"
    first_end = next(index for index, (_, end, _) in enumerate(seen) if end)
    assert b"".join(data for _, _, data in seen[: first_end + 1]) == b"body"  # a body before trailers has no end


@pytest.mark.parametrize(
    ("how", "status", "body"),
    [
        ("404", "404", b"nothing here"),
        ("empty", "200", b""),
        ("silent", "504", b"upstream request timeout"),
        ("refused", "503", b"upstream connect error or disconnect/reset before headers."),
    ],
)
def test_http_call_with_another_answer(world: Any, how: str, status: str, body: bytes) -> None:
    got = answer(world, f"/Call?{how}")
    assert dict(got["headers"])[":status"] == status
    assert got["body"].startswith(body)
    assert (got["sizes"][1:], got["trailers"]) == ((len(got["body"]), 0), [])


def test_http_call_with_trailers(world: Any) -> None:
    got = answer(world, "/Call?trailers")
    assert got["sizes"][2] == 3
    assert got["trailers"] == [("x-trailer", "1"), ("x-trailer", "2"), ("x-gone", "soon")]
    assert got["trailers bytes"] == [(name.encode(), value.encode()) for name, value in got["trailers"]]


def test_http_call_that_is_cut_off(world: Any) -> None:
    """A reset after the answer's headers: no headers, and the call status says so."""
    got = answer(world, "/Call?cut")
    assert got["sizes"] == (0, 0, 0)
    assert got["call status"] == (11, "reset")


def test_reading_the_answer_of_a_call_that_is_cut_off(world: Any) -> None:
    """There is nothing to read, and reading it is no error: the callback is the answer's."""
    got = answer(world, "/Call?cut")
    assert [got["headers"], got["headers bytes"], got["trailers"], got["trailers bytes"]] == [[]] * 4
    assert [got["body"], got["part"]] == [b""] * 2


def test_call_status_after_a_failure(world: Any) -> None:
    """Envoy keeps the code of a reset for later calls and clears the message, as `get_call_status` says."""
    answer(world, "/Call?cut")
    assert answer(world, "/Call?404")["call status"] == (11, "")


def test_calls_that_cannot_be_made(world: Any) -> None:
    unknown, grpc_calls, tokens, ends = answer(world, "/BadCall")
    assert unknown == "BadArgument"
    assert grpc_calls == ["InternalFailure", "InternalFailure"]
    assert tokens == ["NotFound", "BadArgument"]
    assert ends == ["NotFound", "NotFound", "NotFound"]


@pytest.mark.parametrize("direction", ["request", "response"])
def test_two_calls_then_resume(world: Any, direction: str) -> None:
    path = f"/CallThenResume?plain&{direction}"
    got = world.request(path)
    assert (got.status, got.body) == (200, b"hello upstream")
    marked = world.upstream.one(path) if direction == "request" else got
    assert [marked.all(f"x-{name}") for name in ("one", "two")] == [[b"hello upstream"]] * 2
    assert [len(world.upstream.received[f"/{name}-{direction}?plain"]) for name in ("one", "two")] == [1, 1]


def test_the_client_leaves_before_the_answer(world: Any) -> None:
    """The answer for a stream that is over is dropped, and nothing is called."""
    world.envoy.admin("/logging?wasm=debug", "POST")
    with socket.create_connection(world.addresses["cases"], timeout=10) as client:
        client.sendall(b"GET /CallAndLeave HTTP/1.1\r\nhost: a\r\n\r\n")
        world.eventually(lambda: world.upstream.received.get("/left?silent"), "the call")
    assert world.reported("CallAndLeave") == "done"
    world.upstream.release.set()
    world.envoy.wait_for_log("proxy_on_http_call_response for unknown call")
    world.envoy.admin("/logging?wasm=info", "POST")
    world.upstream.release.clear()
    assert answer(world, "/Call?404")["body"] == b"nothing here"
    assert not [record for record in world.envoy.log if "the answer of a stream that is over" in record.raw]


def test_http_call_without_a_callback(world: Any) -> None:
    """The plugin gets the answer: with the stream selected, or without one when the call is the plugin's own."""
    got = world.request("/CallWithoutCallback?stream")
    assert (got.status, got.body) == (200, b"the plugin got nothing here")
    sizes, answered = world.reported("on_http_call_response")[:3], world.reported("on_http_call_response")[4]
    assert (sizes[1:], answered) == ((12, 0), "nothing")
    assert world.request("/CallWithoutCallback?plain").status == 200
    assert world.reported("on_http_call_response", 2) == (sizes[0], 12, 0, b"nothing here", "PhaseError")


# --- gRPC ---------------------------------------------------------------------------------------------------------


def test_grpc_call(world: Any) -> None:
    message = b"<ask \x00\xff>"
    assert answer(world, "/GrpcCall?Echo")[:4] == (0, len(message), message, message[1:3])
    metadata = world.grpc.of("Echo", b"ask \x00\xff")
    assert metadata["x-meta"] in (["data", "twice"], ["data,twice"])


@pytest.mark.parametrize(
    ("how", "status", "message"),
    [
        ("Fail", 7, "not you"),
        ("Unknown", 12, "Method not found!"),
        ("Http1", 13, ""),
    ],
)
def test_grpc_call_that_fails(world: Any, how: str, status: int, message: str) -> None:
    got = answer(world, f"/GrpcCall?{how}")
    assert got[:4] == (status, 0, None, "PhaseError")
    assert got[4][0] == status
    assert message in got[4][1]


def test_grpc_call_that_times_out(world: Any) -> None:
    """Two clocks run: Envoy's own, a 504 that gRPC reads as 14 UNAVAILABLE, and the server's, 4 DEADLINE_EXCEEDED."""
    got = answer(world, "/GrpcCall?timeout&Slow")
    assert got[1:4] == (0, None, "PhaseError")
    assert got[4][0] == got[0]
    assert (got[0] == 14 and "upstream request timeout" in got[4][1]) or got[0] == 4


def test_grpc_call_cancelled(world: Any) -> None:
    """The server sees it, the callback is not called."""
    before, cancelled = len(world.grpc.received), world.grpc.cancelled.count("Slow")
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(answer, world, "/GrpcCall?cancel&Slow")
        world.eventually(lambda: len(world.grpc.received) > before, "the call")
        assert answer(world, "/CancelGrpcCall") == [None, "NotFound"]
        world.eventually(lambda: world.grpc.cancelled.count("Slow") > cancelled, "the cancellation")
        assert waiting.result() == "cancelled"


def test_grpc_call_without_a_callback(world: Any) -> None:
    got = world.request("/GrpcCall?Default")
    assert (got.status, got.body) == (200, b"<ask \x00\xff>")
    assert world.reported("plugin message") == (len(got.body), got.body, "nothing")


INITIAL = ("initial", True, [("x-initial", "first")], b"first")
TRAILING = ("trailing", True, [("x-trailing", "last")], b"last")


@pytest.mark.parametrize("how", ["end", "close"])
def test_grpc_stream(world: Any, how: str) -> None:
    """Messages both ways, then the end of ours: in the last message, or with `close_grpc_stream`."""
    assert answer(world, f"/GrpcStream?{how}") == [
        INITIAL,
        ("message", 5, b"ONE \xff"),
        ("message", 3, b"TWO"),
        ("message", 7, b"goodbye"),
        TRAILING,
        ("closed", 0, (0, "via_upstream")),
    ]
    assert world.grpc.of("Chat", b"one \xff")["x-meta"] == ["data"]


def test_grpc_stream_that_fails(world: Any) -> None:
    events = answer(world, "/GrpcStream?error")
    assert events[-3:-1] == [("message", 2, b"no"), ("trailing", True, [("x-trailing", "because")], b"because")]
    assert events[-1][:2] == ("closed", 8)
    assert events[-1][2] in ((8, "too much"), (8, "too much{via_upstream}"))


def test_grpc_stream_cancelled(world: Any) -> None:
    assert answer(world, "/GrpcStream?cancel") == [INITIAL, ("message", 5, b"ONE \xff"), "NotFound"]
    world.eventually(lambda: "cancel" in world.grpc.cancelled, "the cancellation")


def test_grpc_stream_of_the_plugin(world: Any) -> None:
    assert world.request("/GrpcStreamOfThePlugin").status == 200
    assert world.reported("plugin initial") == "first"
    messages = [record for record in (world.reported("plugin message", n) for n in (1, 2)) if record[1] == b"PLUGIN"]
    assert messages == [(6, b"PLUGIN", "PhaseError")]
    assert world.reported("plugin trailing") == "last"
    assert world.reported("plugin close") == 0


def test_grpc_stream_of_a_request_that_is_over(world: Any) -> None:
    assert world.request("/GrpcStreamLeft").status == 200
    world.eventually(lambda: "left" in world.grpc.cancelled, "the cancellation")
    assert not [record for record in world.envoy.log if "must not be called" in record.raw]
