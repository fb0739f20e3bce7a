"""The world "envoy": a real proxy, with real connections and real servers around it.

Starting Envoy is expensive, so tests of a module with the same set-up share one, one after another: an `EnvoyStage`
exists for a test module, an `EnvoyWorld` for a single test.
"""

from __future__ import annotations

import io
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pwasm._abi import LogLevel
from pwasm_compiler.envoy.config import HttpListener, Route, TcpListener, Upstream, bootstrap
from pwasm_compiler.envoy.kinds import Kind
from pwasm_compiler.envoy.log import LogRecord
from pwasm_compiler.envoy.process import Envoy, EnvoyExitedError

from ..emulator import held
from ..emulator.neighbours import ExtAuthz
from . import envoy_report
from .authorizer import GrpcAuthorizer
from .envoy_filters import enable_trailers, filters_of, put_into_cluster, wasm_filter
from .filters import built_module, is_python, kind_of_module, wants_held_headers
from .messages import Body, Double, Pairs, Pause, Piece, Response, check_end, framed, pairs_of, pieces_of
from .servers import HttpServer, Server, TcpServer, at_once, refusing_port
from .wire import read_response, request_bytes
from .world import SECONDS, Connection, Pending, Setup, World, payload

_T = TypeVar("_T")
_POLL_SECONDS = 0.01
_KINDS: dict[str, Kind] = {"http": "http", "tcp": "tcp", "access_log": "access_log"}
_REST_SECONDS = 0.05
"""How long a body that should not be there may take: Envoy writes it right after the headers."""
_UPSTREAM, _TCP_UPSTREAM = "upstream", "tcp_upstream"
_LEVELS = {"trace": 0, "debug": 1, "info": 2, "warning": 3, "error": 4, "critical": 5}
_MARK = re.compile(r'admin path "/reset_counters" mutates state')
_ARGUMENTS = ("--file-flush-interval-msec", "10", "--drain-time-s", "0")
_START = ("proxy_on_vm_start", "proxy_on_configure")
_METRICS = "wasmcustom."


class EnvoyStage:
    """An Envoy with its servers, for successive set-ups that differ only in the servers' answers."""

    def __init__(self, setup: Setup, path: Path, executable: str | None = None) -> None:
        module = built_module(path)
        self.kind = kind_of_module(module)
        self.is_python = is_python(path)
        self.plugins = setup.all_plugins(self.kind)
        unused = Double(500)
        neighbours = (*setup.before, *setup.after)
        grpc = {item.cluster for item in neighbours if isinstance(item, ExtAuthz) and item.grpc}
        self.servers: dict[str, Server] = {
            name: (GrpcAuthorizer if name in grpc else HttpServer)(unused) for name in (_UPSTREAM, *setup.clusters)
        }
        self.servers[_TCP_UPSTREAM] = TcpServer(unused)
        self.refused: EnvoyExitedError | None = None
        self.envoy = Envoy(
            self._config(setup, path, module),
            executable=executable,
            concurrency=setup.workers,
            wasm_log_level="trace",
            arguments=_ARGUMENTS,
        )
        self.used = False
        """Whether a test has used this stage before."""
        self._marks = 0
        try:
            self.envoy.start()
        except EnvoyExitedError as error:
            self.refused = error
            if setup.starts:
                self.close()
                raise
        except BaseException:
            self.close()
            raise
        self.listeners = {} if self.refused else self.envoy.listeners()

    def _config(self, setup: Setup, path: Path, module: Path) -> dict[str, Any]:
        metadata = dict.fromkeys((_UPSTREAM, setup.cluster_name, _TCP_UPSTREAM), setup.cluster_metadata)
        cluster = setup.cluster_name or _UPSTREAM
        route = Route(upstream=cluster, metadata=setup.route_metadata, name=setup.route_name)
        servers = {**self.servers, cluster: self.servers[_UPSTREAM]}
        upstreams = [
            Upstream(
                "127.0.0.1",
                refusing_port() if self._refused(setup, name) else server.port,
                name=name,
                http2=isinstance(server, GrpcAuthorizer),
                metadata=metadata.get(name, {}),
            )
            for name, server in servers.items()
        ]
        listeners: list[HttpListener | TcpListener] = []
        services = []
        holds = wants_held_headers(path, "envoy") if setup.hold_headers is None else setup.hold_headers
        chain: list[Any] = []
        for number, plugin in enumerate(self.plugins):
            kind: Kind = _KINDS.get(plugin.kind, "plugin")
            used = wasm_filter(
                module,
                hold_headers=holds,
                environment=dict(setup.environment),
                kind=kind,
                name=plugin.name,
                root_id=plugin.root_id,
                vm_id=setup.vm_id,
                configuration=payload(plugin.configuration) or None,
                vm_configuration=payload(setup.vm_configuration) or None,
            )
            if kind == "http":
                chain = [*filters_of(setup.before), used, *filters_of(setup.after)]
                here = [] if setup.place == _UPSTREAM else chain
                listeners.append(HttpListener(here, name=f"plugin{number}", routes=[route]))
            elif kind == "access_log":
                listeners.append(HttpListener(name=f"plugin{number}", routes=[route], access_logs=[used]))
            elif kind == "tcp":
                listeners.append(TcpListener([used], name=f"plugin{number}", upstream=_TCP_UPSTREAM))
            else:
                services.append(used)
        config = bootstrap(listeners, plugins=services, upstreams=upstreams)
        enable_trailers(config)
        if setup.place == _UPSTREAM:
            put_into_cluster(config, cluster, chain)
        return config

    def _refused(self, setup: Setup, name: str) -> bool:
        return Double(
            setup.upstream if name in {_UPSTREAM, setup.cluster_name} else setup.clusters.get(name, 200)
        ).refuses

    def close(self) -> None:
        """Stop Envoy and the servers."""
        self.envoy.stop()
        for server in self.servers.values():
            server.close()

    @property
    def dead(self) -> bool:
        """Whether Envoy has exited."""
        return self.refused is not None or self.envoy.wait(0) is not None

    @property
    def stuck(self) -> bool:
        """Whether Envoy's own watchdog has seen a worker that was blocked for a second."""
        return self.dead or any(
            value for name, value in self.envoy.stats().items() if name.endswith("watchdog_mega_miss")
        )

    def log(self) -> list[LogRecord]:
        """Envoy's log, including everything that was logged before this call.

        Envoy logs a line when it refuses an admin request, and the log is in order. The second such line makes the
        parser complete the first.
        """
        if not self.dead:
            for _ in range(2):
                self.envoy._get("/reset_counters")  # a GET, so it is refused
            self._marks += 2
            self.envoy.wait_for_log('"/reset_counters" mutates state', count=self._marks - 1)
        return [record for record in self.envoy.log if not _MARK.search(record.raw)]

    def metrics(self) -> dict[str, int]:
        """The filters' counters and gauges."""
        return {} if self.refused else self.envoy.stats(_METRICS)

    def counters(self) -> dict[str, int]:
        """The filters' counters."""
        if self.refused:
            return {}
        stats = json.loads(self.envoy.admin(f"/stats?format=json&type=Counters&filter=^{_METRICS}"))["stats"]
        return {stat["name"]: stat["value"] for stat in stats if "name" in stat}


class EnvoyWorld(World):
    """A test's turn on a stage."""

    tier = "envoy"

    def __init__(self, setup: Setup, stage: EnvoyStage) -> None:
        super().__init__(setup)
        self._stage = stage
        self.envoy = stage.envoy
        doubles = {_UPSTREAM: self.upstream, _TCP_UPSTREAM: self.upstream, **self.clusters}
        for name, server in stage.servers.items():
            server.give(doubles[name])
        self._told = False
        """Whether the test has been told that Envoy has died."""
        self._clients: list[socket.socket] = []
        self._names = {plugin.name: f"plugin{number}" for number, plugin in enumerate(stage.plugins)}
        self.started = stage.refused is None
        # The first test on a stage sees what was logged and counted while the plugins started.
        self._log_before = len(stage.log()) if stage.used else 0
        self._counters_before = stage.counters() if stage.used else {}
        stage.used = True

    # --- traffic ----------------------------------------------------------------------------------------------------

    def address(self, plugin: str = "") -> tuple[str, int]:
        """Where Envoy listens for this plugin."""
        if not self.started:
            raise AssertionError("the plugin refused to start:\n" + "\n".join(self.logs()))
        if plugin and plugin not in self._names:
            raise AssertionError(f"there is no plugin {plugin!r}; known plugins: {', '.join(self._names)}")
        name = self._names.get(plugin, next(iter(self._stage.listeners), ""))
        if name not in self._stage.listeners:
            raise AssertionError("this plugin has no traffic; its kind is 'plugin'")
        return self._stage.listeners[name]

    def send(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Pairs = (),
        body: Body = b"",
        *,
        trailers: Pairs = (),
        plugin: str = "",
    ) -> Pending:
        sent = framed(pairs_of(headers), body, trailers=bool(trailers))
        pieces = request_bytes(method, path, sent, pieces_of(body), pairs_of(trailers))
        return _EnvoyPending(self, self._connected(plugin), pieces, bodyless=method == "HEAD")

    def why_no_response(self, seconds: float) -> str:
        """The message for a test that waited for a response in vain, based on Envoy's log."""
        export = envoy_report.holding(self._stage.log()[self._log_before :])
        if not export:
            return f"no response within {seconds:g} s"
        since = held.since(export, python=self._stage.is_python)
        return f"{since}; nothing resumed it within {seconds:g} s\n{held.HINT}"

    def connect(self, *, plugin: str = "") -> Connection:
        return _EnvoyConnection(self._connected(plugin))

    def _connected(self, plugin: str) -> socket.socket:
        address = self.address(plugin)
        try:
            client = socket.create_connection(address, timeout=SECONDS)
        except OSError:
            self.check()
            raise
        at_once(client)
        self._clients.append(client)
        return client

    def check(self) -> None:
        """Raise an exception of a handler, or report that Envoy has died."""
        for server in self._stage.servers.values():
            if server.errors:
                raise server.errors.pop(0)
        if self.started and self._stage.dead and not self._told:
            self._told = True
            raise EnvoyExitedError(self.envoy.wait(0) or 0, self._stage.log())

    # --- time -------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        self.check()

    def _pass_time(self, seconds: float) -> None:
        time.sleep(seconds)

    def eventually(self, predicate: Callable[[], _T], what: str = "", *, seconds: float = SECONDS) -> _T:
        deadline = time.monotonic() + seconds
        while not (result := predicate()):
            self.check()
            if time.monotonic() > deadline:
                raise AssertionError(f"{what or 'it'} did not happen within {seconds:g} s: {result!r}")
            time.sleep(_POLL_SECONDS)
        return result

    # --- what is seen -----------------------------------------------------------------------------------------------

    def records(self) -> list[tuple[LogLevel, str]]:
        log = self._stage.log()[self._log_before :]
        return [(LogLevel(_LEVELS[record.level]), record.text) for record in log if record.from_filter]

    def records_by_callback(self) -> list[tuple[str, LogLevel, str]]:
        log = self._stage.log()
        start = [found for found in envoy_report.logged(log) if found[0] in _START]
        own = [found for found in envoy_report.logged(log[self._log_before :]) if found[0] not in _START]
        return [(callback, LogLevel(_LEVELS[record.level]), record.text) for callback, record in (*start, *own)]

    def metric(self, name: str) -> int:
        return self._stage.metrics().get(_METRICS + name, 0) - self._counters_before.get(_METRICS + name, 0)

    def account(self) -> list[tuple[str, str]]:
        log = self._stage.log()
        sections = [
            ("what the filter saw", envoy_report.crossings(log[self._log_before :])),
            ("last lines of Envoy's log", envoy_report.last_lines(log)),
        ]
        if not self._stage.dead:
            sections.append(("statistics", envoy_report.statistics(self.envoy.stats())))
            sections.append(("configuration", envoy_report.configuration(self.envoy.config_dump())))
        return sections

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.check()


class _EnvoyPending(Pending):
    """The request is sent from a separate thread, since Envoy may answer before it has read everything."""

    def __init__(self, world: EnvoyWorld, client: socket.socket, pieces: list[Piece], *, bodyless: bool) -> None:
        self._world = world
        self._client = client
        self._bodyless = bodyless
        self._sender = threading.Thread(target=_send_all, args=(client, pieces), daemon=True)
        self._sender.start()
        self._response: Response | None = None

    def response(self, timeout: float | None = None) -> Response:
        __tracebackhide__ = True
        if self._response is None:
            seconds, start = SECONDS if timeout is None else timeout, time.monotonic()
            with self._client, self._client.makefile("rb") as stream:
                self._client.settimeout(seconds)
                self._response = read_response(stream, bodyless=self._bodyless)
                waited = time.monotonic() - start >= seconds
                bodyless = self._bodyless or self._response.status in {204, 304}
                seconds_more = _REST_SECONDS if bodyless else 0.0
                rest = _rest(self._client, stream, seconds_more) if self._response.complete else b""
            self._sender.join()
            self._world.check()
            check_end(rest)
            if timeout is None and waited and not self._response.complete:
                raise AssertionError(self._world.why_no_response(seconds))
        return self._response


def _rest(client: socket.socket, stream: io.BufferedReader, seconds: float) -> bytes:
    """What comes after a response, within this time."""
    client.settimeout(seconds)
    try:
        return stream.peek()
    except OSError:  # nothing, or the connection has ended
        return b""


def _send_all(client: socket.socket, pieces: list[Piece]) -> None:
    try:
        for piece in pieces:
            if isinstance(piece, Pause):
                time.sleep(piece.seconds)
            else:
                client.sendall(piece)
    except OSError:
        return  # the request was answered before it was complete


class _EnvoyConnection(Connection):
    def __init__(self, client: socket.socket) -> None:
        self._client = client

    def send(self, data: bytes, *, end: bool = False) -> None:
        try:
            self._client.sendall(data)
            if end:
                self._client.shutdown(socket.SHUT_WR)
        except ConnectionError:
            return  # the filter closed it; `receive` shows that

    def receive(self, size: int = 0, *, timeout: float = SECONDS) -> bytes:
        return self._read(size or 1, timeout, at_most=size or 65536)

    def receive_all(self, *, timeout: float = SECONDS) -> bytes:
        return self._read(None, timeout, at_most=65536)

    def close(self) -> None:
        self._client.close()

    def _read(self, size: int | None, timeout: float, *, at_most: int) -> bytes:
        data, deadline = b"", time.monotonic() + timeout
        try:
            while size is None or len(data) < size:
                self._client.settimeout(max(deadline - time.monotonic(), _POLL_SECONDS))
                piece = self._client.recv(at_most if size is None or at_most > size else size - len(data))
                if not piece:
                    break
                data += piece
        except (ConnectionError, TimeoutError):
            pass
        return data
