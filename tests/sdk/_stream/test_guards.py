"""Calls that would crash, hang or silently lose data are refused; the emulator raises EnvoyCrash where Envoy would."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

import pwasm
from pwasm import Action, StreamType
from pwasm._stream.current import current
from pwasm.testing import EnvoyCrash, Headers, HostEmulator

Call = Callable[[], object]
REQUEST_HEADERS = {":method": "POST", ":path": "/", ":authority": "a", ":scheme": "http", "x-forwarded-proto": "http"}


class Recorder(pwasm.HttpContext):
    """Runs a function in a callback, and records the exception it raises."""

    at = ""
    call: Call
    returns: Action | None = None
    raised: list[BaseException | None]

    def _run(self, callback: str) -> Action | None:
        if callback != type(self).at:
            return None
        try:
            type(self).call()
        except BaseException as error:
            type(self).raised.append(error)
        else:
            type(self).raised.append(None)
        return type(self).returns

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        return self._run("on_http_request_headers")

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action | None:
        return self._run("on_http_request_body")

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        return self._run("on_http_response_headers")

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> Action | None:
        return self._run("on_http_response_body")

    def on_http_stream_done(self) -> None:
        self._run("on_http_stream_done")

    def __del__(self) -> None:
        self._run("__del__")


def run(at: str, call: Call, returns: Action | None = None, **request: Any) -> tuple[Any, Any, HostEmulator]:
    cls = type("Filter", (Recorder,), {"at": at, "call": staticmethod(call), "returns": returns, "raised": []})
    host = HostEmulator(cls)
    stream = host.request(**request)
    return cls.raised[0] if cls.raised else "not called", stream, host  # type: ignore[attr-defined]


def both(first: Call, second: Call) -> Call:
    def call() -> None:
        first()
        second()

    return call


def answer() -> None:
    pwasm.send_http_response(403)


REFUSED: list[tuple[str, str, Call, str]] = [
    ("K1", "on_http_request_headers", pwasm.resume_http_response, "no response has arrived yet"),
    ("K2", "on_http_stream_done", lambda: pwasm.send_http_response(403), "the stream has ended, and Envoy would crash"),
    ("K4", "__del__", lambda: pwasm.send_http_response(403), "the stream has ended, and Envoy would crash"),
    ("K5", "on_http_stream_done", pwasm.close_http_request, "the stream has ended, and Envoy would crash"),
    ("K5", "on_http_stream_done", pwasm.close_http_response, "the stream has ended, and Envoy would crash"),
    ("K5", "__del__", pwasm.close_http_request, "the stream has ended, and Envoy would crash"),
    (
        "second",
        "on_http_request_headers",
        both(answer, answer),
        "a local response has already been sent",
    ),
    (
        "close after",
        "on_http_request_headers",
        both(answer, pwasm.close_http_request),
        "closing the stream would lose it",
    ),
    (
        "reply after close",
        "on_http_request_headers",
        both(pwasm.close_http_request, answer),
        "the stream was closed",
    ),
    (
        "request headers",
        "on_http_response_headers",
        lambda: pwasm.add_http_request_header("a", "1"),
        "the request has gone upstream",
    ),
    (
        "request headers all",
        "on_http_response_headers",
        pwasm.get_http_request_headers,
        "the host has no such headers in this callback",
    ),
    (
        "response headers",
        "on_http_request_headers",
        lambda: pwasm.replace_http_response_header("a", "1"),
        "there is no response yet",
    ),
    (
        "read after resume",
        "on_http_request_headers",
        both(pwasm.resume_http_request, pwasm.get_http_request_headers),
        "the stream was resumed in this callback",
    ),
    ("log", "on_http_stream_done", lambda: pwasm.remove_http_response_header("a"), "the stream is over"),
    (
        "edit after resume",
        "on_http_request_headers",
        both(pwasm.resume_http_request, lambda: pwasm.add_http_request_header("a", "1")),
        "the stream was resumed in this callback",
    ),
]


@pytest.mark.parametrize(("number", "at", "call", "why"), REFUSED, ids=[f"{row[0]}-{row[1]}" for row in REFUSED])
def test_refused(number: str, at: str, call: Call, why: str) -> None:
    raised, stream, _ = run(at, call)
    assert isinstance(raised, pwasm.PhaseError), raised
    assert why in str(raised)
    if at != "__del__":
        assert f"in {at}" in str(raised)
    assert stream.paused is None


CRASHES: list[tuple[str, str, Callable[[Any], object]]] = [
    ("K1", "on_http_request_headers", lambda host: host.proxy_continue_stream(StreamType.HTTP_RESPONSE)),
    ("K2", "on_http_stream_done", lambda host: host.proxy_send_local_response(403, "", b"", b"", -1)),
    ("K5", "on_http_stream_done", lambda host: host.proxy_close_stream(StreamType.HTTP_REQUEST)),
]


@pytest.mark.parametrize(("number", "at", "hostcall"), CRASHES, ids=[row[0] for row in CRASHES])
def test_the_emulator_would_notice(number: str, at: str, hostcall: Callable[[Any], object]) -> None:
    """Without the guards the same calls end in EnvoyCrash, so the tests above prove something."""
    with pytest.raises(EnvoyCrash, match=number):
        run(at, lambda: hostcall(current.host))


@pytest.mark.parametrize("at", ["on_http_response_headers", "on_http_response_body", "on_http_stream_done"])
def test_resume_request_later_does_nothing(at: str) -> None:
    raised, stream, _ = run(at, pwasm.resume_http_request, response=pwasm_response(b"x"))
    assert raised is None
    assert stream.status == 200


def pwasm_response(body: bytes) -> Any:
    from pwasm.testing import UpstreamResponse

    return UpstreamResponse(body=body)


@pytest.mark.parametrize(
    ("at", "resume", "request_"),
    [
        ("on_http_request_headers", pwasm.resume_http_request, {"body": b"abc"}),
        ("on_http_request_body", pwasm.resume_http_request, {"body": b"abc"}),
        ("on_http_response_headers", pwasm.resume_http_response, {"response": pwasm_response(b"abc")}),
        ("on_http_response_body", pwasm.resume_http_response, {"response": pwasm_response(b"abc")}),
    ],
)
def test_resume_in_the_callback_that_pauses(at: str, resume: Call, request_: dict[str, Any]) -> None:
    raised, stream, _ = run(at, resume, Action.PAUSE, **request_)
    assert raised is None
    assert stream.paused is None
    assert stream.status == 200
    assert b"abc" in (stream.request_body, stream.body)
    assert all(action == 0 for _, action in stream.actions)


def test_resume_of_the_other_direction_does_not_undo_the_pause() -> None:
    _, stream, _ = run("on_http_response_headers", pwasm.resume_http_request, Action.PAUSE)
    assert stream.paused == "response"


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("direction", ["request", "response"])
def test_resume_in_a_callback_of_the_other_direction_waits(direction: str, *, guarded: bool) -> None:
    """K14: the response has come early, and the host would continue one inside of the other's codec."""

    def resume() -> None:
        if not guarded:
            current.host.proxy_continue_stream(StreamType[f"HTTP_{direction.upper()}"])
        elif direction == "request":
            pwasm.resume_http_request()
        else:
            pwasm.resume_http_response()

    class Early(pwasm.HttpContext):
        def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
            if direction == "response" and end_of_stream:
                resume()
            return Action.PAUSE if direction == "request" else Action.CONTINUE

        def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            if direction == "request":
                resume()
            return Action.PAUSE if direction == "response" else Action.CONTINUE

    host = HostEmulator(Early)
    stream = host.open_http_stream()
    stream.send_request_headers(Headers([*REQUEST_HEADERS.items()]))
    stream.send_request_body(b"abc", end_of_stream=direction == "request")
    with nullcontext() if guarded else pytest.raises(EnvoyCrash, match="K14"):
        stream.send_response_headers(end_of_stream=direction == "response")
        if direction == "response":
            stream.send_request_body(b"def", end_of_stream=True)
        assert stream.paused == direction
        host.tick()
        assert stream.paused is None


def test_local_response() -> None:
    headers = [("x-a", "1"), ("x-a", "2")]
    raised, stream, _ = run(
        "on_http_request_headers", lambda: pwasm.send_http_response(403, headers, "no", details="my det")
    )
    assert raised is None
    assert (stream.status, stream.body, stream.upstream_called) == (403, b"no", False)
    assert stream.headers.get_all("x-a") == ["1", "2"]
    assert stream.local_response.details == "my_det"
    assert [export for export, _ in stream.actions] == [
        "proxy_on_request_headers",
        "proxy_on_response_headers",
        "proxy_on_response_body",
    ]


class Keeper(pwasm.PluginContext):
    """Ticks, and runs a function on the id of the last stream."""

    last = 0
    call: Callable[[int], object] = staticmethod(lambda _: None)
    raised: BaseException | None = None

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        pwasm.set_tick_period_milliseconds(100)
        return True

    def on_tick(self) -> None:
        try:
            type(self).call(type(self).last)
        except BaseException as error:
            type(self).raised = error


class Paused(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        type(self.plugin).last = self.context_id  # type: ignore[attr-defined]
        return Action.PAUSE


def tick(call: Callable[[int], object], *, pausing: bool = True) -> tuple[Any, Any, HostEmulator]:
    keeper = type("K", (Keeper,), {"call": staticmethod(call), "last": 0, "raised": None})
    host = HostEmulator(keeper, Paused if pausing else pwasm.HttpContext)
    stream = host.request("POST", body=b"abc")
    host.tick()
    return keeper.raised, stream, host  # type: ignore[attr-defined]


def test_a_tick_selects_edits_and_resumes() -> None:
    def call(context_id: int) -> None:
        pwasm.set_effective_context(context_id)
        pwasm.add_http_request_header("x-late", "1")
        pwasm.resume_http_request()

    raised, stream, _ = tick(call)
    assert raised is None
    assert (stream.status, stream.request_headers["x-late"], stream.request_body) == (200, "1", b"abc")


def test_a_tick_answers() -> None:
    def call(context_id: int) -> None:
        pwasm.set_effective_context(context_id)
        pwasm.send_http_response(401)

    raised, stream, _ = tick(call)
    assert raised is None
    assert (stream.status, stream.upstream_called) == (401, False)


NO_STREAM: list[Call] = [
    lambda: pwasm.send_http_response(403),
    pwasm.close_http_request,
    pwasm.resume_http_request,
    pwasm.get_http_request_headers,
    lambda: pwasm.get_http_request_header("a"),
    lambda: pwasm.add_http_request_header("a", "1"),
    pwasm.get_http_request_body,
    lambda: pwasm.replace_http_response_body(b""),
]


@pytest.mark.parametrize("call", NO_STREAM)
def test_without_a_selected_stream(call: Call) -> None:
    raised, stream, _ = tick(lambda _: call())
    assert isinstance(raised, pwasm.PhaseError)
    assert "in on_tick: no stream is selected\nhint: pwasm.set_effective_context" in str(raised)
    assert stream.paused == "request"


def test_k1_from_a_tick() -> None:
    def call(context_id: int) -> None:
        pwasm.set_effective_context(context_id)
        pwasm.resume_http_response()

    raised, stream, _ = tick(call)
    assert isinstance(raised, pwasm.PhaseError)
    assert stream.paused == "request"


def test_back_to_no_stream() -> None:
    def call(context_id: int) -> None:
        pwasm.set_effective_context(context_id)
        pwasm.set_effective_context(1)
        pwasm.add_http_request_header("a", "1")

    raised, _, _ = tick(call)
    assert "no stream is selected" in str(raised)


@pytest.mark.parametrize("context_id", [2, 9999])
def test_k6_streams_that_are_gone_are_not_asked_for(context_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HostEmulator, "proxy_set_effective_context", lambda *_: 0)  # what a real host may answer
    raised, _, _ = tick(lambda _: pwasm.set_effective_context(context_id), pausing=False)
    assert isinstance(raised, pwasm.BadArgument)
    assert raised.key == context_id


def test_selection_ends_with_the_callback() -> None:
    _, _, host = tick(pwasm.set_effective_context)
    assert current.stream is not None
    host.tick_periods = {1: 0}
    host.call("proxy_on_queue_ready", 1, 1)
    assert current.stream is None


@pytest.mark.parametrize("returned", [True, False, 2, 3, -1, "PAUSE", 0.0, [], object()])
@pytest.mark.parametrize("at", ["on_http_request_headers", "on_http_request_body"])
def test_only_actions_leave(at: str, returned: Any) -> None:
    _, stream, host = run(at, lambda: None, returned, body=b"abc")
    assert stream.status == 500
    assert {action for _, action in stream.actions} <= {0, 1}
    assert f"TypeError: {at} must return Action.CONTINUE, Action.PAUSE or None" in host.logs[-1][1]


@pytest.mark.parametrize("returned", [0, 1, None, Action.CONTINUE, Action.PAUSE])
def test_what_may_be_returned(returned: Any) -> None:
    _, stream, _ = run("on_http_request_headers", lambda: None, returned)
    assert (stream.paused == "request") == (returned == 1)


def test_tcp_close_and_continue() -> None:
    class Echo(pwasm.TcpContext):
        def on_new_connection(self) -> Action:
            return Action.CONTINUE

        def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
            if pwasm.get_downstream_data() == b"stop":
                pwasm.close_upstream()
                pwasm.close_downstream()
            pwasm.append_downstream_data("!")
            pwasm.continue_tcp_stream()
            return Action.PAUSE

        def on_stream_done(self) -> None:
            pwasm.close_downstream()

    host = HostEmulator(Echo)
    connection = host.connect()
    assert connection.downstream(b"hi") == 0
    assert connection.to_upstream == b"hi!"
    connection.downstream(b"stop")
    assert connection.closed
    connection.close()
    assert "close_downstream is refused in on_stream_done" in host.logs[-1][1]


@pytest.mark.parametrize("call", [lambda: pwasm.send_http_response(403), pwasm.get_http_request_headers])
def test_http_functions_on_tcp(call: Call) -> None:
    class Filter(pwasm.TcpContext):
        def on_new_connection(self) -> None:
            call()

    host = HostEmulator(Filter)
    host.connect()
    assert "PhaseError" in host.logs[-1][1]


def test_k6_a_stream_that_is_being_logged_cannot_be_selected() -> None:
    raised: list[BaseException] = []

    class Plugin(Keeper):
        def on_queue_ready(self, queue_id: int) -> None:
            try:
                pwasm.set_effective_context(50)
            except pwasm.BadArgument as error:
                raised.append(error)

    class Logged(pwasm.HttpContext):
        def on_http_stream_done(self) -> None: ...

    host = HostEmulator(Plugin, Logged)
    host.call("proxy_on_context_create", 50, 1)
    host.call("proxy_on_log", 50)
    host.streams[50] = host.rejected()  # the host still knows it
    host.call("proxy_on_queue_ready", 1, 1)
    assert len(raised) == 1


def test_k4_without_on_log() -> None:
    """The module of a filter without on_http_stream_done has no on_log, so proxy_on_delete ends a stream."""
    raised: list[BaseException] = []

    class Filter(pwasm.HttpContext):
        def __del__(self) -> None:
            try:
                pwasm.send_http_response(403)
            except pwasm.PhaseError as error:
                raised.append(error)

    host = HostEmulator(Filter)
    host.call("proxy_on_context_create", 2, 1)
    host.call("proxy_on_request_headers", 2, 0, True)
    host.call("proxy_on_delete", 2)
    assert len(raised) == 1


def test_a_stream_without_a_callback_gets_no_context() -> None:
    made: list[object] = []

    class Filter(pwasm.HttpContext):
        def __init__(self) -> None:
            made.append(self)

    host = HostEmulator(Filter)
    host.call("proxy_on_context_create", 2, 1)
    host.call("proxy_on_done", 2)
    host.call("proxy_on_delete", 2)
    assert (made, host.logs) == ([], [])
    host.call("proxy_on_context_create", 3, 1)
    host.call("proxy_on_log", 3)
    assert len(made) == 1


def test_a_failure_answers_the_own_stream_whatever_is_selected() -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            if self.context_id == 2:
                return Action.PAUSE
            pwasm.set_effective_context(2)
            raise ValueError

    host = HostEmulator(Filter)
    waiting, failing = host.request(), host.request()
    assert (waiting.paused, waiting.local_response) == ("request", None)
    assert failing.status == 500
