"""Whatever the filter decides, whoever else is in the chain, and in whatever order things happen: no byte gets past the
filter before a callback has let it pass, each is shown once, and none is lost.

The chain is the emulator's, which does what Envoy does (tests/conformance/test_chains.py).
"""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import pwasm
from pwasm import Action, aio
from pwasm.testing import ExtAuthz, Headers, HostEmulator, HttpStream, LuaBody, LuaCall, SlowUpstream

MESSAGES = ("request", "response")
REQUEST_HEADERS = {":method": "POST", ":path": "/", ":authority": "a", ":scheme": "http", "x-forwarded-proto": "http"}


def turned(data: bytes) -> bytes:
    """An edit that two of undo."""
    return bytes(byte ^ 0x80 for byte in data)


class Plugin(pwasm.PluginContext):
    """Resumes at the next tick what a callback has paused for good."""

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.paused: list[int] = []
        pwasm.set_tick_period_milliseconds(1)
        return True

    def on_tick(self) -> None:
        for context_id in self.paused:
            pwasm.set_effective_context(context_id)
            (pwasm.resume_http_request if Filter.message == "request" else pwasm.resume_http_response)()
        self.paused.clear()


class Filter(pwasm.HttpContext):
    """Decides as it is told, and writes down what it has let pass; what passes is turned over."""

    plugin: Plugin
    message = ""
    decisions: str = ""
    passed: bytes
    seen: list[bytes]
    ends: bool
    awaits: bool

    def on_http_request_body(self, size: int, end_of_stream: bool) -> Any:
        return self.decide("request", size, end_of_stream)

    def on_http_response_body(self, size: int, end_of_stream: bool) -> Any:
        return self.decide("response", size, end_of_stream)

    def on_http_request_trailers(self, num_trailers: int) -> Any:
        return self.at_trailers("request")

    def on_http_response_trailers(self, num_trailers: int) -> Any:
        return self.at_trailers("response")

    def at_trailers(self, message: str) -> Action:
        if message == self.message and self.seen:
            self.let_pass()
        return Action.CONTINUE

    def decide(self, message: str, size: int, end: bool) -> Any:
        if message != self.message:
            return Action.CONTINUE
        data = self.data()
        assert len(data) == size
        self.seen.append(data)
        decision, type(self).decisions = (self.decisions or "c")[0], self.decisions[1:]
        if end and not self.ends:
            decision = "c"  # what draining cannot hold: the end
        if self.awaits:
            return self.wait(decision, end=end)
        return self.act(decision, end=end)

    def act(self, decision: str, *, end: bool) -> Action:
        if decision == "p":
            if end:
                self.let_pass()
                self.plugin.paused.append(self.context_id)
            return Action.PAUSE
        self.let_pass()
        return Action.CONTINUE

    async def wait(self, decision: str, *, end: bool) -> Action:
        if decision == "a":
            before = self.data()
            await aio.sleep(0.001)
            assert self.data() == before, "what arrives meanwhile is not for this callback"
        return self.act(decision, end=end)

    def data(self) -> bytes:
        return pwasm.get_http_request_body() if self.message == "request" else pwasm.get_http_response_body()

    def let_pass(self) -> None:
        data = self.data()
        replace = pwasm.replace_http_request_body if self.message == "request" else pwasm.replace_http_response_body
        replace(turned(data))
        type(self).passed += turned(data)
        type(self).seen = []


def filter_class(message: str, kind: str, decisions: str, *, ends: bool, awaits: bool) -> type[Filter]:
    declared: dict[str, Any] = {f"edits_{message}_body": True, "message": message, "decisions": decisions, "ends": ends}
    declared |= {"passed": b"", "seen": [], "awaits": awaits}
    if kind == "whole":
        declared[f"buffer_{message}_body"] = True
    if kind == "holds":
        declared[f"holds_{message}_headers"] = True
    Filter.message = message
    return type("Made", (Filter,), declared)


NEIGHBOURS = st.lists(
    st.sampled_from(
        [ExtAuthz("a"), LuaCall("a"), LuaCall("a", False, True), LuaBody(), LuaBody(False, True), SlowUpstream(1)]
    ),
    max_size=2,
)


@settings(max_examples=300, deadline=None)
@given(
    message=st.sampled_from(MESSAGES),
    kind=st.sampled_from(["pieces", "whole", "holds"]),
    hold_headers=st.booleans(),
    pieces=st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=5),
    decisions=st.text("cpa", max_size=8),
    before=NEIGHBOURS,
    after=NEIGHBOURS,
    between=st.lists(st.lists(st.sampled_from("nt"), max_size=3), max_size=7),
    ending=st.sampled_from(["separate", "last", "trailers"]),
    sized=st.booleans(),
    awaits=st.booleans(),
)
def test_nothing_passes_unseen_and_nothing_is_lost(  # noqa: PLR0915
    message: str,
    kind: str,
    hold_headers: bool,
    pieces: list[bytes],
    decisions: str,
    before: list[Any],
    after: list[Any],
    between: list[list[str]],
    ending: str,
    sized: bool,
    awaits: bool,
) -> None:
    hold_headers = hold_headers or kind == "holds"
    alone = not before and not after
    if ending == "trailers" and kind != "whole" and (not awaits or message == "request"):
        decisions = decisions.replace("p", "")  # see test_a_held_tail_before_trailers
    ends = alone or (hold_headers and kind == "whole")
    made = filter_class(message, kind, decisions, ends=ends, awaits=awaits)
    host = HostEmulator(made, Plugin, before=before, after=after, hold_headers=hold_headers)
    if message == "response":
        # Of a response it cannot be known whether a piece that begins like all before it is new; see test_holding.py.
        numbers = itertools.count()
        pieces = [bytes(next(numbers) for _ in piece) for piece in pieces]
    whole = b"".join(pieces)

    def check(stream: HttpStream) -> None:
        received = stream.request_body if message == "request" else stream.body
        assert turned(whole).startswith(received)
        assert made.passed.startswith(received)
        assert turned(whole).startswith(made.passed)

    def something_happens(what: str, stream: HttpStream) -> None:
        if what == "t":
            host.tick()
        else:
            for call in [call for call in host.neighbour_calls if not call.answered][:1]:
                call.answer()
        check(stream)

    stream = host.open_http_stream()
    length = [("content-length", str(len(whole)))] if sized and ending != "trailers" else []
    pairs = [*REQUEST_HEADERS.items(), *(length if message == "request" else [])]
    stream.send_request_headers(Headers(pairs), end_of_stream=message == "response")
    if message == "response":
        settle(host, stream)
        stream.send_response_headers(length)
    send = stream.send_request_body if message == "request" else stream.send_response_body
    for number, piece in enumerate(pieces):
        send(piece, end_of_stream=ending == "last" and number == len(pieces) - 1)
        check(stream)
        for what in between[number] if number < len(between) else ():
            something_happens(what, stream)
    if ending == "trailers":
        (stream.send_request_trailers if message == "request" else stream.send_response_trailers)([("x-t", "1")])
    elif ending == "separate":
        send(b"", end_of_stream=True)
    check(stream)
    settle(host, stream)
    if stream.details == "pwasm_request_trailers_not_held":
        assert ending == "trailers"
        assert not (hold_headers and kind == "whole")
        return
    received = stream.request_body if message == "request" else stream.body
    assert received == turned(whole)
    assert made.passed == received
    assert stream.upstream_called if message == "request" else stream.ended
    if message == "request":
        stream.send_response_headers(end_of_stream=True)
        settle(host, stream)
    assert stream.ended
    assert host.plugin._in_vm.size == 0  # type: ignore[attr-defined]


def settle(host: HostEmulator, stream: HttpStream) -> None:
    """Everything that can still happen does."""
    for _ in range(30):
        host.tick()
        for call in [call for call in host.neighbour_calls if not call.answered]:
            call.answer()
