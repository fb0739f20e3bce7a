"""What becomes of a coroutine that waits, in every callback, for everything, whatever happens to its stream meanwhile.

It is resumed, or closed when its stream is over; in no cell does the stream hang, or anything stay behind.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import pwasm
from pwasm import Action, aio
from pwasm._stream.phases import PHASES, REQUEST, RESPONSE
from pwasm.testing import HostEmulator, UpstreamResponse

CALL = [(":method", "GET"), (":path", "/"), (":authority", "a")]
WAITS: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
    "sleep": lambda: aio.sleep(0.05),
    "http": lambda: aio.dispatch_http_call("web", CALL),
    "grpc": lambda: aio.dispatch_grpc_call("web", "a.B", "C"),
    "gather": lambda: aio.gather(aio.sleep(0.02), aio.dispatch_http_call("web", CALL)),
    "wait_for": lambda: aio.wait_for(aio.dispatch_http_call("web", CALL), 5),
    "timeout": lambda: aio.wait_for(aio.sleep(5), 0.05),
}
CALLBACKS = [phase.method for phase in PHASES.values() if phase.direction in {REQUEST, RESPONSE}]
EVENTS: dict[str, Callable[[], object] | None] = {
    "nothing": None,
    "answer": lambda: pwasm.send_http_response(403),
    "close": pwasm.close_http_request,
    "resume request": pwasm.resume_http_request,
    "resume response": pwasm.resume_http_response,
    "client leaves": None,
}


class Plugin(pwasm.PluginContext):
    """Acts on the stream that waits, at its first tick."""

    event: Callable[[], object] | None = None
    context_id = 0
    waiting = 0

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        pwasm.set_tick_period_milliseconds(10)
        return True

    def on_tick(self) -> None:
        event, type(self).event = type(self).event, None
        if event is not None and self.waiting:
            with pwasm.effective_context(self.waiting):
                try:
                    event()
                except pwasm.PhaseError as error:
                    pwasm.log_info(str(error))


def filter_of(callback: str, wait: str, outcomes: list[str], *, own: bool) -> type[pwasm.HttpContext]:
    """A class that waits in one callback; with `own` the response is its own."""

    async def waits(self: Any, *_: object) -> Action:
        if outcomes:
            return Action.CONTINUE  # once
        self.plugin.waiting = self.context_id
        outcomes.append("waits")
        try:
            await WAITS[wait]()
        except GeneratorExit:
            outcomes.append("closed")
            raise
        except TimeoutError:
            pass
        outcomes.append("resumed")
        return Action.CONTINUE

    def answers(self: Any, *_: object) -> Action:
        pwasm.send_http_response(200, body=b"own")
        return Action.PAUSE

    methods: dict[str, Any] = {callback: waits, "holds_request_headers": callback.startswith("on_http_request_")}
    if callback == "on_http_request_trailers":  # otherwise the headers have left, and the request is refused
        methods["on_http_request_body"] = lambda *_: Action.PAUSE
    if own:
        methods["on_http_request_headers"] = answers
    return type("Filter", (pwasm.HttpContext,), methods)


def cells() -> list[tuple[str, str, str, bool]]:
    """Every cell; in its own response a filter has no trailers, and no request is left."""
    found = [(*cell, False) for cell in itertools.product(CALLBACKS, WAITS, EVENTS)]
    return found + [(*cell, True) for cell in itertools.product(CALLBACKS[3:5], WAITS, EVENTS)]


@pytest.mark.parametrize(("callback", "wait", "event", "own"), cells())
def test_every_wait_ends(callback: str, wait: str, event: str, own: bool) -> None:
    outcomes: list[str] = []
    plugin = type("Of", (Plugin,), {"event": EVENTS[event]})
    host = HostEmulator(filter_of(callback, wait, outcomes, own=own), plugin, hold_headers=True)
    stream = host.request(
        method="POST",
        body=[b"a", b"b"],
        trailers=[("x-t", "1")],
        response=UpstreamResponse(body=[b"c", b"d"], trailers=[("x-t", "1")]),
    )
    assert outcomes == ["waits"]
    if event == "client leaves":
        stream.disconnect()
    for _ in range(3):
        host.tick()
    for http in host.http_calls:
        if not http.answered:
            host.answer(http, body=b"yes")
    for grpc in host.grpc_calls:
        if not grpc.finished:
            host.answer_grpc(grpc, b"yes")
    for _ in range(10):
        if host.tick_periods and any(host.tick_periods.values()):
            host.tick()
    assert outcomes in (["waits", "resumed"], ["waits", "closed"])
    assert stream.ended, stream
    if event == "nothing":
        assert outcomes[1] == "resumed"
        assert (stream.status, stream.body) == (200, b"own" if own else b"cd")
        assert own or stream.request_body == b"ab"
    errors = [text for level, text in host.logs if level >= pwasm.LogLevel.ERROR]
    assert errors == []
