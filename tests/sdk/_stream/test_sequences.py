"""Sequences of calls, each of which is permitted alone: no pair of them ends Envoy, wherever the stream is held."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

import pwasm
from pwasm import Action, foreign
from pwasm._hostcalls import grpc_target
from pwasm.testing import HostEmulator, UpstreamResponse

Call = Callable[[], object]


def fail() -> None:
    raise ValueError("a bug of the filter's")


ACTS: dict[str, Call] = {
    "answer": lambda: pwasm.send_http_response(403),
    "close request": pwasm.close_http_request,
    "close response": pwasm.close_http_response,
    "resume request": pwasm.resume_http_request,
    "resume response": pwasm.resume_http_response,
    "get body": pwasm.get_http_request_body,
    "append to body": lambda: pwasm.append_http_response_body(b"x"),
    "fail": fail,
}
HELD = (
    "on_http_request_headers",
    "on_http_request_body",
    "on_http_response_headers",
    "on_http_response_body",
)


class Ticker(pwasm.PluginContext):
    held: int = 0
    acts: tuple[str, ...] = ()
    raised: ClassVar[list[object]] = []  # of all tests, which clear it

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        pwasm.set_tick_period_milliseconds(10)
        return True

    def on_tick(self) -> None:
        if not self.held:
            return
        pwasm.set_effective_context(self.held)
        self.held = 0
        for name in self.acts:
            act(name, self.raised)


def act(name: str, raised: list[object]) -> None:
    """Do it; what the SDK refuses is no failure of the filter."""
    if name == "fail":
        fail()
    try:
        ACTS[name]()
    except (pwasm.PhaseError, pwasm.HostcallError) as error:
        raised.append(error)


def make_filter(at: str, acts: tuple[str, ...], *, own: bool, on_error: str) -> type[pwasm.HttpContext]:
    """A class whose callback `at` does the acts itself, or holds the stream for a tick that does."""

    def callback(self: Any, *_: object) -> Action:
        if own:
            for name in acts:
                act(name, self.plugin.raised)
            return Action.CONTINUE
        self.plugin.acts, self.plugin.held = acts, self.context_id
        return Action.PAUSE

    return type("Filter", (pwasm.HttpContext,), {at: callback, "on_error": on_error, "edits_response_body": True})


@pytest.mark.parametrize("on_error", ["fail_closed", "fail_open"])
@pytest.mark.parametrize("own", [False, True], ids=["in a tick", "in the callback"])
@pytest.mark.parametrize("at", HELD)
def test_no_sequence_ends_envoy(at: str, own: bool, on_error: str) -> None:
    """The emulator would raise EnvoyCrash; a new request passes."""
    for acts in itertools.product(ACTS, repeat=3):
        host = HostEmulator(make_filter(at, acts, own=own, on_error=on_error), Ticker)
        host.request(method="POST", body=b"abc", response=UpstreamResponse(body=b"hello"))
        host.tick()
        assert not host.crash, acts


PAIRS = [
    ("resume response", "answer", "was resumed in this callback"),
    ("resume response", "close request", "was resumed in this callback"),
    ("answer", "close request", "would lose it"),
    ("answer", "answer", "already been sent"),
    ("close request", "answer", "was closed"),
]


@pytest.mark.parametrize(("first", "second", "why"), PAIRS)
def test_the_second_is_refused(first: str, second: str, why: str) -> None:
    Ticker.raised.clear()
    host = HostEmulator(
        make_filter("on_http_response_body", (first, second), own=False, on_error="fail_closed"), Ticker
    )
    host.request(response=UpstreamResponse(body=b"hello"))
    host.tick()
    (error,) = Ticker.raised
    assert isinstance(error, pwasm.PhaseError)
    assert why in str(error)


def test_a_stream_that_fails_after_its_resume_is_answered_by_its_next_callback() -> None:
    """The failing callback itself can no longer answer it, and what follows may not pass unseen."""
    host = HostEmulator(
        make_filter("on_http_request_headers", ("resume request", "fail"), own=False, on_error="fail_closed"), Ticker
    )
    stream = host.request(response=UpstreamResponse(body=b"secret"))
    host.tick()
    assert (stream.upstream_called, stream.status, stream.body) == (True, 500, b"")


class Twins(pwasm.PluginContext):
    """A tick acts on all streams."""

    acts: tuple[str, ...] = ()
    held: ClassVar[list[int]] = []
    raised: ClassVar[list[object]] = []

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        pwasm.set_tick_period_milliseconds(10)
        return True

    def on_tick(self) -> None:
        for name, context_id in zip(self.acts, self.held, strict=False):
            with pwasm.effective_context(context_id):
                act(name, self.raised)


class HeldByTwins(pwasm.HttpContext):
    def on_http_response_body(self, size: int, end_of_stream: bool) -> Action:
        if end_of_stream:
            Twins.held.append(self.context_id)
        return Action.PAUSE


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ("answer", "answer", "has just answered it"),
        ("close request", "answer", "has just answered it"),
        ("resume response", "close request", "was resumed in this callback"),
        ("close request", "close response", ""),
        ("answer", "resume response", ""),
        ("resume response", "resume response", ""),
    ],
)
def test_two_contexts_of_one_stream(first: str, second: str, why: str, same: bool) -> None:
    """A filter that is configured twice: what the second does would act on what the first has ended."""
    Twins.held.clear()
    Twins.raised.clear()
    host = HostEmulator(HeldByTwins, type("Plugin", (Twins,), {"acts": (first, second)}))
    if same:
        host.properties["connection", "id"] = b"12345678"
    streams = [host.request(response=UpstreamResponse(body=b"hello")) for _ in range(2)]
    host.tick()
    assert [why in str(error) for error in Twins.raised] == [True] * bool(why and same)
    acted = [stream.paused is None for stream in streams]
    assert acted == [True, not same or (first, second) == ("resume response", "resume response")]


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_trailers_do_not_go_on_when_another_context_has_closed_the_stream(same: bool, fails: bool) -> None:
    """K7: Envoy would write them to the connection that is closed."""

    class Closes(pwasm.HttpContext):
        on_error = "fail_open"

        def on_http_response_trailers(self, num_trailers: int) -> None:
            with pwasm.effective_context(first.context_id):
                pwasm.close_http_request()
            if fails:
                fail()

    host = HostEmulator(Closes)
    if same:
        host.properties["connection", "id"] = b"12345678"
    first = host.begin("POST")
    second = host.request(response=UpstreamResponse(body=b"hello", trailers=[("x-t", "1")]))
    assert first.closed == same  # in the next tick, if it is another stream (K16)
    assert second.paused == ("response" if same else None)


def test_a_last_callback_returns_to_its_own_stream() -> None:
    """Or the calls that follow would act on the other one."""
    raised: list[BaseException] = []

    class Last(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            return Action.PAUSE if pwasm.get_http_request_header("x-held") else Action.CONTINUE

        def on_http_stream_done(self) -> None:
            if not raised:
                with pwasm.effective_context(first.context_id):
                    pass
                try:
                    pwasm.close_http_request()
                except pwasm.PhaseError as error:
                    raised.append(error)

    host = HostEmulator(Last)
    first = host.request(headers={"x-held": "1"})
    host.request()
    assert "the stream has ended" in str(raised[0])
    assert first.paused == "request"


@pytest.mark.parametrize("same", [True, False])
def test_a_stream_ends_in_all_its_contexts(same: bool) -> None:
    """What a last callback does to another context of its stream would act on what is being destroyed."""
    raised: list[BaseException] = []

    class Last(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            return Action.PAUSE if pwasm.get_http_request_header("x-held") else Action.CONTINUE

        def on_http_stream_done(self) -> None:
            if self.context_id == first.context_id:
                return
            with pwasm.effective_context(first.context_id):
                try:
                    pwasm.send_http_response(403)
                except pwasm.PhaseError as error:
                    raised.append(error)

    host = HostEmulator(Last)
    if same:
        host.properties["connection", "id"] = b"12345678"
    first = host.request(headers={"x-held": "1"})
    host.request()
    assert [("the stream has ended" in str(error)) for error in raised[:1]] == [True] * same
    assert (first.status, first.paused) == ((None, "request") if same else (403, None))


@pytest.mark.parametrize("then", ["answer", "close request", "close response", "fail"])
def test_a_sleeper_and_the_filter_act_in_one_tick(then: str) -> None:
    """The tick wakes the coroutine, which lets the response go, and then calls the filter's own method."""

    class Slow(pwasm.HttpContext):
        async def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
            self.plugin.held = self.context_id  # type: ignore[attr-defined]
            await pwasm.aio.sleep(0.01)

    Ticker.raised.clear()
    host = HostEmulator(Slow, type("Both", (Ticker,), {"acts": (then,), "on_tick": Ticker.on_tick}))
    stream = host.request(response=UpstreamResponse())
    host.tick()
    host.tick()
    assert (stream.status, host.crash) == (200, "")
    refused = [str(error) for error in Ticker.raised]
    assert then == "fail" or ["was resumed in this callback" in text for text in refused] == [True]


# --- buffers ----------------------------------------------------------------------------------------------------------


def test_a_body_is_gone_when_its_callback_has_answered() -> None:
    seen: list[object] = []

    class Late(pwasm.HttpContext):
        edits_request_body = True

        def on_http_request_body(self, size: int, end_of_stream: bool) -> None:
            if end_of_stream:
                pwasm.send_http_response(200, body=b"local")
                seen.append(pwasm.get_http_request_body())  # it has not gone yet

        async def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
            await pwasm.aio.sleep(0.01)
            self.touch()

        def on_http_stream_done(self) -> None:
            self.touch()

        def touch(self) -> None:
            seen.append(pwasm.get_http_request_body())
            with pytest.raises(pwasm.BadArgument):
                pwasm.append_http_request_body(b"x")

    host = HostEmulator(Late)
    stream = host.request(method="POST", body=b"abc")
    host.tick()
    assert (stream.status, seen[1:]) == (200, [b"", b""])


def test_data_is_gone_when_its_callback_has_closed() -> None:
    seen: list[object] = []

    class Tap(pwasm.TcpContext):
        def on_upstream_data(self, size: int, end_of_stream: bool) -> Action:
            raise ValueError("a bug of the filter's")

        def on_stream_done(self) -> None:
            seen.append(pwasm.get_upstream_data())

    host = HostEmulator(Tap)
    connection = host.connect()
    connection.upstream(b"abc")
    host.run_pending()
    assert seen == [b""]


# --- gRPC and foreign functions ---------------------------------------------------------------------------------------


def test_a_cluster_is_sent_as_an_encoded_service() -> None:
    assert grpc_target.target_of("users") == b"\x0a\x07\x0a\x05users"
    assert grpc_target.target_of(b"\x0a\x07\x0a\x05users") == b"\x0a\x07\x0a\x05users"
    assert grpc_target.target_of(b"\x12\x03\x0a\x01a\x1a\x02\x08\x01") == b"\x12\x03\x0a\x01a\x1a\x02\x08\x01"


@pytest.mark.parametrize(
    "upstream",
    [
        b"users",
        b"h1",
        b"",
        b"\x0a\0",
        b"\x0a\x07\x0a\x05use",
        b"\x0a\x02\x0a\0",
        b"\x08\x01",
        b"\x0a\x03\x0a\x01a\x12\0",
    ],
    ids=repr,
)
def test_bytes_without_a_target_are_refused(upstream: bytes) -> None:
    with pytest.raises(ValueError, match="upstream must be"):
        grpc_target.target_of(upstream)


@pytest.mark.parametrize("call", [foreign.uncompress, lambda data: pwasm.call_foreign_function("uncompress", data)])
def test_a_bomb_is_refused(call: Callable[[bytes], bytes]) -> None:
    bomb = zlib.compress(bytes(20_000_000))
    with pytest.raises(ValueError, match="uncompress to more than 16777216"):
        call(bomb)
    assert call(zlib.compress(b"abc")) == b"abc"
    for broken in (b"", b"no zlib", zlib.compress(b"abc")[:-1]):
        with pytest.raises(pwasm.SerializationFailure):
            call(broken)


def test_uncompress_has_the_limit_that_it_is_given() -> None:
    assert foreign.uncompress(zlib.compress(b"abcd"), max_size=4) == b"abcd"
    with pytest.raises(ValueError, match="the 12 bytes uncompress to more than 3"):
        foreign.uncompress(zlib.compress(b"abcd"), max_size=3)
