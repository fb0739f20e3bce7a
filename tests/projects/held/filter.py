"""Decides about each piece of a body as the request's header `x-script` says, and logs what it has let pass, and when.

    P ID MESSAGE BYTES NANOSECONDS    from now on so many bytes of the message may be beyond the filter
    S ID MESSAGE SIZE END             a callback sees so many bytes
    E ID MESSAGE TEXT                 what must not be

What it lets pass is turned over, so that a byte that went past it shows, and one that was turned twice. The classes are
registered by root_id: "pieces", "whole", "holds"; and the neighbours of the chain: "waits", "buffers".
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pwasm
from pwasm import Action, aio

_MS = 1_000_000


class Plan:
    """What to do with one message, and where it stands."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.decisions: list[tuple[str, int]] = told.get("decisions", [])
        self.awaits: bool = told.get("awaits", False)
        self.ends: bool = told.get("ends", False)
        self.headers: int = told.get("headers", 0)
        self.turned = 0  # bytes at the beginning of the held ones
        self.passed = 0
        self.holds = False
        self.resume = False  # at the next tick


class Plugin(pwasm.PluginContext):
    """Resumes in ticks; without anything to resume there are none."""

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.due: list[tuple[int, Callable[[], None]]] = []
        return True

    def later(self, ms: int, resume: Callable[[], None]) -> None:
        """Call `resume` in a tick, not before so many milliseconds have passed."""
        self.due.append((time.monotonic_ns() + ms * _MS, resume))
        pwasm.set_tick_period_milliseconds(5)

    def on_tick(self) -> None:
        now = time.monotonic_ns()
        due, self.due = [item for item in self.due if item[0] <= now], [item for item in self.due if item[0] > now]
        if not self.due:
            pwasm.set_tick_period_milliseconds(0)
        for _, resume in due:
            resume()


class Pieces(pwasm.HttpContext):
    """Decides about each piece."""

    edits_request_body = True
    edits_response_body = True
    plugin: Plugin
    plans: dict[str, Plan] | None = None
    id = ""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Any:
        told = json.loads(pwasm.get_http_request_header("x-script") or "{}")
        self.id = told.get("id", "?")
        self.plans = {message: Plan(told.get(message, {})) for message in ("request", "response")}
        return self.headers(self.plans["request"])

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Any:
        return self.headers(self.plans["response"]) if self.plans else Action.CONTINUE

    def on_http_request_body(self, size: int, end_of_stream: bool) -> Any:
        return self.decide("request", size, end_of_stream)

    def on_http_response_body(self, size: int, end_of_stream: bool) -> Any:
        return self.decide("response", size, end_of_stream)

    def on_http_request_trailers(self, num_trailers: int) -> Action:
        return self.at_trailers("request")

    def on_http_response_trailers(self, num_trailers: int) -> Action:
        return self.at_trailers("response")

    def on_http_stream_done(self) -> None:
        for plan in (self.plans or {}).values():
            plan.resume = False

    def headers(self, plan: Plan) -> Any:
        return self.slowly(plan.headers) if plan.headers else Action.CONTINUE

    async def slowly(self, ms: int) -> None:
        await aio.sleep(ms / 1000)

    def at_trailers(self, message: str) -> Action:
        if not self.plans or self.buffer_request_body:
            return Action.CONTINUE  # the action for the whole body, which has just been decided, has priority
        plan = self.plans[message]
        plan.resume = False
        if plan.holds:
            self.turn(plan, message)
            self.has_passed(plan, message)
        return Action.CONTINUE

    def decide(self, message: str, size: int, end: bool) -> Any:
        if not self.plans:
            return Action.CONTINUE
        plan = self.plans[message]
        plan.resume = False
        data = self.data(message)
        pwasm.log_warn(f"S {self.id} {message} {size} {int(end)} {data[:16].hex()}")
        if len(data) != size:
            self.wrong(message, f"size is {size}, and there are {len(data)} bytes")
        plan.holds = True
        kind, ms = plan.decisions.pop(0) if plan.decisions else ("c", 0)
        if end and not plan.ends:
            kind = "c"  # what draining cannot hold: the end
        if plan.awaits:
            return self.wait(plan, message, kind, ms, end)
        return self.act(plan, message, kind, ms, end)

    def act(self, plan: Plan, message: str, kind: str, ms: int, end: bool) -> Action:
        if kind == "r" or (kind == "p" and end):
            self.turn(plan, message)
            plan.resume = True
            self.plugin.later(ms, lambda: self.go_on(plan, message))
            return Action.PAUSE
        if kind == "p":
            return Action.PAUSE
        self.turn(plan, message)
        self.has_passed(plan, message)
        return Action.CONTINUE

    async def wait(self, plan: Plan, message: str, kind: str, ms: int, end: bool) -> Action:
        if kind == "b":
            self.turn(plan, message)
        if kind in ("a", "b", "q"):
            before = self.data(message)
            await aio.sleep(ms / 1000)
            if self.data(message) != before:
                self.wrong(message, "what arrives meanwhile is not for this callback")
        if kind == "b":
            self.has_passed(plan, message)
            return Action.CONTINUE
        return self.act(plan, message, "p" if kind == "q" else kind, ms, end)

    def go_on(self, plan: Plan, message: str) -> None:
        if plan.resume:
            plan.resume = False
            self.has_passed(plan, message)
            pwasm.set_effective_context(self.context_id)
            (pwasm.resume_http_request if message == "request" else pwasm.resume_http_response)()

    def data(self, message: str) -> bytes:
        return pwasm.get_http_request_body() if message == "request" else pwasm.get_http_response_body()

    def turn(self, plan: Plan, message: str) -> None:
        data = self.data(message)
        data = data[: plan.turned] + bytes(byte ^ 0x80 for byte in data[plan.turned :])
        (pwasm.replace_http_request_body if message == "request" else pwasm.replace_http_response_body)(data)
        plan.turned = len(data)

    def has_passed(self, plan: Plan, message: str) -> None:
        plan.passed += plan.turned
        plan.turned, plan.holds = 0, False
        pwasm.log_warn(f"P {self.id} {message} {plan.passed} {time.time_ns()}")

    def wrong(self, message: str, text: str) -> None:
        pwasm.log_error(f"E {self.id} {message} {text}")


class Whole(Pieces):
    """Decides about whole bodies."""

    buffer_request_body = True
    buffer_response_body = True


class Holds(Pieces):
    """Decides about each piece, and the headers wait for the first that passes."""

    holds_request_headers = True
    holds_response_headers = True


class Waits(pwasm.HttpContext):
    """A neighbour: pauses in the headers of both messages for as long as they say, and continues in a tick."""

    plugin: Plugin
    over = False

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return self.pause(pwasm.get_http_request_header("x-gate"), pwasm.resume_http_request)

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return self.pause(pwasm.get_http_response_header("x-gate"), pwasm.resume_http_response)

    def on_http_stream_done(self) -> None:
        self.over = True

    def pause(self, told: str | None, resume: Callable[[], None]) -> Action:
        if not told or told == "0":
            return Action.CONTINUE

        def go_on() -> None:
            if not self.over:
                pwasm.set_effective_context(self.context_id)
                resume()

        self.plugin.later(int(told), go_on)
        return Action.PAUSE


class Buffers(pwasm.HttpContext):
    """A neighbour: holds whole bodies, and changes nothing."""

    buffer_request_body = True
    buffer_response_body = True
    edits_request_body = False
    edits_response_body = False

    def on_http_request_body(self, size: int, end_of_stream: bool) -> None:
        pass

    def on_http_response_body(self, size: int, end_of_stream: bool) -> None:
        pass


class Line(pwasm.TcpContext):
    """Lets whole lines of the client pass, and changes the case of their letters."""

    def on_downstream_data(self, size: int, end_of_stream: bool) -> Action:
        data = pwasm.get_downstream_data()
        if len(data) != size:
            pwasm.log_error(f"E ? request size is {size}, and there are {len(data)} bytes")
        if not data.endswith(b"\n"):
            return Action.PAUSE
        pwasm.replace_downstream_data(data.swapcase())
        return Action.CONTINUE


class WaitsForData(pwasm.TcpContext):
    """A neighbour: pauses at the client's data for a while, and continues in a tick; again and again."""

    plugin: Plugin
    waits = over = False

    def on_downstream_data(self, size: int, end_of_stream: bool) -> Action:
        if end_of_stream or not size:
            return Action.CONTINUE
        if not self.waits:
            self.waits = True
            self.plugin.later(15, self.go_on)
        return Action.PAUSE

    def go_on(self) -> None:
        self.waits = False
        if not self.over:
            pwasm.set_effective_context(self.context_id)
            pwasm.continue_tcp_stream()

    def on_stream_done(self) -> None:
        self.over = True


for made in (Pieces, Whole, Holds, Waits, Buffers):
    pwasm.set_plugin_context(Plugin, root_id=made.__name__.lower())
    pwasm.set_http_context(made, root_id=made.__name__.lower())
for name, of_tcp in (("line", Line), ("waits_for_data", WaitsForData)):
    pwasm.set_plugin_context(Plugin, root_id=name)
    pwasm.set_tcp_context(of_tcp, root_id=name)
