"""The time of an emulated world: ticks, answers and whatever else is due, one event after another."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping

from ..emulator.base import NeighbourCall
from ..emulator.callouts import HttpCall
from ..emulator.clock import Clock
from ..emulator.headers import Headers
from ..emulator.host import HostEmulator
from .messages import Answer, Double, Request, pairs_of, whole

NANOSECONDS = 10**9
_NEVER_ANSWERED = Answer(504, {"content-type": "text/plain"}, "upstream request timeout", delay=15.0)
_CONNECTION_ENDED = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
_NOT_CONNECTED = (
    "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, "
    "transport failure reason: delayed connect error: Connection refused"
)
FAULTS = {
    "silence": _NEVER_ANSWERED,
    "reset": Answer(503, {"content-type": "text/plain"}, _CONNECTION_ENDED),
    "refused": Answer(503, {"content-type": "text/plain"}, _NOT_CONNECTED),
}
"""Envoy's response if a server does not respond."""


def request_of(headers: Headers, body: bytes, trailers: Headers) -> Request:
    own = Headers([pair for pair in headers.raw if not pair[0].startswith(b":")])
    method, path, authority = (headers.get(name) or "" for name in (":method", ":path", ":authority"))
    return Request(own, body, trailers, method, path, authority)


class EventLoop:
    """What happens next, and when. It answers the calls of the emulators in `vms` as the doubles say."""

    def __init__(self, clock: Clock, doubles: Mapping[str, Double]) -> None:
        self.clock = clock
        self.vms: list[HostEmulator] = []
        self._doubles = doubles
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._calls_seen: dict[int, tuple[int, int]] = {}
        self._ticks: dict[tuple[int, int], tuple[int, int]] = {}  # (VM, root) → (period in ms, due)

    @property
    def now(self) -> int:
        """The emulators' clock in nanoseconds."""
        return self.clock.now_nanoseconds

    def after(self, seconds: float) -> int:
        """The time in so many seconds."""
        return self.now + int(seconds * NANOSECONDS)

    def tick(self) -> None:
        """Let every plugin tick once.

        Raises:
            AssertionError: no plugin ticks.
        """
        self._collect()
        if not self._ticks:
            raise AssertionError("no tick period is set, so there are no ticks")
        for due in sorted({due for _, due in self._ticks.values()}):
            self.run_until(due)

    def run_until(self, deadline: int) -> None:
        """Process everything that is due up to this time."""
        while self.step(deadline):
            pass

    def step(self, deadline: int) -> bool:
        """Process the next event; False if none is due up to the deadline."""
        self._collect()
        due, tick = min(((due, key) for key, (_, due) in self._ticks.items()), default=(None, (0, 0)))
        if self._events and (due is None or self._events[0][0] <= due):
            if self._events[0][0] > deadline:
                return False
            due, _, event = heapq.heappop(self._events)
            self.set_clock(due)
            event()
        elif due is None or due > deadline:
            return False
        else:
            self.set_clock(due)
            self._ticks[tick] = (self._ticks[tick][0], due + self._ticks[tick][0] * 1_000_000)
            host = self.vms[tick[0]]
            host.call("proxy_on_tick", tick[1])
            host.run_pending()
        self._collect()
        return True

    def set_clock(self, now: int) -> None:
        """Let the time pass up to `now`."""
        self.clock.now_nanoseconds = max(self.now, now)

    def _collect(self) -> None:
        """Collect what the plugins have requested since the last time: calls and tick periods."""
        for worker, host in enumerate(self.vms):
            seen, asked = self._calls_seen.get(worker, (0, 0))
            self._calls_seen[worker] = len(host.http_calls), len(host.neighbour_calls)
            for call in host.http_calls[seen:]:
                self._called(host, call)
            for neighbour in host.neighbour_calls[asked:]:
                self._asked(neighbour)
            for root_id in host.roots:
                period = host.tick_periods.get(root_id, 0)
                key = (worker, root_id)
                if not period:
                    self._ticks.pop(key, None)
                elif self._ticks.get(key, (0, 0))[0] != period:
                    self._ticks[key] = (period, self.now + period * 1_000_000)

    def _called(self, host: HostEmulator, call: HttpCall) -> None:
        """Get the answer of the cluster's double, and schedule its arrival, or the call's timeout."""
        double = self._doubles.get(call.cluster)
        if double is None:
            return
        if double.refuses:
            self._at(0, call, lambda: host.refuse(call))
            return
        answer = double.answer(request_of(call.headers, call.body, call.trailers))
        limit = call.timeout_ms / 1000
        if answer.fault == "silence" or (limit and answer.seconds >= limit):
            if limit:
                self._at(limit, call, lambda: host.time_out(call))
            return
        answer = FAULTS.get(answer.fault, answer)
        trailers = pairs_of(answer.trailers)
        body, headers = whole(answer.body), answer.all_headers()
        self._at(answer.seconds, call, lambda: host.answer(call, headers, body, trailers, status=answer.status))

    def _asked(self, call: NeighbourCall) -> None:
        """The same for what the double of another filter waits for."""
        double = self._doubles.get(call.cluster)
        if double is None:
            self.later(call.seconds, call.answer)
            return
        answer = FAULTS["refused"] if double.refuses else double.answer(request_of(call.headers, b"", Headers()))
        answer = FAULTS.get(answer.fault, answer)
        body, headers = whole(answer.body), pairs_of(answer.headers)
        self.later(answer.seconds, lambda: call.answer(answer.status, headers, body))

    def _at(self, delay: float, call: HttpCall, event: Callable[[], None]) -> None:
        self.later(delay, lambda: None if call.answered else event())

    def later(self, delay: float, event: Callable[[], object]) -> None:
        """Let something happen after some seconds."""
        heapq.heappush(self._events, (self.after(delay), next(self._numbers), event))
