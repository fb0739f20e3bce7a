"""A callback that selects another stream: what the SDK does for its own stream afterwards is done there.

`set_effective_context` lasts until the host's callback returns, and the SDK takes bodies out and puts them back after
the filter's method has returned. A body that was put into the other stream's buffer ended Envoy (docs/abi.md §0.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pwasm
from pwasm import Action, aio
from pwasm._stream.phases import PHASES
from pwasm._stream.registration import MESSAGES
from pwasm.testing import HostEmulator, HttpStream, UpstreamResponse

ALL = tuple(phase.method for phase in PHASES.values() if phase.part and phase.direction in MESSAGES)
CANNOT_WAIT = ("on_http_request_body", "on_http_request_trailers")
"""Of a request with trailers, if its headers have left."""
WAYS = ("plain", "pause first", "fail", "await", "await twice", "answer")
KINDS = ("nothing", "buffers", "edits", "holds")


def make_filter(at: str, way: str, kind: str, *, selects: bool) -> type[pwasm.HttpContext]:
    """A class that selects the stream that came first, in every callback of kind `at`."""

    def select(self: Any) -> None:
        if selects and self.plugin.first != self.context_id:
            pwasm.set_effective_context(self.plugin.first)

    def plain(self: Any, *args: int) -> Action:
        calls = self.calls = self.calls + 1
        if way == "answer":
            if self.plugin.first != self.context_id:
                pwasm.send_http_response(403, body=b"no")
            select(self)
            return Action.PAUSE
        select(self)
        if way == "fail" and self.plugin.first != self.context_id:
            raise ValueError("a bug of the filter's")
        held = way == "pause first" and calls == 1 and self.plugin.first != self.context_id
        return Action.PAUSE if held and at.endswith("body") and not args[1] else Action.CONTINUE

    async def waits(self: Any, *_: int) -> Action:
        select(self)
        if way == "await twice":
            await aio.gather(aio.sleep(0.001), aio.sleep(0.002))
            select(self)
        await aio.sleep(0.001)
        return Action.CONTINUE

    def on_http_request_headers(self: Any, *_: int) -> None:
        self.plugin.first = self.plugin.first or self.context_id

    body: dict[str, Any] = {"on_http_request_headers": on_http_request_headers, "calls": 0}
    body[at] = waits if way.startswith("await") else plain
    if at == "on_http_request_headers":
        inner = body[at]

        def first(self: Any, *args: int) -> Any:
            self.plugin.first = self.plugin.first or self.context_id
            return inner(self, *args)

        body[at] = first
    if kind == "buffers":
        body |= {"buffer_request_body": True, "buffer_response_body": True}
    elif kind == "edits":
        body |= {"edits_request_body": True, "edits_response_body": True}
    elif kind == "holds":
        body |= {"holds_request_headers": True, "holds_response_headers": True}
        body |= {"buffer_request_body": True, "buffer_response_body": True}
    return type("Selects", (pwasm.HttpContext,), body)


class Plugin(pwasm.PluginContext):
    first: int = 0

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        pwasm.set_tick_period_milliseconds(10)
        return True


def tick(host: HostEmulator) -> None:
    """Often enough for all that waits."""
    for _ in range(4):
        host.now_nanoseconds += 10_000_000
        host.tick()


def two_streams(host: HostEmulator) -> tuple[HttpStream, HttpStream]:
    """The first one is in the middle of its body when the second one runs, to its end."""
    first = host.begin("POST", response=UpstreamResponse(body=b"its answer"))
    first.send_request_body(b"first ")
    second = host.request(
        "POST",
        body=[b"second ", b"two"],
        trailers=[("x-t", "1")],
        response=UpstreamResponse(body=[b"answer ", b"two"], trailers=[("x-u", "1")]),
    )
    tick(host)
    return first, second


def outcome(at: str, way: str, kind: str, *, selects: bool) -> object:
    """What becomes of two streams: the first one is in the middle of its bodies when the second one runs."""
    host = HostEmulator(make_filter(at, way, kind, selects=selects), Plugin, hold_headers=kind == "holds")
    first, second = two_streams(host)
    first.send_request_body(b"one", end_of_stream=True)
    tick(host)
    logs = [record for record in host.logs_at(pwasm.LogLevel.ERROR) if "could not be" in record]
    streams = [
        (one.status, one.request_body, one.body, list(one.headers), one.paused, one.closed) for one in (first, second)
    ]
    return host.crash, logs, streams


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", ALL)
def test_selecting_another_stream_changes_nothing(at: str, way: str, kind: str) -> None:
    assert outcome(at, way, kind, selects=True) == outcome(at, way, kind, selects=False)


ENDS: dict[str, Callable[[], None]] = {
    "answer": lambda: pwasm.send_http_response(403, body=b"no"),
    "close request": pwasm.close_http_request,
    "close response": pwasm.close_http_response,
}


@pytest.mark.parametrize(
    ("at", "waits"),
    [*((at, False) for at in ALL), *((at, True) for at in ALL if at not in CANNOT_WAIT)],
)
@pytest.mark.parametrize("end", ENDS)
def test_ending_another_stream_does_not_stop_this_one(at: str, end: str, waits: bool) -> None:
    """K16: the emulator would raise EnvoyCrash."""

    def ends(self: Any, *_: int) -> None:
        if self.plugin.first not in (0, self.context_id):
            with pwasm.effective_context(self.plugin.first):
                ENDS[end]()
                ENDS[end]()
            self.plugin.first = 0

    async def slowly(self: Any, *_: int) -> None:
        ends(self)
        await aio.sleep(0.001)

    def on_http_request_headers(self: Any, *_: int) -> Any:
        self.plugin.first = self.plugin.first or self.context_id
        return (slowly if waits else ends)(self) if at == "on_http_request_headers" else None

    host = HostEmulator(
        type(
            "Ends",
            (pwasm.HttpContext,),
            {at: slowly if waits else ends, "on_http_request_headers": on_http_request_headers},
        ),
        Plugin,
    )
    first, second = two_streams(host)
    assert (second.status, second.request_body, second.body) == (200, b"second two", b"answer two")
    assert (first.status, first.closed) == ((403, False) if end == "answer" else (None, True))


def test_a_stream_that_has_ended_by_then_is_left_alone() -> None:
    class Ends(pwasm.HttpContext):
        def on_http_request_headers(self: Any, num_headers: int, end_of_stream: bool) -> None:
            self.plugin.first = self.plugin.first or self.context_id
            if self.plugin.first != self.context_id:
                with pwasm.effective_context(self.plugin.first):
                    pwasm.send_http_response(403)

    host = HostEmulator(Ends, Plugin)
    first = host.begin("POST")
    assert host.request().status == 200
    first.disconnect()
    host.tick()
    assert host.logs_at(pwasm.LogLevel.ERROR) == []
