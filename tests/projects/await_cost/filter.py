"""The cost of an await, measured inside the VM: the dispatcher runs on a host that does nothing.

Each request measures every form in turn, `ROUNDS` times, and answers with the quickest of each in nanoseconds. A cycle
is a stream's life: created, its request headers, the answer to its call (where it makes one), deleted.
"""

from __future__ import annotations

import time
from typing import Any

import pwasm
from pwasm import Action, aio
from pwasm._dispatch.callbacks import Dispatcher
from pwasm._serde import encode_pairs
from pwasm._stream.current import current
from pwasm.entrypoint import registration_of

CYCLES, ROUNDS = 50, 200
ASK = [(":method", "GET"), (":path", "/check"), (":authority", "auth")]
ANSWER = encode_pairs(
    [(b":status", b"200"), (b"x-envoy-upstream-service-time", b"1"), (b"content-type", b"text/plain")]
)


class NoHost:
    """Hostcalls that cost next to nothing."""

    def proxy_http_call(self, *_: object) -> tuple[int, int]:
        return 0, 4

    def proxy_get_header_map_pairs(self, _: int) -> tuple[int, bytes]:
        return 0, ANSWER

    def proxy_get_buffer_bytes(self, *_: object) -> tuple[int, bytes]:
        return 0, b""

    def proxy_set_effective_context(self, _: int) -> int:
        return 0

    def proxy_continue_stream(self, _: int) -> int:
        return 0

    def proxy_log(self, *_: object) -> int:
        return 0


class Plain(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return Action.CONTINUE


class NeverWaits(pwasm.HttpContext):
    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return Action.CONTINUE


class Callback(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.dispatch_http_call("auth", ASK, callback=self.answered)
        return Action.PAUSE

    def answered(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        for name, value in pwasm.get_http_call_response_headers():
            if name == ":status" and value != "200":
                pwasm.send_http_response(401)
                return
        pwasm.resume_http_request()


class Awaits(pwasm.HttpContext):
    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        answer = await aio.dispatch_http_call("auth", ASK)
        if answer.status != 200:
            pwasm.send_http_response(401)


FORMS: dict[str, type] = {"plain": Plain, "never_waits": NeverWaits, "callback": Callback, "await": Awaits}


def cycles(dispatcher: Any, *, answered: bool) -> float:
    """Nanoseconds of one cycle."""
    create, headers = dispatcher.proxy_on_context_create, dispatcher.proxy_on_request_headers
    answer, delete = dispatcher.proxy_on_http_call_response, dispatcher.proxy_on_delete
    before = time.perf_counter_ns()
    for number in range(2, CYCLES + 2):
        create(number, 1)
        headers(number, 3, True)
        if answered:
            answer(1, 4, 3, 0, 0)
        delete(number)
    return (time.perf_counter_ns() - before) / CYCLES


def measure() -> dict[str, float]:
    """The fastest round of each form: other load on the machine can only slow rounds down."""
    dispatchers = {}
    for name, form in FORMS.items():
        made: Any = Dispatcher(registration_of(form), NoHost())  # type: ignore[arg-type]
        made.proxy_on_context_create(1, 0)
        made.proxy_on_configure(1, 0)
        dispatchers[name] = made
    found: dict[str, list[float]] = {name: [] for name in FORMS}
    for _ in range(ROUNDS):
        for name, dispatcher in dispatchers.items():
            found[name].append(cycles(dispatcher, answered=name in {"callback", "await"}))
    for dispatcher in dispatchers.values():
        assert not dispatcher._streams
        assert not dispatcher._roots[1].calls
    return {name: min(values) for name, values in found.items()}


class Measure(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        before = current.host, current.root, current.stream, current.phase
        figures = measure()
        current.host, current.root, current.stream, current.phase = before
        pwasm.send_http_response(200, body=repr(figures))
        return Action.PAUSE


pwasm.set_http_context(Measure)
