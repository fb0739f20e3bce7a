"""The cases beside other filters, in one Envoy: many at a time, step by step; between two steps its worker rests."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pwasm.testing.worlds.authorizer import GrpcAuthorizer
from pwasm.testing.worlds.envoy_filters import filters_of
from pwasm.testing.worlds.messages import Answer as DoubleAnswer
from pwasm.testing.worlds.messages import Double
from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, WasmFilter, bootstrap
from tests.support.http1 import chunk, last_chunk, lines, read

from .beside import perform
from .case import LIMIT, VM_CONFIGURATION, Case
from .cases.beside import AUTHORIZER, CLUSTER, LISTENERS, NEIGHBOURS, PAUSING
from .envoy_world import ROUTES, SECONDS, World, prepare, serving
from .observe import Outcome, outcome
from .wire import message, read_all, shown

TOGETHER = 160
"""Exchanges that take their steps at the same time."""
_TURNS = 2
_RESET = struct.pack("ii", 1, 0)
_HELD = "wasmcustom.pausing_held"
_ASKED = (CLUSTER, AUTHORIZER)
_STATS = quote(
    rf"^cluster\.({CLUSTER}|{AUTHORIZER}|web|upstream)\.upstream_(rq_active|rq_pending_active|cx_total|cx_tx_bytes_total)$"
    rf"|^{_HELD}$"
)


class InEnvoy:
    """An exchange."""

    def __init__(self, world: BesideWorld, case: Case) -> None:
        self.world, self.case = world, case
        self.client = socket.create_connection(world.addresses[case.listener], timeout=SECONDS)
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.upstream: socket.socket | None = None
        """The connection on which upstream has got the whole request."""
        self.received = b""
        self._responds = False

    def begin(self, direction: str) -> None:
        """Send headers."""
        case = self.case
        if direction == "request":
            pairs = [*case.request_headers(), ("connection", "close")]
            self._write(self.client, f"{case.method} {case.path} HTTP/{case.version}\r\n", pairs)
            return
        self._responds = self.upstream is not None
        if self.upstream is not None:
            answer = case.answer
            pairs = list(answer.headers)
            if answer.is_chunked:
                pairs.append(("transfer-encoding", "chunked"))
            else:
                pairs.append(("content-length", str(sum(map(len, answer.chunks or ())))))
            self._write(self.upstream, f"HTTP/1.1 {answer.status} X\r\n", pairs)

    @staticmethod
    def _write(connection: socket.socket, start: str, pairs: Sequence[tuple[str, str]]) -> None:
        with contextlib.suppress(ConnectionError):
            connection.sendall(start.encode() + lines(pairs, "latin-1") + b"\r\n")

    def send(self, direction: str, piece: bytes, *, last: bool) -> None:
        """Send a piece."""
        request = direction == "request"
        connection = self.client if request else self.upstream
        if connection is None or not (request or self._responds):
            return
        chunked, trailers = (
            (self.case.chunks is not None, self.case.trailers)
            if request
            else (self.case.answer.is_chunked, self.case.answer.trailers)
        )
        data = chunk(piece) + (last_chunk(trailers or (), "latin-1") if last else b"") if chunked else piece
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)

    def answer(self) -> bool:
        """Answer the filter's oldest callout."""
        return self.world.answer_call(self.case.id)

    def got(self) -> dict[str, Any]:
        """What the client got; no status if it waits in vain for the end."""
        self.client.settimeout(0)
        try:
            return message(read_all(self.client))
        except BlockingIOError:
            return {"status": None}

    def leave(self) -> None:
        """The client goes away."""
        with self.client:
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def requests(self) -> list[dict[str, Any]]:
        """What upstream got, if it is a whole request."""
        if self.upstream is None:
            return []
        stream = io.BytesIO(self.received)
        found = read(stream, is_request=True)
        rest = stream.read().decode("latin-1")
        return [{"start": found.start.decode("latin-1").strip(), **shown(found), "rest": rest}]


class BesideWorld(World):
    """A running Envoy with its servers and clients."""

    def __init__(self) -> None:
        super().__init__()
        self._open = threading.Event()
        self._exchanges: dict[str, InEnvoy] = {}
        self._waiting: dict[str, list[socket.socket]] = {}
        self._called = self._received = self._barriers = 0
        gate = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._servers.append(gate)
        self.authorizer = Authorizer(Double(DoubleAnswer()), self._open)
        self.ports += [gate.getsockname()[1], self.authorizer.port]
        threading.Thread(target=self._accept, args=(gate, self._gate), daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        super().close()
        self.authorizer.close()

    def run_all(self, cases: Sequence[Case]) -> dict[str, Outcome]:
        """Every case's outcome."""
        found: dict[str, Outcome] = {}
        for late in (False, True):
            some = [case for case in cases if case.late == late]
            for first in range(0, len(some), TOGETHER):
                found |= self._run_together(some[first : first + TOGETHER], late=late)
        return found

    def _run_together(self, cases: Sequence[Case], *, late: bool) -> dict[str, Outcome]:
        self._exchanges = {case.id: InEnvoy(self, case) for case in cases}
        perform(self, list(self._exchanges.values()), late=late)
        clients = {name: one.got() for name, one in self._exchanges.items()}
        logs = self._logs()
        for one in self._exchanges.values():
            one.leave()
        self.rest()
        return {
            name: outcome(logs.get(name, ()), clients[name], one.requests(), ())
            for name, one in self._exchanges.items()
        }

    def _logs(self) -> Mapping[str, list[tuple[int, str]]]:
        """Since the last time: what the worker has logged of each case."""
        self._barriers += 1
        name = f"barrier-{self._barriers}"
        start = self.start
        self._ask("barrier", ("x-case", name))
        end = "@" + json.dumps({"case": name, "callback": "delete"})[:-1]
        self.until(lambda: any(text.startswith(end) for _, text in self.log.entries[start:]), "the barrier")
        self.start = len(self.log.entries)
        found: dict[str, list[tuple[int, str]]] = {}
        for level, text in self.log.entries[start:]:
            assert text.startswith("@{"), text
            found.setdefault(json.loads(text[1:])["case"], []).append((level, text))
        return found

    # --- the worker -----------------------------------------------------------------------------------------------

    def set_gate(self, *, open: bool) -> None:
        """Whether neighbours go on."""
        (self._open.set if open else self._open.clear)()
        self._ask("control", ("x-gate", "open" if open else "closed"))

    def rest(self) -> None:
        """Until the worker has served others twice, and nothing has changed between."""
        before: dict[str, int] = {}

        def is_at_rest() -> bool:
            nonlocal before
            for _ in range(_TURNS):
                self._ask("idle")
            last, before = before, self._stats()
            return last == before and self._nothing_is_on_its_way(before)

        self.until(is_at_rest, "rest")

    def _nothing_is_on_its_way(self, stats: Mapping[str, int]) -> bool:
        def of(cluster: str, name: str) -> int:
            return stats.get(f"cluster.{cluster}.upstream_{name}", 0)

        return (
            of("web", "cx_total") == self._called
            and of("upstream", "cx_tx_bytes_total") == self._received
            and not any(of(cluster, "rq_pending_active") for cluster in ("web", "upstream"))
            and not (self._open.is_set() and (stats.get(_HELD) or any(of(name, "rq_active") for name in _ASKED)))
        )

    def _stats(self) -> dict[str, int]:
        stats = json.loads(self.envoy.admin(f"/stats?format=json&filter={_STATS}"))["stats"]
        return {stat["name"]: stat["value"] for stat in stats if "name" in stat}

    def _ask(self, listener: str, *pairs: tuple[str, str]) -> None:
        with socket.create_connection(self.addresses[listener], timeout=SECONDS) as client:
            client.sendall(b"GET / HTTP/1.1\r\n" + lines([("host", "a"), ("connection", "close"), *pairs]) + b"\r\n")
            assert b" 200 " in read_all(client)

    # --- the servers ----------------------------------------------------------------------------------------------

    def answer_call(self, name: str) -> bool:
        """Answer the oldest callout of a case."""
        waiting = self._waiting.get(name)
        if not waiting:
            return False
        with waiting.pop(0) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\nhello upstream")
        return True

    def _guarded(self, serve: Any, connection: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            serve(connection)

    def _gate(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            if read(stream, is_request=True).start:
                self._open.wait(SECONDS)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    def _callee(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            start = read(stream, is_request=True).start
        name = start.decode().split()[1].removeprefix("/")
        with self._lock:
            self._waiting.setdefault(name, []).append(connection)
            self._called += 1

    def _upstream(self, connection: socket.socket) -> None:
        one: InEnvoy | None = None
        data = b""
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while piece := connection.recv(65536):
                data += piece
                one = one or self._whose(data)
                if one is not None:
                    one.received = data
                    if one.upstream is None and _is_whole(data):
                        one.upstream = connection
                with self._lock:
                    self._received += len(piece)

    def _whose(self, data: bytes) -> InEnvoy | None:
        """The exchange of a request."""
        name = next(iter(read(io.BytesIO(data), is_request=True).all("x-case")), b"")
        return self._exchanges.get(name.decode())


def _is_whole(data: bytes) -> bool:
    return b"\r\n\r\n" in data and read(io.BytesIO(data), is_request=True).complete


class Authorizer(GrpcAuthorizer):
    """Decides when the gate is open."""

    def __init__(self, double: Double, opened: threading.Event) -> None:
        self._opened = opened
        super().__init__(double)

    def _check(self, connection: socket.socket, number: int, message: bytes) -> bool:
        self._opened.wait(SECONDS)
        return super()._check(connection, number, message)


# --- Envoy ------------------------------------------------------------------------------------------------------------


@contextmanager
def beside_world(probe: Path, pausing: Path, cases: Sequence[Case]) -> Iterator[BesideWorld]:
    """Envoy with a listener for each chain."""
    world = BesideWorld()
    other = WasmFilter(pausing, vm_id=PAUSING).to_json()

    def chain(listener: str) -> list[Any]:
        kind, name, side = LISTENERS[listener]
        held = (
            {"vm_id": "probe-flag", "allow_on_headers_stop_iteration": True} if kind == "flag" else {"vm_id": "probe"}
        )
        scripts = {case.id: case.script for case in cases if case.listener == listener}
        configuration = json.dumps({"case": "", "scripts": scripts})
        one = WasmFilter(probe, configuration=configuration, vm_configuration=VM_CONFIGURATION, **held).to_json()
        neighbour = [other] if NEIGHBOURS[name] == PAUSING else filters_of([NEIGHBOURS[name]])
        return [*neighbour, one] if side == "before" else [one, *neighbour]

    barrier = WasmFilter(probe, vm_id="probe", vm_configuration=VM_CONFIGURATION).to_json()
    listeners = [
        *(HttpListener(chain(name), name=name, routes=ROUTES) for name in LISTENERS),
        HttpListener([barrier], name="barrier", routes=[Route()]),
        HttpListener([other], name="control", routes=[Route()]),
        HttpListener(name="idle", routes=[Route()]),
    ]
    names = ("upstream", "web", "echo", CLUSTER)
    clusters = [Upstream("127.0.0.1", port, name=name) for name, port in zip(names, world.ports, strict=False)]
    config = bootstrap(listeners, upstreams=clusters)
    prepare(config)
    authorizer = Upstream("127.0.0.1", world.authorizer.port, name=AUTHORIZER, http2=True)
    config["static_resources"]["clusters"].append(authorizer.to_json())
    for listener in config["static_resources"]["listeners"]:
        if listener["name"].startswith("limited-"):
            listener["per_connection_buffer_limit_bytes"] = LIMIT
    with serving(config, world):
        yield world
