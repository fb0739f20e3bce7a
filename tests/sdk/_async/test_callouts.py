"""HTTP and gRPC calls: the recipient of the answer, and arguments that are refused before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pwasm
from pwasm import Action, LogLevel
from pwasm.testing import HostEmulator

HEADERS = [(":method", "GET"), (":path", "/check"), (":authority", "auth")]


class Caller(pwasm.HttpContext):
    """Pauses, and lets the answer decide."""

    answers: list[Any]

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.token = pwasm.dispatch_http_call("auth", HEADERS, "body", [("x-t", "1")], 300, self.answered)
        return Action.PAUSE

    def answered(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        type(self).answers.append(
            (
                (num_headers, body_size, num_trailers),
                pwasm.get_http_call_response_headers(),
                pwasm.get_http_call_response_body(),
                pwasm.get_http_call_response_trailers(),
                pwasm.get_call_status(),
                pwasm.get_http_request_header(":path"),
            )
        )
        pwasm.add_http_request_header("x-checked", "yes")
        pwasm.resume_http_request()


@pytest.fixture
def caller() -> type[Caller]:
    return type("Caller", (Caller,), {"answers": []})


def pending(host: HostEmulator) -> dict[int, Any]:
    calls: dict[int, Any] = host.plugin._roots[1].calls  # type: ignore[attr-defined]
    return calls


def test_an_answer_reaches_the_stream_that_asked(caller: type[Caller]) -> None:
    host = HostEmulator(caller)
    stream, other = host.request(path="/one"), host.request(path="/two")
    first, second = host.http_calls
    assert (first.token, second.token, len(pending(host))) == (4, 8, 2)
    assert (first.cluster, first.body, first.timeout_ms) == ("auth", b"body", 300)
    assert (list(first.headers), list(first.trailers)) == (HEADERS, [("x-t", "1")])
    host.answer(second, [("x-a", "1")], b"hello", [("x-u", "2")])
    assert (stream.paused, other.status) == ("request", 200)
    assert caller.answers == [
        (
            (2, 5, 1),
            [(":status", "200"), ("x-a", "1")],
            b"hello",
            [("x-u", "2")],
            (0, ""),
            "/two",
        )
    ]
    assert other.request_headers["x-checked"] == "yes"
    host.answer(first)
    assert stream.status == 200
    assert (pending(host), host.logs) == ({}, [])


@pytest.mark.parametrize(
    ("how", "headers", "status"),
    [("time_out", 3, (0, "")), ("refuse", 3, (0, "")), ("fail", 0, (11, "reset"))],
)
def test_calls_that_fail(caller: type[Caller], how: str, headers: int, status: tuple[int, str]) -> None:
    host = HostEmulator(caller)
    stream = host.request()
    getattr(host, how)(host.http_calls[0])
    ((numbers, *_, call_status, _),) = caller.answers
    assert (numbers[0], call_status) == (headers, status)
    assert stream.status == 200


def test_an_answer_for_a_stream_that_is_gone_is_dropped() -> None:
    called: list[int] = []

    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.dispatch_http_call("auth", HEADERS, callback=lambda *_: called.append(1))

    host = HostEmulator(Filter)
    assert host.request().status == 200
    assert pending(host) == {}
    host.answer(host.http_calls[0])
    assert called == []
    ((level, message),) = host.logs
    assert level == LogLevel.DEBUG
    assert "unknown call 4" in message


def test_two_answers_and_the_first_ends_the_stream() -> None:
    """K6: the host may still know the stream."""
    called: list[int] = []

    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            for _ in range(2):
                pwasm.dispatch_http_call("auth", HEADERS, callback=self.answered)
            return Action.PAUSE

        def answered(self, *numbers: int) -> None:
            called.append(1)
            pwasm.send_http_response(401)

    host = HostEmulator(Filter)
    stream = host.request()
    first, second = host.http_calls
    host.answer(first)
    assert stream.status == 401
    host.answer(second)
    assert called == [1]
    assert [level for level, _ in host.logs] == [LogLevel.DEBUG]


def test_without_a_callback_the_plugin_is_asked() -> None:
    seen: list[Any] = []

    class Plugin(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> None:
            pwasm.set_tick_period_milliseconds(100)

        def on_tick(self) -> None:
            pwasm.dispatch_http_call("auth", HEADERS)

        def on_http_call_response(self, token: int, num_headers: int, body_size: int, num_trailers: int) -> None:
            seen.append((token, num_headers, body_size, num_trailers))
            with pytest.raises(pwasm.PhaseError, match="no stream is selected"):
                pwasm.get_http_request_header("x")

    host = HostEmulator(Plugin)
    host.tick()
    host.answer(host.http_calls[0], body=b"abc")
    assert seen == [(4, 1, 3, 0)]


def test_a_call_from_the_end_of_a_stream_belongs_to_the_plugin() -> None:
    seen: list[bytes] = []

    class Filter(pwasm.HttpContext):
        def on_http_stream_done(self) -> None:
            pwasm.dispatch_http_call(
                "log", HEADERS, callback=lambda *_: seen.append(pwasm.get_http_call_response_body())
            )

    host = HostEmulator(Filter)
    host.request()
    host.answer(host.http_calls[0], body=b"thanks")
    assert seen == [b"thanks"]


def test_a_callback_that_raises_answers_the_stream_with_500() -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            pwasm.dispatch_http_call("auth", HEADERS, callback=self.answered)
            return Action.PAUSE

        def answered(self, *numbers: int) -> None:
            raise ValueError("boom")

    host = HostEmulator(Filter)
    stream = host.request()
    host.answer(host.http_calls[0])
    assert (stream.status, pending(host)) == (500, {})
    assert "Filter.answered failed for context 1" in host.logs[0][1]
    assert "ValueError: boom" in host.logs[0][1]


def test_hop_by_hop_headers_are_left_out() -> None:
    hop = [("Content-Length", "3"), ("connection", "close"), ("transfer-encoding", "chunked"), ("Host", "x")]
    host = call_from_tick(lambda: pwasm.dispatch_http_call("auth", [*HEADERS, *hop, ("x-a", "1")]))[1]
    assert list(host.http_calls[0].headers) == [*HEADERS, ("x-a", "1")]


def call_from_tick(call: Callable[[], object]) -> tuple[BaseException | None, HostEmulator]:
    raised: list[BaseException] = []

    class Plugin(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> None:
            pwasm.set_tick_period_milliseconds(100)

        def on_tick(self) -> None:
            try:
                call()
            except BaseException as error:
                raised.append(error)

    host = HostEmulator(Plugin)
    host.clusters = {"auth", "sick"}
    host.unhealthy_clusters = {"sick"}
    host.tick()
    return (raised[0] if raised else None), host


def nobody_iterates(*_: int) -> Any:
    yield


WRONG: list[tuple[dict[str, Any], type[BaseException], str]] = [
    ({"cluster": 1}, TypeError, "cluster must be str"),
    ({"cluster": "nope"}, pwasm.BadArgument, "for 'nope'"),
    ({"cluster": ""}, pwasm.BadArgument, "BAD_ARGUMENT"),
    ({"cluster": "sick"}, pwasm.InternalFailure, "INTERNAL_FAILURE"),
    ({"headers": HEADERS[1:]}, ValueError, "headers: :method is missing"),
    ({"headers": HEADERS[:1] + HEADERS[2:]}, ValueError, "headers: :path is missing"),
    ({"headers": HEADERS[:2]}, ValueError, "headers: :authority is missing"),
    ({"headers": [*HEADERS, ("x", "\x01")]}, ValueError, "headers"),
    ({"headers": HEADERS + [("x", "1")] * 1022}, ValueError, "headers: 1025 pairs"),
    ({"body": 1}, TypeError, "body must be bytes or str"),
    ({"trailers": [(":path", "/")]}, ValueError, "trailers"),
    ({"trailers": [("x", "1")] * 1025}, ValueError, "trailers: 1025 pairs"),
    ({"timeout_ms": -1}, ValueError, "timeout_ms"),
    ({"timeout_ms": 1.5}, TypeError, "timeout_ms must be int"),
    ({"callback": 1}, TypeError, "callback must be a callable or None"),
    ({"callback": nobody_iterates}, TypeError, "callback contains `yield`, but a callback must not be a generator"),
]


@pytest.mark.parametrize(("arguments", "error", "text"), WRONG)
def test_wrong_calls(arguments: dict[str, Any], error: type[BaseException], text: str) -> None:
    raised, host = call_from_tick(
        lambda: pwasm.dispatch_http_call(**{"cluster": "auth", "headers": HEADERS, **arguments})
    )
    assert isinstance(raised, error)
    assert text in str(raised)
    assert (host.http_calls, pending(host)) == ([], {})


@pytest.mark.parametrize(
    "read",
    [
        pwasm.get_http_call_response_headers,
        pwasm.get_http_call_response_headers_bytes,
        pwasm.get_http_call_response_body,
        pwasm.get_http_call_response_trailers,
        pwasm.get_http_call_response_trailers_bytes,
        pwasm.get_grpc_receive_buffer,
        pwasm.get_grpc_receive_initial_metadata,
        pwasm.get_grpc_receive_initial_metadata_bytes,
        pwasm.get_grpc_receive_trailing_metadata,
        pwasm.get_grpc_receive_trailing_metadata_bytes,
    ],
)
def test_answers_are_gone_outside_their_callback(read: Callable[[], object]) -> None:
    raised, _ = call_from_tick(read)
    assert isinstance(raised, pwasm.PhaseError)
    assert raised.what == read.__name__
    assert read.__doc__


# --- gRPC ---------------------------------------------------------------------------------------------------------


class Grpc(pwasm.HttpContext):
    seen: list[Any]

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.dispatch_grpc_call("auth", "a.B", "C", [("x-m", "1")], b"question", 100, self.answered)
        return Action.PAUSE

    def answered(self, status: int, size: int) -> None:
        message = b"" if status else pwasm.get_grpc_receive_buffer()
        type(self).seen.append((status, size, message, pwasm.get_call_status().message))
        pwasm.resume_http_request()


@pytest.fixture
def grpc() -> type[Grpc]:
    return type("Grpc", (Grpc,), {"seen": []})


def test_a_grpc_call(grpc: type[Grpc]) -> None:
    host = HostEmulator(grpc)
    stream = host.request()
    (call,) = host.grpc_calls
    assert (call.token, call.upstream, call.service, call.method) == (5, b"auth", "a.B", "C")
    assert (list(call.initial_metadata), call.message, call.timeout_ms) == ([("x-m", "1")], b"question", 100)
    host.answer_grpc(call, b"answer")
    assert grpc.seen == [(0, 6, b"answer", "")]
    assert (stream.status, pending(host), host.logs) == (200, {}, [])


def test_a_grpc_call_that_fails(grpc: type[Grpc]) -> None:
    host = HostEmulator(grpc)
    stream = host.request()
    host.close_grpc(host.grpc_calls[0], 13, "via_upstream")
    assert grpc.seen == [(13, 0, b"", "via_upstream")]
    assert (stream.status, pending(host)) == (200, {})


def test_a_grpc_stream() -> None:
    seen: list[Any] = []

    class Plugin(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> None:
            self.token = pwasm.open_grpc_stream(
                "auth",
                "a.B",
                "C",
                on_initial_metadata=lambda n: seen.append((n, pwasm.get_grpc_receive_initial_metadata())),
                on_message=self.on_message,
                on_trailing_metadata=lambda n: seen.append((n, pwasm.get_grpc_receive_trailing_metadata_bytes())),
                on_close=lambda status: seen.append((status, pwasm.get_call_status())),
            )
            pwasm.send_grpc_stream_message(self.token, b"one")

        def on_message(self, size: int) -> None:
            seen.append((size, pwasm.get_grpc_receive_buffer(1, 2)))
            pwasm.send_grpc_stream_message(self.token, b"two", True)

    host = HostEmulator(Plugin)
    (stream,) = host.grpc_streams
    assert stream.token == 6
    host.send_grpc_initial_metadata(stream, [("x-i", "1")])
    host.answer_grpc(stream, b"abcd")
    host.send_grpc_trailing_metadata(stream, [("x-t", "2")])
    assert len(pending(host)) == 1
    host.close_grpc(stream, 7, "no")
    assert seen == [(1, [("x-i", "1")]), (4, b"bc"), (1, [(b"x-t", b"2")]), (7, (7, "no"))]
    assert (stream.sent, stream.half_closed) == ([b"one", b"two"], True)
    assert (pending(host), host.logs) == ({}, [])


def test_grpc_without_callbacks_reaches_the_plugin() -> None:
    seen: list[Any] = []

    class Plugin(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> None:
            pwasm.open_grpc_stream("auth", "a.B", "C")

        def on_grpc_receive_initial_metadata(self, token: int, num_elements: int) -> None:
            seen.append(("initial", token, num_elements))

        def on_grpc_receive(self, token: int, message_size: int) -> None:
            seen.append(("message", token, message_size))

        def on_grpc_receive_trailing_metadata(self, token: int, num_elements: int) -> None:
            seen.append(("trailing", token, num_elements))

        def on_grpc_close(self, token: int, status_code: int) -> None:
            seen.append(("close", token, status_code))

    host = HostEmulator(Plugin)
    (stream,) = host.grpc_streams
    host.send_grpc_initial_metadata(stream)
    host.answer_grpc(stream, b"1")
    host.send_grpc_trailing_metadata(stream)
    host.close_grpc(stream, 0)
    assert seen == [("initial", 6, 0), ("message", 6, 1), ("trailing", 6, 0), ("close", 6, 0)]


def test_a_grpc_stream_ends_with_its_http_stream() -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.open_grpc_stream("auth", "a.B", "C")
            pwasm.dispatch_grpc_call("auth", "a.B", "C")

    host = HostEmulator(Filter)
    host.request()
    assert (host.grpc_streams[0].cancelled, host.grpc_calls[0].cancelled, pending(host)) == (True, False, {})


def test_cancelling() -> None:
    def calls() -> None:
        pwasm.cancel_grpc_call(pwasm.dispatch_grpc_call("auth", "a.B", "C"))
        token = pwasm.open_grpc_stream("auth", "a.B", "C")
        pwasm.close_grpc_stream(token)
        pwasm.cancel_grpc_stream(token)
        with pytest.raises(pwasm.NotFound):
            pwasm.cancel_grpc_stream(token)
        with pytest.raises(pwasm.BadArgument):
            pwasm.send_grpc_stream_message(5, b"")

    raised, host = call_from_tick(calls)
    assert raised is None
    assert host.grpc_calls[0].cancelled
    assert (host.grpc_streams[0].half_closed, host.grpc_streams[0].cancelled) == (True, True)
    assert pending(host) == {}


def test_an_unknown_grpc_cluster() -> None:
    raised, _ = call_from_tick(lambda: pwasm.dispatch_grpc_call("nope", "a.B", "C"))
    assert isinstance(raised, pwasm.InternalFailure)
    raised, _ = call_from_tick(lambda: pwasm.open_grpc_stream(b"\x0a\x06\x0a\x04nope", "a.B", "C"))
    assert isinstance(raised, pwasm.InternalFailure)
    raised, _ = call_from_tick(lambda: pwasm.open_grpc_stream(b"\x0a\x01x", "a.B", "C"))
    assert isinstance(raised, ValueError)
