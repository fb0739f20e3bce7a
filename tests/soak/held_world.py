"""The Envoy of the run `held`: a listener for each chain, mode and class; upstream, and what the neighbours ask."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pwasm.testing import Answer
from pwasm.testing.worlds.authorizer import GrpcAuthorizer
from pwasm.testing.worlds.envoy_filters import enable_trailers, put_into_cluster, wasm_filter
from pwasm.testing.worlds.filters import built_module
from pwasm.testing.worlds.messages import Double, Request
from pwasm.testing.worlds.servers import HttpServer, at_once
from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, bootstrap
from pwasm_compiler.envoy.log import LogRecord
from pwasm_compiler.envoy.process import Envoy

from .chains import neighbours, running
from .held_script import MESSAGES, Script, body, listeners
from .held_wire import Http2Client, Received, receive

PROJECT = Path(__file__).resolve().parents[1] / "projects" / "held"
SECONDS = 12.0
_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_GATE = re.compile(r"gate=(\d+)")
_LUA = """
function envoy_on_request(handle) ask(handle) end
function envoy_on_response(handle) ask(handle) end
function ask(handle)
  local gate = handle:headers():get("x-gate")
  if gate ~= nil and gate ~= "0" then
    local headers = {[":method"] = "GET", [":path"] = "/?gate=" .. gate, [":authority"] = "gate"}
    handle:httpCall("gate", headers, "", 15000)
  end
end
"""


@dataclass
class Exchange:
    """A script that is running, and what has been seen of it."""

    script: Script
    request: Received = field(default_factory=Received)  # by upstream
    response: Received = field(default_factory=Received)  # by the client
    log: list[list[str]] = field(default_factory=list)
    begun: float = 0.0


class HeldWorld:
    """Envoy, with the servers around it."""

    def __init__(self) -> None:
        self.envoy: Envoy
        self.addresses: dict[str, tuple[str, int]] = {}
        self.exchanges: dict[str, Exchange] = {}
        self.problems: list[str] = []
        """What was logged and belongs to no exchange."""
        self._numbers = itertools.count()
        gate = Double(_gate)
        self._gate, self._grpc = HttpServer(gate), GrpcAuthorizer(gate)
        self._upstream = socket.create_server(("127.0.0.1", 0), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    def config(self) -> dict[str, Any]:
        """The bootstrap."""
        module = built_module(PROJECT)
        found, clusters = [], []
        for name, chain, mode, kind in listeners():
            probe = _wasm(module, kind, mode, hold_headers=mode == "headers")
            before, after = _neighbours(chain, module)
            if chain == "upstream":
                clusters.append((name, probe))
                found.append(HttpListener(name=name, routes=[Route(upstream=name)]))
            else:
                found.append(HttpListener([*before, probe, *after], name=name, routes=[Route(upstream="up")]))
        port = self._upstream.getsockname()[1]
        upstreams = [
            Upstream("127.0.0.1", port, "up"),
            *(Upstream("127.0.0.1", port, name) for name, _ in clusters),
            Upstream("127.0.0.1", self._gate.port, "gate"),
            Upstream("127.0.0.1", self._grpc.port, "grpc", http2=True),
        ]
        config = bootstrap(found, upstreams=upstreams)
        enable_trailers(config)
        for name, probe in clusters:
            put_into_cluster(config, name, [probe])
        options = config["static_resources"]["clusters"][-1]["typed_extension_protocol_options"]
        options[_PROTOCOL_OPTIONS]["common_http_protocol_options"] = {"max_requests_per_connection": 1}
        return config

    def attach(self, envoy: Envoy) -> None:
        """Envoy runs."""
        self.envoy, self.addresses = envoy, envoy.listeners()

    def on_log(self, record: LogRecord) -> None:
        """Keep what the filter logs with its exchange."""
        if not record.from_filter:
            if record.level in {"error", "critical"}:
                self.problems.append(record.raw)
            return
        kind, _, rest = record.text.partition(" ")
        number, _, rest = rest.partition(" ")
        exchange = self.exchanges.get(number)
        if kind in {"P", "S", "E"} and exchange is not None:
            exchange.log.append([kind, *rest.split(" ", 3)])
        elif record.level not in {"trace", "debug", "info"}:
            self.problems.append(record.text)

    def close(self) -> None:
        """Stop the servers."""
        self._gate.close()
        self._grpc.close()
        self._upstream.close()

    # --- one stream ---------------------------------------------------------------------------------------------------

    def run(self, script: Script) -> Exchange:
        """Send what a script says, and receive."""
        number = str(next(self._numbers))
        exchange = self.exchanges[number] = Exchange(script, begun=time.time())
        told = script["request"]
        plan = {"id": number, **{message: _plan(script[message]) for message in MESSAGES}}
        fields = [("x-script", json.dumps(plan, separators=(",", ":"))), ("x-gate", str(told["gate"]))]
        path = f"/{number}?gate={told['gate']}"
        client = socket.create_connection(self.addresses[script["listener"]], timeout=SECONDS)
        at_once(client)
        with client:
            if script["client"] == "h2":
                http2 = Http2Client(client)
                reader = threading.Thread(target=http2.receive, args=(exchange.response,), daemon=True)
                reader.start()
                with contextlib.suppress(OSError):
                    _send_http2(http2, script, path, fields)
                reader.join(SECONDS)
            else:
                start = f"{'POST' if told['sizes'] else 'GET'} {path} HTTP/1.1\r\nhost: a\r\n"
                reader = threading.Thread(target=receive, args=(client, exchange.response), daemon=True)
                reader.start()
                with contextlib.suppress(OSError):
                    _send_http1(client, start, script, "request", fields)
                reader.join(SECONDS)
        return exchange

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._upstream.accept()
                at_once(connection)
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(SECONDS)
        with connection, contextlib.suppress(OSError):
            first = connection.recv(65536, socket.MSG_PEEK)
            while first and b"\r\n" not in first:
                first = connection.recv(65536, socket.MSG_PEEK)
            if not first:
                return
            exchange = self.exchanges[first.split(b" ")[1][1:].split(b"?")[0].decode()]
            if exchange.request.head:
                self.problems.append(f"two requests of one: {first!r}")
                return
            receive(connection, exchange.request)
            if exchange.request.complete:
                script = exchange.script
                fields = [("x-gate", str(script["response"]["gate"])), ("connection", "close")]
                _send_http1(connection, "HTTP/1.1 200 OK\r\n", script, "response", fields)


def held_world(executable: Path | None = None) -> AbstractContextManager[HeldWorld]:
    """Envoy with every chain."""
    return running(HeldWorld(), executable)


# --- sending ----------------------------------------------------------------------------------------------------------


def _plan(told: Script) -> Script:
    return {name: told[name] for name in ("decisions", "awaits", "ends", "headers") if told.get(name)}


def _pieces(script: Script, message: str) -> Iterator[tuple[bytes, bool]]:
    """The pieces, each after its gap, and whether the end comes with it; then the end, unless it came."""
    told, data = script[message], body(script, message)
    sizes, gaps = told["sizes"], [*told["gaps"], *[0] * 10]
    for number, size in enumerate(sizes):
        time.sleep(gaps[number] / 1000)
        yield data[:size], bool(told["joined"]) and number == len(sizes) - 1 and told["framing"] != "trailers"
        data = data[size:]
    if not sizes or not told["joined"] or told["framing"] == "trailers":
        time.sleep(gaps[len(sizes)] / 1000)
        yield b"", True


def _send_http1(connection: socket.socket, start: str, script: Script, message: str, fields: Any) -> None:
    told = script[message]
    size = sum(told["sizes"])
    chunked = told["framing"] != "length"
    framing = [("transfer-encoding", "chunked")] if chunked else [("content-length", str(size))]
    if message == "request" and not size:
        framing, chunked = [], False
    head = start + "".join(f"{name}: {value}\r\n" for name, value in [*fields, *framing]) + "\r\n"
    connection.sendall(head.encode())
    for piece, end in _pieces(script, message) if size else ():
        data = b"%x\r\n%s\r\n" % (len(piece), piece) if chunked and piece else piece
        if end and chunked:
            data += b"0\r\n" + (b"x-t: 1\r\n" if told["framing"] == "trailers" else b"") + b"\r\n"
        connection.sendall(data)


def _send_http2(client: Http2Client, script: Script, path: str, fields: Any) -> None:
    told = script["request"]
    size = sum(told["sizes"])
    method = "POST" if size else "GET"
    pairs = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a"), *fields]
    if size and told["framing"] == "length":
        pairs.append(("content-length", str(size)))
    client.headers(pairs, end=not size)
    for piece, end in _pieces(script, "request") if size else ():
        if end and told["framing"] == "trailers":
            client.headers([("x-t", "1")], end=True)
        else:
            client.data(piece, end=end)


# --- the chain --------------------------------------------------------------------------------------------------------


def _gate(request: Request) -> Answer:
    found = _GATE.search(request.path)
    return Answer(200, delay=int(found[1]) / 1000 if found else 0)


def _wasm(module: Path, root_id: str, vm_id: str, *, hold_headers: bool = False) -> Any:
    return wasm_filter(
        module, hold_headers=hold_headers, environment={}, root_id=root_id, vm_id=vm_id, name=f"{vm_id} {root_id}"
    ).to_json()


def _neighbours(chain: str, module: Path) -> tuple[list[Any], list[Any]]:
    made = {
        **neighbours(_LUA),
        "waits": [_wasm(module, "waits", "neighbour")],
        "buffers": [_wasm(module, "buffers", "neighbour")],
    }
    name, _, place = chain.partition("-")
    if place in {"before", "after"}:
        return (made[name], []) if place == "before" else ([], made[name])
    first, _, second = chain.partition("-and-")
    return (made[first], made[second]) if second else ([], [])
