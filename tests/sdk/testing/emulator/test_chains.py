"""Several filters around a stream: one buffer for all of them, one end, and whoever continues passes on both.

The filter here is no filter of the SDK but a script of actions, since the SDK may hold what a PAUSE does not. That
Envoy does the same is shown by `tests/conformance/test_chains.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pwasm
from pwasm import Action, _abi
from pwasm._protocols import Host
from pwasm.testing import ExtAuthz, HostEmulator, HttpStream, LuaBody, LuaCall, SlowUpstream, UpstreamResponse

CONTINUE, PAUSE = int(Action.CONTINUE), int(Action.PAUSE)
Script = dict[str, Callable[["Raw", int, bool], int]]
RESULTS: dict[str, Any] = {"bool": True, "action": CONTINUE}


class Raw:
    """A plugin without an SDK: `script` says what a callback does; `seen` is what a message's body callbacks saw."""

    def __init__(self, host: Host, script: Script) -> None:
        self.host = host
        self.script = script
        self.seen: dict[str, list[tuple[bytes, bool]]] = {"request_body": [], "response_body": []}
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        callback = next((callback for callback in _abi.CALLBACKS if callback.name == name), None)
        if callback is None:
            raise AttributeError(name)
        part = name.removeprefix("proxy_on_")

        def run(_context: int, *args: int) -> Any:
            self.called.append(part)
            if part.endswith("_body"):
                self.seen[part].append((self.body(part), bool(args[-1])))
            does = self.script.get(part)
            return RESULTS.get(callback.result) if does is None else does(self, args[0], bool(args[-1]))

        return run

    def body(self, part: str = "request_body") -> bytes:
        return self.host.proxy_get_buffer_bytes(part == "response_body", 0, 1 << 20)[1]

    def drain(self, buffer: int = 0) -> None:
        assert self.host.proxy_set_buffer_bytes(buffer, 0, 1 << 20, b"") == 0


def paused(_raw: Raw, _size: int, _end: bool) -> int:
    return PAUSE


def until_the_end(_raw: Raw, _size: int, end: bool) -> int:
    return CONTINUE if end else PAUSE


def emulator(script: Script, **options: Any) -> tuple[HostEmulator, Raw]:
    made: list[Raw] = []

    def make(host: Host) -> Any:
        made.append(Raw(host, script))
        return made[0]

    return HostEmulator(plugin=make, **options), made[0]


OK = UpstreamResponse(body=b"ok")


def post(host: HostEmulator, upstream: UpstreamResponse | None = OK) -> HttpStream:
    """A POST whose body is still to come."""
    stream = host.open_http_stream()
    stream.upstream = upstream
    pairs = {":method": "POST", ":path": "/", ":authority": "a", ":scheme": "http", "x-forwarded-proto": "http"}
    stream.send_request_headers(pwasm.testing.Headers(pairs.items()))
    return stream


LATER = [ExtAuthz("authz"), LuaCall("authz"), SlowUpstream(1)]


@pytest.mark.parametrize("later", LATER, ids=str)
def test_a_later_filter_that_continues_releases_what_is_held(later: Any) -> None:
    host, raw = emulator({"request_body": until_the_end}, after=[later])
    stream = post(host)
    stream.send_request_body(b"evil")
    assert stream.request_body == b""

    host.neighbour_calls[0].answer()
    assert stream.request_body == b"evil"
    stream.send_request_body(b"rest", end_of_stream=True)

    assert raw.seen["request_body"] == [(b"evil", False), (b"rest", True)]
    assert (stream.request_body, stream.status) == (b"evilrest", 200)


@pytest.mark.parametrize("earlier", [*LATER, LuaBody()], ids=str)
def test_an_earlier_filter_keeps_the_stream_to_itself(earlier: Any) -> None:
    host, raw = emulator({"request_body": until_the_end}, before=[earlier])
    stream = post(host)
    stream.send_request_body(b"evil")
    assert raw.called == ["context_create", "vm_start", "configure"]

    for call in host.neighbour_calls:
        call.answer()
    stream.send_request_body(b"rest", end_of_stream=True)

    assert raw.seen["request_body"][-1] == (b"evilrest", True)
    assert stream.status == 200


@pytest.mark.parametrize("later", LATER, ids=str)
def test_bytes_that_are_taken_out_stay_with_the_filter_until_the_callback_of_the_end(later: Any) -> None:
    taken = b""

    def drains(raw: Raw, _size: int, end: bool) -> int:
        nonlocal taken
        taken += raw.body()
        raw.host.proxy_set_buffer_bytes(0, 0, 1 << 20, taken if end else b"")
        return CONTINUE if end else PAUSE

    host, _ = emulator({"request_body": drains}, after=[later])
    stream = post(host)
    stream.send_request_body(b"evil")
    host.neighbour_calls[0].answer()
    assert stream.request_body == b""
    stream.send_request_body(b"rest", end_of_stream=True)
    assert (stream.request_body, stream.status) == (b"evilrest", 200)


@pytest.mark.parametrize("later", LATER, ids=str)
def test_the_end_cannot_be_taken_out(later: Any) -> None:
    def drains(raw: Raw, _size: int, _end: bool) -> int:
        raw.drain()
        return PAUSE

    host, raw = emulator({"request_body": drains}, after=[later])
    stream = post(host)
    stream.send_request_body(b"evil", end_of_stream=True)
    host.neighbour_calls[0].answer()
    assert (stream.upstream_called, stream.request_body, stream.status) == (True, b"", 200)
    assert raw.called[-3:] == ["log", "done", "delete"]


def test_what_is_put_back_after_the_end_is_dropped() -> None:
    def drains(raw: Raw, _size: int, _end: bool) -> int:
        raw.drain()
        return PAUSE

    host, _ = emulator({"request_body": drains}, after=[ExtAuthz("authz")])
    stream = post(host, None)
    stream.send_request_body(b"evil", end_of_stream=True)
    host.neighbour_calls[0].answer()
    assert (stream.upstream_called, stream.request_body, stream.paused) == (True, b"", "request")
    aside(host, stream, lambda: host.proxy_set_buffer_bytes(0, 0, 0, b"evil"), lambda: host.proxy_continue_stream(0))
    assert (stream.request_body, stream.paused) == (b"", None)


def aside(host: HostEmulator, stream: HttpStream, *calls: Callable[[], int]) -> None:
    """Hostcalls for a stream, outside of its callbacks."""
    host.proxy_set_effective_context(stream.context_id)
    assert [call() for call in calls] == [0] * len(calls)
    host.run_pending()


@pytest.mark.parametrize("later", LATER, ids=str)
def test_headers_that_are_held_keep_the_stream_from_later_filters(later: Any) -> None:
    script: Script = {"request_headers": paused, "request_body": until_the_end}
    host, raw = emulator(script, after=[later], allow_on_headers_stop_iteration=True)
    stream = post(host)
    stream.send_request_body(b"evil")
    assert host.neighbour_calls == []
    stream.send_request_body(b"rest", end_of_stream=True)
    assert raw.seen["request_body"] == [(b"evil", False), (b"evilrest", True)]
    assert (len(host.neighbour_calls), stream.request_body) == (1, b"")
    host.neighbour_calls[0].answer()
    assert (stream.request_body, stream.status) == (b"evilrest", 200)


def test_an_earlier_filter_releases_what_is_held_of_a_response() -> None:
    host, raw = emulator({"response_body": until_the_end}, before=[LuaCall("audit", request=False, response=True)])
    stream = post(host, None)
    stream.send_request_body(b"", end_of_stream=True)
    stream.send_response_headers()
    stream.send_response_body(b"secret")
    assert stream.body == b""
    host.neighbour_calls[-1].answer()
    assert stream.body == b"secret"
    stream.send_response_body(b"rest", end_of_stream=True)
    assert raw.seen["response_body"] == [(b"secret", False), (b"rest", True)]
    assert stream.body == b"secretrest"


@pytest.mark.parametrize("status", [401, 503])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_denial_passes_the_response_callbacks_of_those_that_saw_the_request(place: str, status: int) -> None:
    host, raw = emulator({}, **{place: [ExtAuthz("authz")]})
    stream = post(host)
    host.neighbour_calls[0].answer(status, body=b"no")
    assert (stream.status, stream.body) == ((401, b"no") if status == 401 else (403, b""))
    assert not stream.upstream_called
    assert ("response_headers" in raw.called) == (place == "after")
    assert raw.called[-3:] == ["log", "done", "delete"]


def test_a_client_that_leaves_leaves_the_neighbours_call_without_effect() -> None:
    host, _ = emulator({}, after=[ExtAuthz("authz"), LuaCall("other")])
    stream = post(host)
    stream.disconnect()
    host.neighbour_calls[0].answer()
    assert (stream.closed, len(host.neighbour_calls), stream.upstream_called) == (True, 1, False)


class SecondPlugin(pwasm.PluginContext):
    """Another filter's plugin: resumes what waits at each tick."""

    waiting: list[int]

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.waiting = []
        pwasm.set_tick_period_milliseconds(10)
        return True

    def on_tick(self) -> None:
        for context_id in self.waiting:
            pwasm.set_effective_context(context_id)
            pwasm.resume_http_request()
        self.waiting.clear()


class Second(pwasm.HttpContext):
    """Another filter: waits for a tick in the headers, answers some requests itself."""

    plugin: SecondPlugin

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if pwasm.get_http_request_header(":path") == "/no":
            pwasm.send_http_response(403, body=b"second")
        else:
            self.plugin.waiting.append(self.context_id)
        return Action.PAUSE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_response_header("x-second", "1")


class First(pwasm.HttpContext):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.log_info(pwasm.get_http_response_header("x-second") or "")


@pytest.mark.parametrize("place", ["before", "after"])
def test_another_filter_with_a_vm_of_its_own(place: str) -> None:
    second = HostEmulator(Second, SecondPlugin)
    around: dict[str, Any] = {place: [second]}
    host = HostEmulator(First, **around)
    stream = host.request("POST", "/", body=b"abc")
    assert (stream.paused, stream.status) == (None, None)
    second.tick()
    assert (stream.status, stream.request_body, stream.headers["x-second"]) == (200, b"abc", "1")
    assert [text for _, text in host.logs] == ["1" if place == "after" else ""]

    answered = host.request("GET", "/no")
    assert (answered.status, answered.body, second.streams, host.streams) == (403, b"second", {}, {})


def test_each_worker_has_neighbours_of_its_own() -> None:
    second = HostEmulator(Second, SecondPlugin)
    first = HostEmulator(First, after=[second])
    other = first.worker()
    streams = [host.request("POST", "/", body=b"abc") for host in (first, other)]
    second.tick()
    assert [stream.status for stream in streams] == [200, None]


def test_a_filter_of_a_cluster_is_no_access_logger() -> None:
    host, raw = emulator({}, upstream_filter=True, after=[SlowUpstream()])
    post(host).send_request_body(b"", end_of_stream=True)
    host.neighbour_calls[0].answer()
    assert raw.called[-2:] == ["done", "delete"]
    assert "log" not in raw.called


@given(
    st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=5),
    st.lists(st.sampled_from([ExtAuthz("a"), LuaCall("a"), LuaBody(), SlowUpstream(1)]), max_size=3),
    st.lists(st.sampled_from([ExtAuthz("a"), LuaCall("a"), LuaBody(), SlowUpstream(1)]), max_size=3),
    st.lists(st.integers(0, 5), max_size=6),
    st.sampled_from([paused, until_the_end, lambda *_: CONTINUE]),
    st.booleans(),
)
def test_no_byte_is_lost_or_doubled_whoever_pauses(
    pieces: list[bytes], before: list[Any], after: list[Any], answers: list[int], body: Any, trailers: bool
) -> None:
    """Whatever order the neighbours' answers come in: upstream gets the bytes in order, and once."""
    host, _ = emulator({"request_body": body}, before=before, after=after)
    stream = post(host)

    def answer(number: int) -> None:
        for call in [call for call in host.neighbour_calls if not call.answered][:number]:
            call.answer()

    for number, piece in enumerate(pieces):
        stream.send_request_body(piece)
        assert b"".join(pieces).startswith(stream.request_body)
        answer(answers[number] if number < len(answers) else 0)
    if trailers:
        stream.send_request_trailers([("x-end", "1")])
    else:
        stream.send_request_body(b"", end_of_stream=True)
    while any(not call.answered for call in host.neighbour_calls):
        answer(1)
    if body is paused and stream.paused:
        aside(host, stream, lambda: host.proxy_continue_stream(0))
        while any(not call.answered for call in host.neighbour_calls):
            answer(1)
    assert (stream.request_body, stream.status) == (b"".join(pieces), 200)
