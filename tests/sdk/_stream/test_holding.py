"""What is held of a message, by which means, with which limits, and what follows where it cannot be held."""

from __future__ import annotations

from typing import Any

import pytest

import pwasm
from pwasm import Action, aio
from pwasm.testing import ExtAuthz, Headers, HostEmulator, HttpStream, LuaCall, UpstreamResponse

REQUEST = {":method": "POST", ":path": "/", ":authority": "a", ":scheme": "http", "x-forwarded-proto": "http"}


def post(host: HostEmulator, *headers: tuple[str, str], end: bool = False) -> HttpStream:
    stream = host.open_http_stream()
    stream.upstream = UpstreamResponse(body=b"ok")
    stream.send_request_headers(Headers([*REQUEST.items(), *headers]), end_of_stream=end)
    return stream


def held_bytes(host: HostEmulator) -> int:
    return host.plugin._in_vm.size  # type: ignore[attr-defined, no-any-return]


class Whole(pwasm.HttpContext):
    buffer_request_body = True
    buffer_response_body = True
    max_body_bytes = 20

    def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
        body = pwasm.get_http_request_body()
        pwasm.log_info(f"{body!r} {end_of_stream}")
        if b"evil" in body:
            pwasm.send_http_response(403)
        return Action.CONTINUE

    def on_http_response_body(self, size: int, end_of_stream: bool) -> Action:
        pwasm.log_info(f"{pwasm.get_http_response_body()!r}")
        return Action.CONTINUE


# --- the body in the module ---------------------------------------------------------------------------------------


def test_the_host_has_none_of_a_held_body() -> None:
    host = HostEmulator(Whole, after=[ExtAuthz("authz")])
    stream = post(host)
    stream.send_request_body(b"ev")
    assert held_bytes(host) == 2
    host.neighbour_calls[0].answer()
    assert (stream.request_body, stream.status) == (b"", None)
    stream.send_request_body(b"il", end_of_stream=True)
    assert (stream.status, stream.request_body, held_bytes(host)) == (403, b"", 0)


@pytest.mark.parametrize("hold_headers", [False, True])
def test_a_body_of_known_length_is_whole_before_its_end(hold_headers: bool) -> None:
    host = HostEmulator(Whole, hold_headers=hold_headers)
    stream = post(host, ("content-length", "8"))
    stream.send_request_body(b"good")
    assert (host.logs, stream.request_body) == ([], b"")
    stream.send_request_body(b"rest")
    assert ([text for _, text in host.logs], stream.request_body) == (["b'goodrest' True"], b"goodrest")
    stream.send_request_body(b"", end_of_stream=True)
    assert stream.status == 200
    assert held_bytes(host) == 0


@pytest.mark.parametrize("paused", [False, True])
def test_more_than_was_announced_is_refused(paused: bool) -> None:
    class Filter(Whole):
        def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
            return Action.PAUSE if paused else Action.CONTINUE

    host = HostEmulator(Filter)
    stream = post(host, ("content-length", "4"))
    stream.send_request_body(b"good")
    stream.send_request_body(b"evil", end_of_stream=True)
    assert (stream.status, stream.details) == (400, "pwasm_request_body_too_long")
    assert b"evil" not in stream.request_body


def test_who_mentions_trailers_gets_the_body_at_its_end() -> None:
    class Filter(Whole):
        def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
            pwasm.add_http_request_trailer("x-size", str(size))
            return Action.CONTINUE

    host = HostEmulator(Filter)
    stream = post(host, ("content-length", "4"))
    stream.send_request_body(b"good")
    stream.send_request_body(b"", end_of_stream=True)
    assert stream.request_trailers is not None
    assert stream.request_trailers["x-size"] == "4"


def test_a_whole_body_with_trailers() -> None:
    host = HostEmulator(Whole, after=[ExtAuthz("authz")])
    stream = post(host)
    stream.send_request_body(b"good")
    host.neighbour_calls[0].answer()
    stream.send_request_trailers([("x-t", "1")])
    assert (stream.request_body, stream.status) == (b"good", 200)


def test_a_held_tail_before_trailers() -> None:
    """Nothing can be put back in trailers once the host has seen CONTINUE; the bytes are not lost without a word."""

    class Filter(pwasm.HttpContext):
        def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
            return Action.PAUSE if pwasm.get_http_request_body() == b"tail" else Action.CONTINUE

    host = HostEmulator(Filter)
    stream = post(host)
    stream.send_request_body(b"begin")
    stream.send_request_body(b"tail")
    stream.send_request_trailers([("x-t", "1")])
    assert stream.status == 500
    assert "proxy_set_buffer_bytes" in host.logs[-1][1]


@pytest.mark.parametrize("hold_headers", [False, True])
@pytest.mark.parametrize("sized", [False, True])
def test_trailers_do_not_release_a_whole_body_that_is_held(hold_headers: bool, sized: bool) -> None:
    class Filter(Waits):
        buffer_request_body = True

        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            return Action.CONTINUE

        def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
            Waits.ids = [self.context_id]
            return Action.PAUSE

    host = HostEmulator(Filter, Ticks, hold_headers=hold_headers)
    stream = post(host, *([("content-length", "4")] if sized else []))
    stream.send_request_body(b"held")
    stream.send_request_trailers([("x-t", "1")])
    assert stream.request_body == b""
    if not hold_headers:
        assert (stream.status, stream.details) == (500, "pwasm_request_trailers_not_held")
        return
    host.tick()
    assert (stream.request_body, stream.status) == (b"held", 200)


# --- limits -------------------------------------------------------------------------------------------------------


class Hoard(pwasm.HttpContext):
    max_body_bytes = 10

    def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
        return Action.PAUSE

    def on_http_response_body(self, size: int, end_of_stream: bool) -> Action:
        return Action.PAUSE


def test_what_a_request_may_hold_is_limited() -> None:
    host = HostEmulator(Hoard)
    stream = post(host)
    stream.send_request_body(b"x" * 10)
    assert (stream.status, held_bytes(host)) == (None, 10)
    stream.send_request_body(b"x")
    assert (stream.status, stream.details, held_bytes(host)) == (413, "pwasm_request_body_too_large", 0)


def test_a_response_whose_headers_have_left_is_cut_off() -> None:
    host = HostEmulator(Hoard)
    stream = host.open_http_stream()
    stream.send_request_headers(Headers(REQUEST.items()), end_of_stream=True)
    stream.send_response_headers([])
    assert stream.status == 200
    stream.send_response_body(b"x" * 11)
    assert (stream.closed, held_bytes(host)) == (True, 0)


def test_a_held_response_that_is_too_large_is_500_where_headers_are_held() -> None:
    host = HostEmulator(Whole, hold_headers=True)
    stream = host.request(response=UpstreamResponse(200, body=[b"x" * 15, b"x" * 15]))
    assert (stream.status, stream.details) == (500, "pwasm_response_body_too_large")


class SmallVm(pwasm.VMContext):
    max_held_bytes = 25


def test_what_all_streams_may_hold_is_limited() -> None:
    host = HostEmulator(Hoard, SmallVm)
    streams = [post(host) for _ in range(4)]
    for stream in streams:
        stream.send_request_body(b"x" * 10)
    assert [stream.status for stream in streams] == [None, None, 503, 503]
    assert streams[2].details == "pwasm_held_bytes_limit"
    assert host.counter("pwasm.held_bytes_refused") == 2
    streams[0].disconnect()
    assert held_bytes(host) == 10
    again = post(host)
    again.send_request_body(b"x" * 10)
    assert again.status is None


@pytest.mark.parametrize("limit", [0, -1, True, "1"])
def test_the_limit_is_a_positive_number(limit: object) -> None:
    vm = type("Vm", (pwasm.VMContext,), {"max_held_bytes": limit})
    assert not HostEmulator(Hoard, vm).started


# --- headers that wait for the body -------------------------------------------------------------------------------


class Router(pwasm.HttpContext):
    buffer_request_body = True
    holds_request_headers = True
    holds_response_headers = True

    def on_http_request_body(self, size: int, end_of_stream: bool) -> None:
        self.request.headers["x-first"] = self.request.body[:1].decode()
        self.request.headers[":path"] = "/routed"

    def on_http_response_body(self, size: int, end_of_stream: bool) -> None:
        self.response.headers[":status"] = "201"


def test_the_body_decides_the_headers() -> None:
    host = HostEmulator(Router, hold_headers=True, after=[ExtAuthz("authz")])
    stream = post(host)
    stream.send_request_body(b"abc")
    assert host.neighbour_calls == []
    stream.send_request_body(b"d", end_of_stream=True)
    host.neighbour_calls[0].answer()
    assert (stream.request_headers["x-first"], stream.request_headers[":path"]) == ("a", "/routed")
    assert (stream.request_body, stream.status) == (b"abcd", 201)


def test_a_message_without_body_is_not_held() -> None:
    assert HostEmulator(Router, hold_headers=True).request(response=UpstreamResponse(204)).status == 204


def test_where_headers_cannot_be_held_the_plugin_does_not_start() -> None:
    host = HostEmulator(Router)
    assert not host.started
    assert "PWASM_HOLD_HEADERS=1" in host.logs[-1][1]


def test_a_factory_whose_class_needs_it() -> None:
    class Plugin(pwasm.PluginContext):
        def new_http_context(self, context_id: int) -> pwasm.HttpContext:
            return Router()

    host = HostEmulator(Plugin)
    assert host.request().status == 500
    assert "PWASM_HOLD_HEADERS=1" in host.logs[-1][1]
    assert HostEmulator(Plugin, hold_headers=True).request(body=b"x").request_headers["x-first"] == "x"


def test_the_snapshot_is_of_the_headers_that_left() -> None:
    class Filter(Router):
        def on_http_response_body(self, size: int, end_of_stream: bool) -> None:
            pwasm.log_info(self.request.headers[":path"])

    host = HostEmulator(Filter, hold_headers=True)
    host.request("POST", "/", body=[b"a", b"b"], response=UpstreamResponse(body=b"x"))
    assert {text for _, text in host.logs} == {"/routed"}


def test_its_own_response_is_held_too() -> None:
    class Filter(Router):
        def on_http_request_body(self, size: int, end_of_stream: bool) -> None:
            pwasm.send_http_response(403, body=b"no")

    stream = HostEmulator(Filter, hold_headers=True).request(body=b"x")
    assert (stream.status, stream.body) == (201, b"no")


def test_its_own_response_may_await() -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            pwasm.send_http_response(403, body=b"no")
            return Action.PAUSE

        async def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
            await aio.sleep(0.001)
            pwasm.add_http_response_header("x-late", "1")

        async def on_http_response_body(self, size: int, end_of_stream: bool) -> None:
            await aio.sleep(0.001)

    host = HostEmulator(Filter)
    stream = host.request()
    assert stream.paused == "response"
    for _ in range(2):
        host.tick()
    assert (stream.status, stream.headers["x-late"], stream.body) == (403, "1", b"no")


# --- PAUSE in headers ---------------------------------------------------------------------------------------------


class Waits(pwasm.HttpContext):
    """Callback-style authorization."""

    ids: list[int]

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        type(self).ids = [self.context_id]
        return Action.PAUSE

    def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
        pwasm.log_info(f"{pwasm.get_http_request_body()!r} {end_of_stream}")
        return Action.CONTINUE


class Ticks(pwasm.PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        pwasm.set_tick_period_milliseconds(5)
        return True

    def on_tick(self) -> None:
        for context_id in Waits.ids:
            with pwasm.effective_context(context_id):
                pwasm.resume_http_request()
        Waits.ids = []


@pytest.mark.parametrize("option", [False, True])
@pytest.mark.parametrize("trailers", [False, True])
def test_a_pause_in_headers_keeps_the_body_waiting(option: bool, trailers: bool) -> None:
    host = HostEmulator(Waits, Ticks, allow_on_headers_stop_iteration=option)
    stream = post(host)
    stream.send_request_body(b"one ")
    if trailers:
        stream.send_request_body(b"two")
        stream.send_request_trailers([("x-t", "1")])
    else:
        stream.send_request_body(b"two", end_of_stream=True)
    assert (host.logs, stream.request_body) == ([], b"")
    host.tick()
    assert [text for _, text in host.logs] == [f"b'one two' {not trailers}"]
    assert (stream.request_body, stream.status) == (b"one two", 200)


def test_a_whole_body_after_a_pause_in_headers() -> None:
    class Filter(Waits):
        buffer_request_body = True

    host = HostEmulator(Filter, Ticks, hold_headers=True)
    stream = post(host)
    stream.send_request_body(b"one ")
    host.ids = Waits.ids = Filter.ids  # type: ignore[attr-defined]
    host.tick()
    assert (host.logs, stream.request_body) == ([], b"")
    stream.send_request_body(b"two", end_of_stream=True)
    assert [text for _, text in host.logs] == ["b'one two' True"]
    assert stream.request_body == b"one two"


# --- the option is missing ----------------------------------------------------------------------------------------


def let_time_pass(host: HostEmulator, ticks: int = 4) -> None:
    for _ in range(ticks):
        if any(host.tick_periods.values()):
            host.tick()


def without_the_option(*filters: type, **options: Any) -> HostEmulator:
    """The variable is set, but not the option."""
    host = HostEmulator(*filters, hold_headers=True, **options)
    host.allow_on_headers_stop_iteration = False
    return host


def test_a_missing_option_is_noticed_and_said_once() -> None:
    host = without_the_option(Router)
    streams = [post(host) for _ in range(2)]
    for stream in streams:
        stream.send_request_body(b"abc", end_of_stream=True)
    let_time_pass(host)
    assert [(stream.status, stream.details) for stream in streams] == [(500, "pwasm_headers_not_held")] * 2
    assert sum("allow_on_headers_stop_iteration" in text for _, text in host.logs) == 1
    assert post(host).status == 500


def test_without_the_option_a_class_that_only_buffers_goes_on_by_draining() -> None:
    host = without_the_option(Whole)
    stream = post(host)
    stream.send_request_body(b"abc", end_of_stream=True)
    let_time_pass(host)
    assert stream.status == 500
    later = host.request(body=[b"good", b"rest"])
    assert (later.status, later.request_body) == (200, b"goodrest")


def test_a_slow_client_is_waited_for() -> None:
    host = without_the_option(Router)
    stream = post(host)
    let_time_pass(host, 50)
    assert (stream.status, host.logs) == (None, [])


# --- a later filter that holds what has gone on -------------------------------------------------------------------


def test_where_it_cannot_be_known_what_is_new_the_response_is_cut_off() -> None:
    """The front filter changes sizes, so Envoy's counts say nothing, and what comes begins like what has gone on."""

    class Filter(pwasm.HttpContext):
        async def on_http_response_body(self, size: int, end_of_stream: bool) -> None:
            await aio.sleep(0.001)

    host = HostEmulator(Filter, before=[LuaCall("a", request=False, response=True)])
    stream = host.open_http_stream()
    stream.send_request_headers(Headers(REQUEST.items()), end_of_stream=True)
    stream.send_response_headers([])
    stream.send_response_body(b"same")
    host.tick()  # goes on, and Lua holds it
    stream.body = b"z"  # what a compressor has sent
    stream.send_response_body(b"other")
    stream.send_response_body(b"same")
    assert stream.closed


def test_what_comes_again_with_nothing_new_is_sent_once() -> None:
    """Lua, in front, holds what has gone on; while the next part waits, it is in the host's buffer again."""

    class Filter(pwasm.HttpContext):
        async def on_http_response_body(self, size: int, end_of_stream: bool) -> None:
            await aio.sleep(0.001)

    host = HostEmulator(Filter, before=[LuaCall("a", request=False, response=True)])
    stream = host.open_http_stream()
    stream.send_request_headers(Headers(REQUEST.items()), end_of_stream=True)
    stream.send_response_headers([])
    stream.send_response_body(b"first")
    host.tick()  # goes on, and Lua holds it
    stream.send_response_body(b"new")  # waits
    stream.send_response_body(b"", end_of_stream=True)
    host.tick()
    host.tick()
    host.neighbour_calls[0].answer()
    assert (stream.body, stream.ended, stream.closed, held_bytes(host)) == (b"firstnew", True, False, 0)


@pytest.mark.parametrize("hold_headers", [False, True])
def test_the_trailers_of_a_response_may_wait(hold_headers: bool) -> None:
    class Filter(Waits):
        edits_response_body = True

        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            return Action.CONTINUE

        def on_http_response_body(self, size: int, end_of_stream: bool) -> Action:
            return Action.CONTINUE

        def on_http_response_trailers(self, num_trailers: int) -> Action:
            Waits.ids = [self.context_id]
            return Action.PAUSE

    class Resumes(Ticks):
        def on_tick(self) -> None:
            for context_id in Waits.ids:
                with pwasm.effective_context(context_id):
                    pwasm.resume_http_response()

    host = HostEmulator(Filter, Resumes, hold_headers=hold_headers)
    stream = host.request(response=UpstreamResponse(body=[b"ab", b"c"], trailers=[("x-t", "1")]))
    assert not stream.ended
    host.tick()
    assert (stream.body, stream.ended, host.logs) == (b"abc", True, [])
