"""The worlds of `test_chains.py`: the emulator and Envoy, with other filters around the probe.

The neighbours' cluster, "gate", answers when the case says so: after a piece of the body has passed the filter. Before
and after that everything comes to rest; in Envoy, whose only worker then serves a few other requests.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pwasm.testing import HostEmulator, HttpStream
from pwasm.testing.emulator.headers import Headers
from pwasm.testing.worlds.envoy_filters import filters_of, upstream_options
from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, WasmFilter, bootstrap
from tests.support.http1 import chunk, last_chunk

from .case import HOST, VM_CONFIGURATION, Answer, Case
from .cases.chains import CLUSTER, NEIGHBOURS
from .emulator_world import EmulatorWorld, answer_headers, upstream_saw
from .envoy_world import ROUTES, SECONDS, World, prepare, serving
from .observe import Outcome
from .wire import read_all, read_request

_IDLE = b"GET / HTTP/1.1\r\nhost: idle\r\nconnection: close\r\n\r\n"
_TURNS = 3
_CONNECTED = "cluster.connecting.upstream_rq_total"
"""The requests that have got a connection."""
_ASKED = f"cluster.{CLUSTER}.upstream_cx_total"
"""Each question of a neighbour has a connection of its own."""


class ChainEmulator(EmulatorWorld):
    """The cases in the emulator, each in a host of its own."""

    def options(self, case: Case) -> dict[str, Any]:
        """The filters around the probe."""
        return NEIGHBOURS[case.listener]

    def _exchange(
        self, case: Case, host: HostEmulator, calls: list[dict[str, Any]]
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        stream = host.open_http_stream()
        first = [(":authority", HOST), (":path", case.path), (":method", case.method), (":scheme", "http")]
        lines = [pair for pair in case.request_headers() if pair[0] not in {"host", "transfer-encoding"}]
        headers = Headers([*first, *lines, ("x-forwarded-proto", "http")])
        stream.send_request_headers(headers, end_of_stream=case.chunks is None)
        self._rest(case, host, None if case.chunks is None else 0)
        if case.chunks is not None:
            self._pieces(case, host, case.chunks, stream.send_request_body)
            if case.trailers:
                stream.send_request_trailers(case.trailers)
            else:
                stream.send_request_body(b"", end_of_stream=True)
            self._rest(case, host, len(case.chunks))
        if stream.upstream_called:
            self._respond(case, host, stream)
        return self._client(case, stream), upstream_saw(stream)

    def _respond(self, case: Case, host: HostEmulator, stream: HttpStream) -> None:
        answer, one = case.answer, case.chunks is None
        pieces = answer.chunks or ()
        stream.send_response_headers(answer_headers(answer), status=answer.status)
        self._rest(case, host, 0 if one else None)
        self._pieces(case, host, pieces, stream.send_response_body)
        if answer.trailers:
            stream.send_response_trailers(answer.trailers)
        else:
            stream.send_response_body(b"", end_of_stream=True)
        self._rest(case, host, len(pieces) if one else None)

    def _pieces(self, case: Case, host: HostEmulator, pieces: Sequence[bytes], send: Any) -> None:
        for number, piece in enumerate(pieces, 1):
            send(piece)
            if number < len(pieces):
                self._rest(case, host, number)

    @staticmethod
    def _rest(case: Case, host: HostEmulator, pieces: int | None) -> None:
        """What happens when so many pieces have passed: the neighbours' calls are answered, the tick comes."""
        if case.answer_after is not None and (pieces is None or pieces < case.answer_after):
            return
        while waiting := [call for call in host.neighbour_calls if not call.answered]:
            for call in waiting:
                call.answer()
        if case.ticks and pieces == case.answer_after:
            host.tick()


class ChainWorld(World):
    """The cases in Envoy."""

    def __init__(self) -> None:
        super().__init__()
        self._open = threading.Event()
        self._answered = 0
        self._connecting = 0
        gate = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._servers.append(gate)
        self.ports.append(gate.getsockname()[1])
        threading.Thread(target=self._accept, args=(gate, self._gate), daemon=True).start()

    def run(self, case: Case) -> Outcome:
        """Run one case to its end."""
        self._open.clear()
        if case.answer_after is None:
            self._open.set()
        self._connecting += case.listener == "connecting"
        return super().run(case)

    def _gate(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            if read_request(stream) is not None:
                self._open.wait(SECONDS)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                self._answered += 1

    def _before_sending(self, client: socket.socket) -> None:
        """The first piece comes with the headers: on loopback upstream's connection is ready very soon."""
        if self.case.listener == "connecting":
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)

    def _send_chunks(self, connection: socket.socket, chunks: Sequence[bytes] | None, trailers: Any, part: str) -> None:
        for number, piece in enumerate(chunks or (), 1):
            last = number == len(chunks or ())
            connection.sendall(chunk(piece) + (last_chunk(trailers or (), "latin-1") if last else b""))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            if part.startswith("response") and self.case.chunks is not None:
                continue  # the case is about the request
            self._idle()
            if number == self.case.answer_after:
                self._open.set()
                self._wait_for_answers(self.envoy.stats(_ASKED).get(_ASKED, 0))
                if self.case.listener == "connecting":
                    self.until(self._is_connected, "the connection to upstream")
                if self.case.ticks:
                    self.wait_for("tick")
                self._idle()

    def _answer(self, connection: socket.socket, answer: Answer, head: bool, part: str) -> None:
        if self.case.ticks and self.case.chunks is not None:
            self.wait_for("tick")
        super()._answer(connection, answer, head, part)

    def _is_connected(self) -> bool:
        return self.envoy.stats(_CONNECTED).get(_CONNECTED, 0) >= self._connecting

    def _wait_for_answers(self, asked: int) -> None:
        self.until(lambda: self._answered >= asked, "the neighbour's answer")

    def _idle(self) -> None:
        """Come to rest: the worker has served others since."""
        for _ in range(_TURNS):
            with socket.create_connection(self.addresses["idle"], timeout=SECONDS) as client:
                client.sendall(_IDLE)
                assert b" 200 " in read_all(client)


@contextmanager
def chain_world(module: Path, cases: Sequence[Case]) -> Iterator[ChainWorld]:
    """Envoy with a chain for each listener."""
    world = ChainWorld()
    scripts = {case.id: case.script for case in cases}

    def chain(options: dict[str, Any]) -> list[Any]:
        flag = options.get("allow_on_headers_stop_iteration")
        configuration = json.dumps({"case": "", "scripts": scripts})
        # Envoy 1.36.4 has the option for a VM, so those that have it share none with the others.
        probe = WasmFilter(
            module,
            vm_id="probe-flag" if flag else "probe",
            configuration=configuration,
            vm_configuration=VM_CONFIGURATION,
            allow_on_headers_stop_iteration=flag,
        )
        before, after = (filters_of(options.get(side, ())) for side in ("before", "after"))
        return [*before, probe.to_json(), *after]

    listeners = [
        HttpListener(name=name, routes=(Route(upstream="connecting"),))
        if options.get("upstream_filter")
        else HttpListener(chain(options), name=name, routes=ROUTES)
        for name, options in {"plain": {}, **NEIGHBOURS}.items()
    ]
    upstream, _, _, gate = world.ports
    clusters = [
        Upstream("127.0.0.1", upstream),
        Upstream("127.0.0.1", upstream, name="connecting"),
        Upstream("127.0.0.1", gate, name=CLUSTER),
    ]
    config = bootstrap([*listeners, HttpListener(name="idle", routes=[Route()])], upstreams=clusters)
    prepare(config)
    for cluster in config["static_resources"]["clusters"]:
        if cluster["name"] == "connecting":
            cluster["typed_extension_protocol_options"] = upstream_options(chain(NEIGHBOURS["connecting"]))
        if cluster["name"] == CLUSTER:
            del cluster["typed_extension_protocol_options"]
    with serving(config, world):
        yield world
