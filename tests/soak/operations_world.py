"""The Envoy of the run `operations`, with two workers: a listener for each chain, mode and class; the servers."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import socket
import struct
import threading
import time
import zlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pwasm.testing import Answer
from pwasm.testing.worlds.authorizer import GrpcAuthorizer
from pwasm.testing.worlds.envoy_filters import enable_trailers, wasm_filter
from pwasm.testing.worlds.filters import built_module
from pwasm.testing.worlds.messages import Double
from pwasm.testing.worlds.servers import HttpServer, at_once, refusing_port
from pwasm_compiler.envoy.config import HttpListener, Route, TcpListener, Upstream, bootstrap
from pwasm_compiler.envoy.log import LogRecord
from pwasm_compiler.envoy.process import Envoy

from .chains import neighbours, running
from .operations_script import CHAINS, KINDS, MODES, Script

PROJECT = Path(__file__).resolve().parents[1] / "projects" / "operations"
WORKERS = 2
_MS = 400
"""How long a client waits unless its script says otherwise: many scripts hold their stream for ever."""
_RESET = struct.pack("ii", 1, 0)
_FATAL = ("in-VM backtrace", "Uncaught", "could not be handled", "is a bug in pwasm")
_LUA = """
function envoy_on_request(handle) ask(handle) end
function envoy_on_response(handle) ask(handle) end
function ask(handle)
  handle:httpCall("gate", {[":method"] = "GET", [":path"] = "/", [":authority"] = "gate"}, "", 1000)
end
"""
_UNTOLD: Script = {"pieces": [], "gaps": [0] * 4, "framing": "length", "leaves": None, "status": 200}


class OperationsWorld:
    """Envoy, with the servers around it."""

    def __init__(self) -> None:
        self.envoy: Envoy
        self.addresses: dict[str, tuple[str, int]] = {}
        self.problems: list[str] = []
        self.scripts: dict[str, Script] = {}
        self._numbers = itertools.count(1)
        gate = Double(lambda _: Answer(200))
        self._gate, self._grpc = HttpServer(gate), GrpcAuthorizer(gate)
        self._upstream = socket.create_server(("127.0.0.1", 0), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    def config(self) -> dict[str, Any]:
        """The bootstrap."""
        module = built_module(PROJECT)
        bombs = dict.fromkeys(MODES, base64.b64encode(zlib.compress(bytes(260_000_000), 1)).decode())

        def plugin(root_id: str, mode: str, *, name: str = "", kind: str = "http") -> Any:
            return wasm_filter(
                module,
                hold_headers=mode == "headers",
                environment={},
                root_id=root_id,
                vm_id=mode,
                name=f"{mode} {root_id} {name}",
                configuration={"bomb": bombs.pop(mode)} if mode in bombs else {},
                kind=kind,
            )

        found: list[Any] = [TcpListener([plugin("tcp", "drain", kind="tcp")], name="tcp", upstream="up")]
        for chain, mode, root_id in itertools.product(CHAINS, MODES, KINDS):
            before, after = _neighbours(chain)
            again = [plugin(root_id, mode, name="again")] if chain == "twice" else []
            filters = [*before, plugin(root_id, mode), *again, *after]
            found.append(HttpListener(filters, name=f"{chain}|{mode}|{root_id}", routes=[Route(upstream="up")]))
        port = self._upstream.getsockname()[1]
        upstreams = [
            Upstream("127.0.0.1", port, "up"),
            *(Upstream("127.0.0.1", self._gate.port, name) for name in ("gate", "users", "h1", "inventory")),
            Upstream("127.0.0.1", self._grpc.port, "grpc", http2=True),
            Upstream("127.0.0.1", refusing_port(), "refusing"),
        ]
        config = bootstrap(found, upstreams=upstreams)
        enable_trailers(config)
        return config

    def attach(self, envoy: Envoy) -> None:
        """Envoy runs."""
        self.envoy, self.addresses = envoy, envoy.listeners()

    def on_log(self, record: LogRecord) -> None:
        """Look for what must not happen."""
        if any(text in record.raw for text in _FATAL):
            self.problems.append(record.raw[:500])

    def close(self) -> None:
        """Stop the servers."""
        for server in (self._gate, self._grpc, self._upstream):
            server.close()

    # --- one stream ---------------------------------------------------------------------------------------------------

    def run(self, script: Script) -> None:
        """Be the client of one stream; what it receives does not matter."""
        number, seconds = str(next(self._numbers)), script["client"].get("waits", _MS) / 1000
        self.scripts[number] = script
        with (
            contextlib.suppress(OSError),
            socket.create_connection(self.addresses[script["listener"]], timeout=seconds) as client,
        ):
            at_once(client)
            tcp = script["listener"] == "tcp"
            text = json.dumps(script["do"] | ({"number": number} if tcp else {}), separators=(",", ":"))
            if tcp:
                _send(client, (text + "\n").encode(), script["client"], tcp=True)
            else:
                start = f"{'POST' if script['client']['pieces'] else 'GET'} /{number} HTTP/1.1\r\nhost: a\r\n"
                _send(client, f"{start}x-script: {text}\r\n".encode(), script["client"])
            deadline = time.monotonic() + seconds
            while client.recv(65536) and time.monotonic() < deadline:
                pass
        self.scripts.pop(number, None)

    def asks(self) -> bool:
        """Whether a request without a script is served, by each worker in all likelihood.

        It may be asked for again: on a busy machine the upstream, a thread of this process, can be late.
        """
        return all(any(self._is_served(attempt) for attempt in range(3)) for _ in range(4 * WORKERS))

    def _is_served(self, attempt: int) -> bool:
        time.sleep(attempt)
        with socket.create_connection(self.addresses["alone|drain|http"], timeout=15) as client:
            client.sendall(b"GET /0 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            return b" 200 " in client.recv(65536).partition(b"\r\n")[0]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._upstream.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(1)
        with connection, contextlib.suppress(OSError):
            at_once(connection)
            told, tcp = self._told(connection.recv(65536))
            time.sleep(told.get("begins", 0) / 1000)
            start = b"HTTP/1.1 %d OK\r\nconnection: close\r\n" % told["status"]
            _send(connection, b"hello" if tcp else start, told, tcp=tcp)
            while connection.recv(65536):
                pass

    def _told(self, first: bytes) -> tuple[Script, bool]:
        """What upstream does with a stream that begins so, and whether it is TCP; a filter may have edited it."""
        with contextlib.suppress(ValueError, LookupError, TypeError):
            if first.startswith(b"{"):
                return self.scripts[json.loads(first.partition(b"\n")[0])["number"]]["upstream"], True
            return self.scripts[first.split(b" ")[1][1:].decode("latin-1")]["upstream"], False
        return _UNTOLD, False


def _send(connection: socket.socket, start: bytes, told: Script, *, tcp: bool = False) -> None:
    """Send a message, piece by piece, and leave in the middle if the script says so."""
    size, chunked = sum(told["pieces"]), told["framing"] != "length" and bool(told["pieces"])
    if tcp:
        connection.sendall(start)
    else:
        length = b"transfer-encoding: chunked\r\n" if chunked else b"content-length: %d\r\n" % size
        connection.sendall(start + length + b"\r\n")
    for at, count in enumerate(told["pieces"]):
        time.sleep(told["gaps"][at] / 1000)
        if told["leaves"] == at:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            connection.close()
            return
        data = bytes(97 + number % 26 for number in range(count))
        connection.sendall(b"%x\r\n%s\r\n" % (count, data) if chunked and not tcp else data)
    time.sleep(told["gaps"][3] / 1000)
    if chunked and not tcp:
        connection.sendall(b"0\r\n" + (b"x-t: 1\r\n" if told["framing"] == "trailers" else b"") + b"\r\n")
    elif tcp and told["framing"] == "chunked":
        connection.shutdown(socket.SHUT_WR)


def operations_world(
    executable: Path | None = None, *, workers: int = WORKERS
) -> AbstractContextManager[OperationsWorld]:
    """Envoy with every chain."""
    return running(OperationsWorld(), executable, workers=workers)


def _neighbours(chain: str) -> tuple[list[Any], list[Any]]:
    made = neighbours(_LUA)
    name, _, place = chain.partition("-")
    if not place:
        return [], []
    return (made[name], []) if place == "before" else ([], made[name])
