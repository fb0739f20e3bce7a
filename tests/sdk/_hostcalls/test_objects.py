"""`self.request`, `self.response`, and whole bodies."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import pwasm
from pwasm import Action
from pwasm._dispatch.declarations import traits_of
from pwasm.testing import HostEmulator, HttpStream, UpstreamResponse

CALLBACKS = {
    "on_http_request_headers": 2,
    "on_http_request_body": 2,
    "on_http_request_trailers": 1,
    "on_http_response_headers": 2,
    "on_http_response_body": 2,
    "on_http_response_trailers": 1,
    "on_http_stream_done": 0,
}


def make(**callbacks: Any) -> type[pwasm.HttpContext]:
    """A class with these callbacks, each a function of `self`; other names become attributes."""

    def method(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, *_: function(self)

    members = {name: method(value) if name in CALLBACKS else value for name, value in callbacks.items()}
    return type("Filter", (pwasm.HttpContext,), members)


def run(cls: type[pwasm.HttpContext], **request: Any) -> tuple[HttpStream, HostEmulator]:
    host = HostEmulator(cls)
    stream = host.request(**request)
    return stream, host


def test_headers_as_a_mapping() -> None:
    def check(self: Any) -> None:
        headers = self.request.headers
        assert self.request is self.request
        assert (headers["X-A"], headers.get("x-none"), headers.get("x-none", 1)) == ("1", None, 1)
        assert headers.get_all("x-a") == ["1", "2"]
        assert ("x-a" in headers, "x-none" in headers, 1 in headers) == (True, False, False)
        with pytest.raises(KeyError):
            headers["x-none"]
        with pytest.raises(KeyError):
            del headers["x-none"]
        headers["x-b"] = b"\xff"
        headers.add("x-b", "more")
        assert headers.get_all("x-b") == ["\udcff", "more"]
        del headers["x-a"]
        assert headers.pop("x-b") == "\udcff"
        assert headers.pop("x-b", "gone") == "gone"
        headers.update({"x-c": "3"})
        assert (
            list(headers) == headers.keys() == [":method", ":path", ":authority", ":scheme", "x-forwarded-proto", "x-c"]
        )
        assert (len(headers), dict(headers)["x-c"], headers.values()[-1]) == (6, "3", "3")
        assert headers.items()[-1] == ("x-c", "3")
        assert "('x-c', '3')" in repr(headers)
        headers.replace_all([("x-new", "4")])
        assert (headers["x-new"], "x-c" in headers) == ("4", False)
        assert (self.request.method, self.request.path, self.request.authority) == ("GET", "/", "example.com")
        for name, value in (("a b", "1"), ("a", "1\n")):
            with pytest.raises(ValueError, match=r"name|value"):
                headers[name] = value
        with pytest.raises(TypeError, match="name must be str"):
            headers.get_all(1)

    stream, host = run(make(on_http_request_headers=check), headers=[("x-a", "1"), ("x-a", "2")])
    assert host.logs == []
    assert stream.request_headers["x-new"] == "4"


def test_the_response() -> None:
    def change(self: Any) -> None:
        assert self.response.status == 200
        self.response.status = 203
        self.response.headers["x-a"] = "1"
        with pytest.raises(TypeError, match="status must be int"):
            self.response.status = "200"

    def trailers(self: Any) -> None:
        assert self.response.trailers["x-t"] == "1"
        self.response.trailers["x-u"] = "2"

    cls = make(on_http_response_headers=change, on_http_response_trailers=trailers)
    stream, host = run(cls, response=UpstreamResponse(body=b"x", trailers=[("x-t", "1")]))
    assert (stream.status, stream.headers["x-a"], host.logs) == (203, "1", [])
    assert stream.trailers is not None
    assert stream.trailers["x-u"] == "2"


LATER = ["on_http_request_body", "on_http_response_headers", "on_http_response_body", "on_http_stream_done"]


@pytest.mark.parametrize("at", LATER)
def test_request_headers_stay_readable(at: str) -> None:
    def change(self: Any) -> None:
        self.request.headers["x-mine"] = "1"

    def check(self: Any) -> None:
        assert (self.request.headers["x-mine"], self.request.method) == ("1", "PUT")
        assert self.request.headers.get("x-none", "no") == "no"
        assert ("x-mine", "1") in self.request.headers.items()
        with pytest.raises(pwasm.PhaseError):
            self.request.headers["x-mine"] = "2"

    cls = make(on_http_request_headers=change, snapshot_request_headers=True, **{at: check})
    stream, host = run(cls, method="PUT", body=b"abc", response=UpstreamResponse(body=b"x"))
    assert (stream.status, host.logs) == (200, [])


def test_the_snapshot_is_of_the_headers_at_the_resume() -> None:
    seen: list[str] = []

    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            pwasm.dispatch_http_call(
                "c", [(":method", "GET"), (":path", "/"), (":authority", "c")], callback=self.answered
            )
            return Action.PAUSE

        def answered(self, *_: int) -> None:
            self.request.headers["x-late"] = "1"
            pwasm.resume_http_request()
            assert self.request.headers["x-late"] == "1"

        def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
            seen.append(self.request.headers["x-late"])

    host = HostEmulator(Filter)
    stream = host.request()
    host.answer(host.http_calls[0])
    assert (stream.status, seen, host.logs) == (200, ["1"], [])


class Uses(pwasm.HttpContext):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        self.response.headers["x-path"] = self.request.path or ""


class UsesEarly(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        self.request.headers["x"] = "1"


class OptsOut(Uses):
    snapshot_request_headers = False


def test_who_needs_a_snapshot() -> None:
    traits = traits_of(Uses)
    assert traits is not None
    assert (traits.snapshot, traits.callbacks()) == (True, {"proxy_on_request_headers"})
    assert traits_of(UsesEarly) is None
    assert traits_of(OptsOut) is None
    assert run(Uses, path="/p")[0].headers["x-path"] == "/p"
    stream, host = run(OptsOut)
    assert stream.status == 500
    assert "snapshot_request_headers" in host.logs[0][1] or "no such headers" in host.logs[0][1]


def test_objects_of_another_stream() -> None:
    held: list[Any] = []

    class Plugin(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> None:
            pwasm.set_tick_period_milliseconds(100)

        def on_tick(self) -> None:
            (context,) = held
            with pytest.raises(pwasm.PhaseError, match="stream 2 is not selected"):
                context.request.headers["x"] = "1"
            with pwasm.effective_context(context.context_id):
                context.request.headers["x"] = "1"
                pwasm.resume_http_request()

    def hold(self: Any) -> Action:
        held.append(self)
        with pytest.raises(pwasm.PhaseError, match="does not belong to a stream"):
            type(self)().request  # noqa: B018
        return Action.PAUSE

    host = HostEmulator(Plugin, make(on_http_request_headers=hold))
    stream = host.request()
    host.tick()
    assert (stream.status, stream.request_headers["x"], host.logs) == (200, "1", [])


def test_objects_do_not_keep_contexts_alive() -> None:
    refs: list[weakref.ref[Any]] = []

    def note(self: Any) -> None:
        self.request.headers["x"] = "1"
        refs.append(weakref.ref(self))

    gc.disable()
    try:
        run(make(on_http_request_headers=note))
        assert refs[0]() is None
    finally:
        gc.enable()


# --- whole bodies -------------------------------------------------------------------------------------------------


def shout(self: Any) -> None:
    self.request.body = self.request.body.upper() + b"!"


def shout_back(self: Any) -> None:
    self.response.body = self.response.body.upper() + b"!"


@pytest.mark.parametrize("trailers", [None, [("x-t", "1")]])
def test_a_whole_request_body(trailers: Any) -> None:
    calls: list[Any] = []

    class Filter(pwasm.HttpContext):
        buffer_request_body = True

        def on_http_request_body(self, body_size: int, end_of_stream: bool) -> None:
            calls.append((body_size, end_of_stream))
            shout(self)

        def on_http_request_trailers(self, num_trailers: int) -> None:
            calls.append("trailers")

    headers = [("content-length", "11")]
    stream, host = run(Filter, method="PUT", headers=headers, body=[b"hello", b" ", b"world"], trailers=trailers)
    assert calls == [(11, True), *(["trailers"] if trailers else [])]
    assert (stream.request_body, "content-length" in stream.request_headers) == (b"HELLO WORLD!", False)
    assert (stream.status, host.logs) == (200, [])


@pytest.mark.parametrize("trailers", [None, [("x-t", "1")]])
def test_a_whole_response_body(trailers: Any) -> None:
    cls = make(buffer_response_body=True, on_http_response_body=shout_back)
    upstream = UpstreamResponse(headers=[("content-length", "2")], body=[b"a", b"b"], trailers=trailers)
    stream, host = run(cls, response=upstream)
    assert (stream.body, "content-length" in stream.headers, host.logs) == (b"AB!", False, [])


def test_no_body_no_call() -> None:
    calls: list[Any] = []
    cls = make(buffer_request_body=True, on_http_request_body=calls.append)
    stream, _ = run(cls, headers=[("content-length", "0")])
    assert (stream.status, calls, stream.request_headers["content-length"]) == (200, [], "0")


def test_content_length_stays_when_the_body_is_only_read() -> None:
    cls = make(buffer_request_body=True, edits_request_body=False, on_http_request_body=lambda self: None)
    stream, _ = run(cls, headers=[("content-length", "3")], body=b"abc")
    assert stream.request_headers["content-length"] == "3"


def test_content_length_goes_when_a_streaming_filter_says_so() -> None:
    cls = make(edits_request_body=True, edits_response_body=True)
    upstream = UpstreamResponse(headers=[("content-length", "1")], body=b"x")
    stream, _ = run(cls, headers=[("content-length", "3")], body=b"abc", response=upstream)
    assert "content-length" not in stream.request_headers
    assert "content-length" not in stream.headers


@pytest.mark.parametrize("headers", [[], [("content-length", "11")]])
@pytest.mark.parametrize("trailers", [None, [("x-t", "1")]])
def test_a_request_body_that_is_too_large(headers: Any, trailers: Any) -> None:
    called: list[Any] = []
    never = {"on_http_request_body": called.append, "on_http_response_headers": called.append}
    cls = make(buffer_request_body=True, max_body_bytes=10, **never)
    stream, host = run(cls, headers=headers, body=[b"12345", b"678901"], trailers=trailers)
    assert (stream.status, stream.body) == (413, b"the request body is larger than 10 bytes\n")
    assert stream.local_response is not None
    assert stream.local_response.details == "pwasm_request_body_too_large"
    assert (called, host.logs, stream.upstream_called) == ([], [], False)


def test_a_body_of_exactly_the_limit() -> None:
    cls = make(buffer_request_body=True, max_body_bytes=10, on_http_request_body=shout)
    assert run(cls, headers=[("content-length", "10")], body=b"1234567890")[0].request_body == b"1234567890!"


def test_a_response_body_that_is_too_large() -> None:
    cls = make(buffer_response_body=True, max_body_bytes=3, on_http_response_body=shout_back)
    announced = UpstreamResponse(headers=[("content-length", "4")], body=b"1234")
    stream, _ = run(cls, response=announced)
    assert stream.status == 500
    assert stream.local_response is not None
    assert stream.local_response.details == "pwasm_response_body_too_large"
    stream, host = run(cls, response=UpstreamResponse(body=b"1234"))
    assert (stream.closed, host.logs) == (True, [])


def test_a_buffering_filter_can_answer_and_pause() -> None:
    def deny(self: Any) -> None:
        pwasm.send_http_response(403, body=self.request.body)

    stream, host = run(make(buffer_request_body=True, on_http_request_body=deny), body=[b"no", b"!"])
    assert (stream.status, stream.body, host.logs) == (403, b"no!", [])
    cls = make(buffer_request_body=True, on_http_request_body=lambda self: Action.PAUSE)
    assert run(cls, body=b"x")[0].paused == "request"


def test_failures_in_buffered_callbacks_follow_the_policy() -> None:
    def fail(self: Any) -> None:
        raise ValueError("boom")

    assert run(make(buffer_request_body=True, on_http_request_body=fail), body=b"x")[0].status == 500
    cls = make(buffer_request_body=True, on_http_request_body=fail, on_error="fail_open")
    assert run(cls, body=b"x")[0].request_body == b"x"


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ({"buffer_request_body": "yes"}, TypeError),
        ({"snapshot_request_headers": 1}, TypeError),
        ({"max_body_bytes": "1"}, TypeError),
        ({"max_body_bytes": 0}, ValueError),
    ],
)
def test_wrong_declarations(attributes: dict[str, Any], error: type[BaseException]) -> None:
    with pytest.raises(error, match=next(iter(attributes))):
        HostEmulator(make(**attributes))
