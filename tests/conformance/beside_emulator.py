"""The cases beside other filters, in the emulator."""

from __future__ import annotations

from typing import Any

from pwasm.testing import HostEmulator
from pwasm.testing.emulator.headers import Headers
from pwasm.testing.emulator.side import HttpSide
from pwasm.testing.emulator.steps import plugin_of
from pwasm.testing.worlds.filters import import_filter
from tests.support.paths import PROJECTS

from .beside import perform
from .case import HOST, Case
from .cases.beside import LISTENERS, NEIGHBOURS, PAUSING
from .emulator_world import OPTIONS, EmulatorWorld, answer_headers, upstream_saw


class BesideEmulator(EmulatorWorld):
    """Runs the cases one after another."""

    def options(self, case: Case) -> dict[str, Any]:
        """The neighbour, and what the case's own listener has."""
        kind, name, side = LISTENERS[case.listener]
        neighbour = NEIGHBOURS[name]
        return {**OPTIONS.get(kind, {}), side: (_pausing() if neighbour == PAUSING else neighbour,)}

    def _exchange(
        self, case: Case, host: HostEmulator, calls: list[dict[str, Any]]
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        del calls
        exchange = Emulated(case, host)
        perform(exchange, [exchange], late=case.late)
        stream = exchange.stream
        client = self._client(case, stream) if stream.ended else {"status": None}
        return client, upstream_saw(stream)


class Emulated:
    """An exchange, and the host that has no other at this time."""

    def __init__(self, case: Case, host: HostEmulator) -> None:
        self.case, self.host = case, host
        self.stream = host.open_http_stream()
        self._open = True
        self._responds = False
        self._first_call = len(host.http_calls)

    # --- the host -------------------------------------------------------------------------------------------------

    def set_gate(self, *, open: bool) -> None:
        """Whether neighbours go on."""
        self._open = open

    def rest(self) -> None:
        """Until nothing happens any more."""
        while self._open and self._neighbours_go_on():
            pass

    def _neighbours_go_on(self) -> bool:
        waiting = [call for call in self.host.neighbour_calls if not call.answered]
        for call in waiting:
            call.answer()
        holding = [side for side in self.stream.sides if side is not self.stream and _is_held(side)]
        for side in holding:
            assert isinstance(side.host, HostEmulator)
            side.host.tick()
        return bool(waiting or holding)

    # --- the exchange ---------------------------------------------------------------------------------------------

    def begin(self, direction: str) -> None:
        """Send headers."""
        case, stream = self.case, self.stream
        if direction == "response":
            self._responds = stream.upstream_called and not stream.over_for_upstream
            if self._responds:
                end = not (case.answer.chunks or case.answer.is_chunked)
                stream.send_response_headers(answer_headers(case.answer), status=case.answer.status, end_of_stream=end)
            return
        lines = [pair for pair in case.request_headers() if pair[0] not in {"host", "transfer-encoding"}]
        first = [(":authority", HOST), (":path", case.path), (":method", case.method), (":scheme", "http")]
        headers = Headers([*first, *lines, ("x-forwarded-proto", "http")])
        stream.send_request_headers(headers, end_of_stream=case.chunks is None and not case.body)

    def send(self, direction: str, piece: bytes, *, last: bool) -> None:
        """Send a piece."""
        stream = self.stream
        if direction == "response":
            if self._responds:
                _send(stream.send_response_body, stream.send_response_trailers, piece, last, self.case.answer.trailers)
        else:
            _send(stream.send_request_body, stream.send_request_trailers, piece, last, self.case.trailers)

    def answer(self) -> bool:
        """Answer the filter's oldest callout."""
        call = next((call for call in self.host.http_calls if not call.answered), None)
        if call is None:
            return False
        self.host.answer(call, [*CALLED], b"hello upstream")
        return True


CALLED = (("content-length", "14"), ("x-envoy-upstream-service-time", "0"))


def _send(body: Any, trailers: Any, piece: bytes, last: bool, trailing: Any) -> None:
    if piece:
        body(piece)
    if last and trailing:
        trailers(trailing)
    elif last:
        body(b"", end_of_stream=True)


def _is_held(side: HttpSide) -> bool:
    return any(flow.is_held for flow in side.flows)


def _pausing() -> HostEmulator:
    registration = import_filter(PROJECTS / PAUSING)
    return HostEmulator(plugin=lambda host: plugin_of(registration, host))
