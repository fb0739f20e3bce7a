"""The cases in a real Envoy: one process, one client, one upstream, one case after the other."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pwasm.testing.worlds.servers import refusing_port
from pwasm_compiler.envoy.config import HttpListener, Route, TcpListener, Upstream, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy
from tests.support.http1 import chunk, last_chunk, lines

from .case import LIMIT, VM_CONFIGURATION, Answer, Case
from .observe import Called, Outcome, log_entry, outcome
from .wire import message, read_all, read_request

SECONDS = 15.0
BARRIER = Case("barrier")
_LINE = re.compile(rb"\[\d{4}-[^\]]*\]\[\d+\]\[([a-z]+)\]\[(\w+)\] \[[^\]]*\] (.*)", re.DOTALL)
_FILTER = re.compile(r"wasm log(?: .*?)?: (.*)", re.DOTALL)
_LEVELS = {"trace": 0, "debug": 1, "info": 2, "warning": 3, "error": 4, "critical": 5}


def _of_the_barrier(callback: str) -> str:
    """How the probe's line about the barrier begins."""
    return "@" + json.dumps({"case": BARRIER.id, "callback": callback})[:-1]


class Log:
    """Envoy's log file, read as it grows: what the filter logged."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._rest = path, 0, b""
        self.entries: list[tuple[int, str]] = []
        self._of_filter = False

    def read(self) -> None:
        """Read the new records."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            match = _LINE.fullmatch(line)
            if match is None:
                if self._of_filter:
                    level, text = self.entries[-1]
                    self.entries[-1] = level, f"{text}\n{line.decode('latin-1')}"
                continue
            said = _FILTER.fullmatch(match[3].decode("latin-1"))
            self._of_filter = match[2] == b"wasm" and said is not None
            if self._of_filter and said is not None:
                self.entries.append((_LEVELS[match[1].decode()], said[1]))

    def count(self, start: int, part: str) -> int:
        """How often a callback was logged since entry `start`."""
        entries = map(log_entry, self.entries[start:])
        return sum(isinstance(entry, Called) and entry.callback == part for entry in entries)


class World:
    """A running Envoy with its servers and clients."""

    def __init__(self) -> None:
        self.case = Case("none")
        self.start = 0
        self.requests: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.busy = 0
        self.outcomes: dict[str, Outcome] = {}
        self._call_number = 0
        self._together: list[socket.socket] = []
        self._lock = threading.Condition()
        self._servers = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(3)]
        self.ports = [server.getsockname()[1] for server in self._servers]
        for server, serve in zip(self._servers, (self._upstream, self._callee, self._echo), strict=True):
            threading.Thread(target=self._accept, args=(server, serve), daemon=True).start()

    def attach(self, envoy: Envoy) -> None:
        """Use this Envoy."""
        self.envoy = envoy
        self.log = Log(envoy.log_path)
        self.addresses = envoy.listeners()

    def close(self) -> None:
        """Accept no more."""
        for server in self._servers:
            server.close()

    # --- a case ---------------------------------------------------------------------------------------------------

    def run(self, case: Case) -> Outcome:
        """Run one case to its end."""
        if case.tcp:
            self._announce(case)
        self.log.read()
        self.case, self.start = case, len(self.log.entries)
        self.requests, self.calls, self._call_number, self._together = [], [], 0, []
        client = self._tcp_client() if case.tcp else self._http_client()
        if not case.no_stream:
            self.wait_for("delete")
        for part in sorted(set(case.wait)):
            self.wait_for(part, list(case.wait).count(part))
        self.until(lambda: self.busy == 0, "the end of upstream's connections")
        entries = self._up_to_now()
        return outcome(entries, client, self.requests, self.calls, case.ignore)

    def ask(self, case: Case) -> dict[str, Any]:
        """Only the client's side of an HTTP case, from which Envoy may not come back."""
        self.case, self.start = case, len(self.log.entries)
        self.requests, self.calls, self._call_number, self._together = [], [], 0, []
        with contextlib.suppress(ConnectionError):
            return self._http_client()
        return {}

    def _announce(self, case: Case) -> None:
        """The next TCP connection is this case's."""
        self.case, self.start = Case("barrier", headers=[("x-next", case.id)]), len(self.log.entries)
        self._http_client()
        self.wait_for("delete")

    def _up_to_now(self) -> list[tuple[int, str]]:
        """What the worker has logged, to the end: another request has passed it since."""
        upstream, calls = self.requests, self.calls
        self.requests, case, self.case = [], self.case, BARRIER
        self._http_client()
        end = _of_the_barrier("delete")
        self.until(lambda: any(text.startswith(end) for _, text in self.log.entries[self.start :]), "the barrier")
        self.requests, self.calls, self.case = upstream, calls, case
        entries = self.log.entries[self.start :]
        begin = _of_the_barrier("request_headers")
        first = next(place for place, (_, text) in enumerate(entries) if text.startswith(begin))
        return entries[:first]

    def wait_for(self, part: str, count: int = 1) -> None:
        """Until a callback was logged that often."""
        self.until(lambda: self.log.count(self.start, part) >= count, f"{count} × {part}")

    def until(self, ready: Callable[[], bool], what: str) -> None:
        """Until something is so."""
        deadline = time.monotonic() + SECONDS
        while True:
            with self._lock:
                self.log.read()
            if ready():
                return
            self.envoy.check_alive()
            assert time.monotonic() < deadline, f"{self.case.id}: {what} did not come: {self.log.entries[self.start :]}"
            time.sleep(0.002)

    def _http_client(self) -> dict[str, Any]:
        case = self.case
        with socket.create_connection(self.addresses[case.listener], timeout=SECONDS) as client:
            pairs = [*case.request_headers(), ("connection", "close")]
            data = (
                f"{case.method} {case.path} HTTP/{case.version}\r\n".encode("latin-1")
                + lines(pairs, "latin-1")
                + b"\r\n"
            )
            self._before_sending(client)
            with contextlib.suppress(ConnectionError):
                client.sendall(data + (case.body or b""))
                self._send_chunks(client, case.chunks, case.trailers, "request_body")
            if case.abort_after:
                self.wait_for(case.abort_after)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return {"aborted": True}
            return message(read_all(client), head=case.method == "HEAD")

    def _before_sending(self, client: socket.socket) -> None:
        """A client has connected."""

    def _send_chunks(self, connection: socket.socket, chunks: Sequence[bytes] | None, trailers: Any, part: str) -> None:
        if chunks is None:
            return
        for number, piece in enumerate(chunks):
            last = number == len(chunks) - 1
            connection.sendall(chunk(piece) + (last_chunk(trailers or (), "latin-1") if last else b""))
            if not last:
                self.wait_for(part, number + 1)
        if not chunks:
            connection.sendall(last_chunk(trailers or (), "latin-1"))

    def _tcp_client(self) -> dict[str, Any]:
        got = b""
        with socket.create_connection(self.addresses["tcp"], timeout=SECONDS) as client:
            for step, data in self.case.tcp:
                if step == "send":
                    client.sendall(data.encode("latin-1"))
                elif step == "finish":
                    client.shutdown(socket.SHUT_WR)
                elif step == "await":
                    self.wait_for(data)
                elif step == "read":
                    while len(got) < int(data):
                        got += client.recv(65536)
            return {"body": (got + read_all(client)).decode("latin-1")}

    # --- the servers ----------------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._guarded, args=(serve, connection), daemon=True).start()

    def _guarded(self, serve: Callable[[socket.socket], None], connection: socket.socket) -> None:
        # Envoy may open a connection and use it for a later case: it counts from its first byte.
        with contextlib.suppress(ConnectionError):
            connection.recv(1, socket.MSG_PEEK)
        with self._lock:
            self.busy += 1
        try:
            connection.settimeout(SECONDS)
            with connection, contextlib.suppress(ConnectionError, TimeoutError):
                serve(connection)
        except AssertionError:
            pass  # the client's side says so, too
        finally:
            with self._lock:
                self.busy -= 1

    def _upstream(self, connection: socket.socket) -> None:
        seen = self.requests
        with connection.makefile("rb") as stream:
            request = read_request(stream)
            if request is None:
                return
            seen.append(request)
            self._answer(connection, self.case.answer, request["start"].startswith("HEAD "), "response_body")
            request["rest"] = stream.read().decode("latin-1")

    def _callee(self, connection: socket.socket) -> None:
        seen, case = self.calls, self.case
        with connection.makefile("rb") as stream:
            request = read_request(stream)
            if request is None:
                return
            with self._lock:
                seen.append(request)
                number = self._call_number
                self._call_number += 1
            if case.one_turn:
                self._answer_together(connection, case)
            elif number < len(case.calls):
                self.wait_for("http_call_response", number)
                self._answer(connection, case.calls[number], False, "")
            stream.read()

    def _answer_together(self, connection: socket.socket, case: Case) -> None:
        """When all calls are there, answer them while Envoy is stopped: it finds all answers in one turn."""
        with self._lock:
            self._together.append(connection)
            if len(self._together) < len(case.calls):
                return
        self.envoy.kill(signal.SIGSTOP)
        try:
            self.until(lambda: set(_states(self.envoy.pid)) == {"T"}, "the stop")
            for waiting, answer in zip(self._together, case.calls, strict=True):
                self._answer(waiting, answer, False, "")
        finally:
            self.envoy.kill(signal.SIGCONT)

    def _answer(self, connection: socket.socket, answer: Answer, head: bool, part: str) -> None:
        if answer.chunks is None:
            return
        pairs = list(answer.headers)
        if answer.is_chunked:
            pairs.append(("transfer-encoding", "chunked"))
        elif answer.status not in {204, 304}:
            pairs.append(("content-length", str(sum(map(len, answer.chunks)))))
        start = f"HTTP/1.1 {answer.status} X\r\n".encode() + lines(pairs, "latin-1") + b"\r\n"
        if head or not answer.is_chunked:
            connection.sendall(start + (b"" if head else b"".join(answer.chunks)))
            return
        connection.sendall(start)
        self._send_chunks(connection, answer.chunks, answer.trailers, part)

    @staticmethod
    def _echo(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            connection.sendall(data.upper())
            if b"bye" in data:
                return


def _states(pid: int) -> Iterator[str]:
    """The states of a process's threads."""
    for status in Path(f"/proc/{pid}/task").glob("*/stat"):
        yield status.read_text(encoding="utf-8").rpartition(")")[2].split()[0]


# --- Envoy --------------------------------------------------------------------------------------------------------


@contextmanager
def envoy_world(module: Path, cases: Sequence[Case]) -> Iterator[World]:
    """Envoy with all the cases in its plugins' configuration."""
    world = World()
    scripts = {case.id: case.script for case in cases}
    configuration = json.dumps({"case": "", "scripts": scripts})
    plugin: dict[str, Any] = {
        "path": module,
        "vm_id": "probe",
        "configuration": configuration,
        "vm_configuration": VM_CONFIGURATION,
    }
    listeners: list[Any] = [
        HttpListener([WasmFilter(**plugin)], name="plain", routes=ROUTES),
        HttpListener([WasmFilter(**plugin)], name="limited", routes=ROUTES),
        HttpListener([WasmFilter(**plugin, allow_on_headers_stop_iteration=True)], name="flag", routes=ROUTES),
        TcpListener([WasmFilter(**plugin, kind="tcp", root_id="tcp")], upstream="echo"),
    ]
    upstream, callee, echo = world.ports
    clusters = [
        Upstream("127.0.0.1", upstream),
        Upstream("127.0.0.1", callee, name="web"),
        Upstream("127.0.0.1", echo, name="echo"),
        Upstream("127.0.0.1", refusing_port(), name="refusing"),
    ]
    config = bootstrap(listeners, upstreams=clusters)
    prepare(config)
    with serving(config, world):
        yield world


@contextmanager
def serving(config: dict[str, Any], world: World) -> Iterator[None]:
    """A running Envoy with this configuration, which the world uses; it is closed at the end."""
    try:
        with Envoy(config, arguments=("--file-flush-interval-msec", "10", "--drain-time-s", "0")) as envoy:
            world.attach(envoy)
            yield
    finally:
        world.close()


ROUTES = (Route(upstream="upstream"),)


def prepare(config: dict[str, Any]) -> None:
    """Trailers on both sides, no headers that differ from run to run, one request for each connection."""
    for listener in config["static_resources"]["listeners"]:
        if listener["name"] == "limited":
            listener["per_connection_buffer_limit_bytes"] = LIMIT
        for entry in listener["filter_chains"][0]["filters"]:
            manager = entry["typed_config"]
            if "http_filters" not in manager:
                continue
            manager["http_protocol_options"] = {"enable_trailers": True, "accept_http_10": True}
            manager["generate_request_id"] = False
            manager["delayed_close_timeout"] = "0s"
            manager["http_filters"][-1]["typed_config"]["suppress_envoy_headers"] = True
    for cluster in config["static_resources"]["clusters"]:
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        cluster["typed_extension_protocol_options"] = {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "common_http_protocol_options": {"max_requests_per_connection": 1},
                "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}},
            }
        }
    empty = {"name": "empty", "type": "STATIC", "load_assignment": {"cluster_name": "empty"}}
    config["static_resources"]["clusters"].append(empty)
