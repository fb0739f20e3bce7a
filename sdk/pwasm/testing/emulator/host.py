"""`HostEmulator`: a proxy in plain Python, for unit tests of filters.

    host = HostEmulator(AddHeader, plugin_configuration=b"…")
    response = host.request("GET", "/one")
    assert response.headers["x-wasm-custom"] == "FOO"

It drives a plugin through the ABI's callbacks only, so the plugin may be the filter's classes in this process (the
default) or anything else that implements `pwasm._protocols.Plugin`, such as a main.wasm.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Protocol, runtime_checkable

from pwasm import _abi
from pwasm._async import never_awaited
from pwasm._dispatch.callbacks import Dispatcher
from pwasm._protocols import Host, Plugin
from pwasm.entrypoint import registration, registration_of

from .. import deadline
from .access_log import LoggedStream
from .base import NeighbourCall, Stream
from .exchange import Place
from .headers import Headers, Pairs
from .hostcalls import EmulatedHost
from .http_stream import HttpStream, Neighbour, Upstream, UpstreamResponse, chunks_of
from .shared import Process
from .side import HttpSide
from .steps import plugin_of
from .tcp_stream import TcpStream

_OK = UpstreamResponse()
_OF_UPSTREAM_FILTERS = ("proxy_on_done", "proxy_on_delete")


@runtime_checkable
class Hears(Protocol):
    """A plugin side that knows which callbacks its filter has."""

    def hears(self, export: str, context_id: int) -> bool:
        """Whether a stream's class, or else the module, has this callback."""


class EnvoyCrash(AssertionError):  # noqa: N818, it is not the emulator's error
    """The plugin did something that crashes a real Envoy, and that the SDK should have refused."""


class HostEmulator(EmulatedHost):
    """A host with one VM and one plugin, started at construction.

    Args:
        filters: classes derived from VMContext, PluginContext, HttpContext or TcpContext; if none are given, those
            registered with `set_http_context` and its siblings.
        vm_configuration, plugin_configuration: the configuration that Envoy would pass.
        upstream: upstream's response to requests without a response of their own.
        root_id, vm_id, plugin_name: the plugin's names in Envoy's configuration.
        process: shared data, queues and metrics; pass the same one to several emulators to share them.
        plugin: creates the plugin side from the host side; the default runs the filter's classes.
        buffer_limit: `per_connection_buffer_limit_bytes` of the listener.
        allow_on_headers_stop_iteration: the plugin's setting of that name.
        hold_headers: the same, and the plugin is told: it may hold streams by their headers (`PWASM_HOLD_HEADERS`).
        before, after: other filters of the chain, in the order of Envoy's list; see `neighbours`.
        upstream_filter: the plugin is one of a cluster's `http_filters`, which are no access loggers.
        access_log: the plugin is an access logger: its `on_log` is called for each request, and no other filter is.
    """

    def __init__(
        self,
        *filters: type,
        vm_configuration: bytes | str = b"",
        plugin_configuration: bytes | str = b"",
        upstream: Upstream = _OK,
        log_level: _abi.LogLevel = _abi.LogLevel.TRACE,
        root_id: str = "",
        vm_id: str = "",
        plugin_name: str = "",
        process: Process | None = None,
        plugin: Callable[[Host], Plugin] | None = None,
        buffer_limit: int = 1 << 20,
        allow_on_headers_stop_iteration: bool = False,
        hold_headers: bool = False,
        before: Sequence[Neighbour] = (),
        after: Sequence[Neighbour] = (),
        upstream_filter: bool = False,
        access_log: bool = False,
    ) -> None:
        shared = process or Process()
        self._again = partial(
            HostEmulator,
            *filters,
            vm_configuration=vm_configuration,
            plugin_configuration=plugin_configuration,
            upstream=upstream,
            log_level=log_level,
            root_id=root_id,
            vm_id=vm_id,
            plugin_name=plugin_name,
            process=shared,
            plugin=plugin,
            buffer_limit=buffer_limit,
            allow_on_headers_stop_iteration=allow_on_headers_stop_iteration,
            hold_headers=hold_headers,
            upstream_filter=upstream_filter,
            access_log=access_log,
        )
        super().__init__(_bytes(vm_configuration), _bytes(plugin_configuration), shared, vm_id)
        self.plugin_name = plugin_name
        self.upstream = upstream
        self.log_level = log_level
        if plugin is None:
            registered = registration_of(*filters) if filters else registration()
            self.plugin = plugin_of(registered, self, hold_headers=hold_headers)
        else:
            self.plugin = plugin(self)
        self.is_python = isinstance(self.plugin, Dispatcher)
        """Whether the plugin is written with the SDK, so that its author knows callbacks by their Python names."""
        self._next_id = 1
        self.access_log = access_log
        """Whether the plugins that start now are access loggers."""
        self._loggers: set[int] = set()
        self.buffer_limit = buffer_limit
        self.allow_on_headers_stop_iteration = allow_on_headers_stop_iteration or hold_headers
        self.neighbour_calls: list[NeighbourCall] = []
        self._neighbours = before, after
        self._upstream_filter = upstream_filter
        self._after: deque[Callable[[], object]] = deque()
        self._soon: deque[Callable[[], object]] = deque()
        for other in (*before, *after):
            if isinstance(other, HostEmulator):
                other._soon = self._soon  # one worker has one event loop
        self._inside = False
        self._turn: list[int] | None = None
        self.started = self.start_plugin(root_id)
        """False if on_vm_start or on_plugin_start refused: Envoy would reject the configuration."""

    # --- driving --------------------------------------------------------------------------------------------------

    def start_plugin(self, root_id: str = "") -> bool:
        """Start another plugin in this VM, as Envoy does for each use of the module; returns whether it accepted."""
        context_id = self._new_id()
        self.roots.append(context_id)
        if self.access_log:
            self._loggers.add(context_id)
        self.plugin_names[context_id] = (self.plugin_name, root_id, self.vm_id)
        self.call("proxy_on_context_create", context_id, 0)
        started = bool(
            self.call("proxy_on_vm_start", context_id, len(self.vm_configuration))
            and self.call("proxy_on_configure", context_id, len(self.plugin_configuration))
        )
        self.run_pending()
        return started

    def worker(self) -> HostEmulator:
        """Another worker with the same plugin: a separate VM that shares data, queues and metrics with this one.

        Items of a queue are announced to the VM that registered it last, as in Envoy (docs/abi.md §1.9).
        """
        before, after = (
            [other.worker() if isinstance(other, HostEmulator) else other for other in side]
            for side in self._neighbours
        )
        return self._again(before=before, after=after)

    def request(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Pairs | Mapping[str, str] = (),
        body: bytes | Iterable[bytes] = b"",
        *,
        trailers: Pairs | None = None,
        response: Upstream | None = None,
        root_id: int | None = None,
    ) -> HttpStream:
        """Send a request through the plugin.

        Args:
            method, path: pseudo-headers; `headers` may override the others (`:authority`, `:scheme`).
            body: one chunk, or several.
            response: upstream's response, if the request reaches it; or a function that creates it from the stream.
            root_id: the plugin to use, if there are several.

        Returns:
            The stream; it has ended unless the plugin paused it.
        """
        sent = _request_headers(method, path, headers)
        stream = self._new_stream(root_id, response or self.upstream)
        stream.feed(sent, chunks_of(body), None if trailers is None else Headers(trailers))
        self.run_pending()
        return stream

    def begin(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Pairs | Mapping[str, str] = (),
        *,
        end_of_stream: bool = False,
        response: Upstream | None = None,
        root_id: int | None = None,
    ) -> HttpStream:
        """Send the headers of a request; the test goes on with `send_request_body` and `send_request_trailers`."""
        stream = self._new_stream(root_id, response or self.upstream)
        stream.send_request_headers(_request_headers(method, path, headers), end_of_stream=end_of_stream)
        return stream

    def open_http_stream(self, *, root_id: int | None = None) -> HttpStream:
        """Open a stream whose parts the test sends itself: `send_request_headers`, `send_response_body` and so on."""
        return self._new_stream(root_id, None)

    def rejected(self, status: int = 403, *, request: Pairs = (), root_id: int | None = None) -> HttpStream:
        """A request answered by Envoy or by a filter before this plugin: the plugin sees only its end.

        `request` are its headers, as far as Envoy could parse them.
        """
        stream = self._new_stream(root_id, None)
        stream.rejected(status, request)
        return stream

    def _new_stream(self, root_id: int | None, upstream: Upstream | None) -> HttpStream:
        root = self._usable_root(root_id)
        if root in self._loggers:
            return LoggedStream(self, self._new_id(), root, upstream)
        stream = HttpStream(self, self._new_id(), root, upstream, self._neighbours)
        if self._upstream_filter:
            stream.final = _OF_UPSTREAM_FILTERS
        if not self._neighbours[0]:
            stream.create()
        return stream

    def join(self, stream: HttpStream) -> Place:
        """Take part in the chain of another emulator's stream."""
        side = HttpSide(self, self._new_id(), self._usable_root(None))
        side.exchange = stream
        side.final = stream.final
        stream.sides.append(side)
        return side.flow_in

    def connect(self, *, root_id: int | None = None) -> TcpStream:
        """Open a TCP connection through the plugin."""
        stream = TcpStream(self, self._new_id(), self._usable_root(root_id))
        self._create(stream)
        stream.open()
        self.run_pending()
        return stream

    def tick(self) -> None:
        """Advance the time by one tick period for every plugin that has set one."""
        ticking = [(root_id, period) for root_id, period in self.tick_periods.items() if period]
        if not ticking:
            raise RuntimeError("no tick period is set, so Envoy would not tick")
        for root_id, period in ticking:
            self.now_nanoseconds += period * 1_000_000
            self.call("proxy_on_tick", root_id)
            self.run_pending()

    def stop(self) -> None:
        """Shut down the plugins; those whose `on_plugin_done` returned False stay until they call `plugin_done`."""
        for root_id in reversed(self.roots[:]):
            self.roots_waiting.add(root_id)
            if self.call("proxy_on_done", root_id):
                self.roots_waiting.discard(root_id)
        for root_id in [root_id for root_id in reversed(self.roots) if root_id not in self.roots_waiting]:
            self.roots.remove(root_id)
            self.call("proxy_on_delete", root_id)

    def logs_at(self, level: _abi.LogLevel) -> list[str]:
        """Messages of one level."""
        return [message for at, message in self.logs if at == level]

    # --- for streams ----------------------------------------------------------------------------------------------

    def call(self, export: str, context_id: int, *args: int) -> object:
        """Call the plugin, and then do what it has requested."""
        self.callback = export
        self.context_id = self.effective_id = context_id
        outer, self._inside = self._inside, True
        try:
            with self._vm_of_python() if self.is_python else nullcontext():
                result: object = getattr(self.plugin, export)(context_id, *args)
        finally:
            self._inside = outer
        deadline.check()
        self.effective_id = context_id
        while self._after and not self.crash:
            self._after.popleft()()
        self._check_crash()
        return result

    def _check_crash(self) -> None:
        if self.crash:
            raise EnvoyCrash(self.crash)

    def after(self, action: Callable[[], object]) -> None:
        """Run `action` after the running callback has returned; immediately if none is running."""
        if self._inside:
            self._after.append(action)
        else:
            action()

    def soon(self, action: Callable[[], object]) -> None:
        """Run `action` in a later iteration of the event loop, see `run_pending`."""
        self._soon.append(action)

    def run_pending(self) -> None:
        """Process pending events: responses of upstream, notifications of queues."""
        self._check_crash()
        while self._soon or self.process.notifications:
            if self.process.notifications:
                self._notify()
            else:
                self._soon.popleft()()
            self._check_crash()

    @contextmanager
    def _vm_of_python(self) -> Iterator[None]:
        """What a VM changes in its own process, for the duration of a callback: the log, clocks, forgotten coroutines.

        The standard logging module writes to this host, Python's clocks show its time, and a coroutine that the
        callback fails to await makes it fail.
        """
        from .python_clocks import Shown

        log: AbstractContextManager[None] = nullcontext()
        if "logging" in sys.modules:
            from pwasm._hostcalls.logging import installed as log_installed

            log = log_installed()
        with log, Shown(self.clock), never_awaited.installed():
            yield

    @contextmanager
    def one_turn(self) -> Iterator[None]:
        """Run the block in one iteration of Envoy's event loop: a stream that ends in it stays selectable (K6)."""
        self._turn = []
        try:
            yield
        finally:
            over, self._turn = self._turn, None
            for context_id in over:
                self.forget(context_id)

    def still_to_come(self) -> list[str]:
        """Descriptions of what the plugin waits for."""
        found = [f"a tick every {period} ms" for period in self.tick_periods.values() if period]
        calls = sum(not call.answered for call in self.http_calls)
        calls += sum(not call.finished for call in (*self.grpc_calls, *self.grpc_streams))
        found += [f"{calls} call{'s' * (calls > 1)} without an answer"] if calls else []
        others = sum(not call.answered for call in self.neighbour_calls)
        return [*found, *([f"{others} of the neighbours' calls"] if others else [])]

    def hears(self, export: str, context_id: int) -> bool:
        """Whether the filter has this callback of a stream, as far as the plugin can tell."""
        plugin = self.plugin
        return isinstance(plugin, Hears) and plugin.hears(export, context_id)

    def forget(self, context_id: int) -> None:
        """Remove a stream that has ended."""
        if self._turn is None:
            self.streams.pop(context_id, None)
        else:
            self._turn.append(context_id)

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _usable_root(self, root_id: int | None) -> int:
        if not self.started:
            raise RuntimeError(f"the plugin did not start: {self.logs[-1][1] if self.logs else 'it refused'}")
        return self.roots[0] if root_id is None else root_id

    def _create(self, stream: Stream) -> None:
        self.streams[stream.context_id] = stream
        self.call("proxy_on_context_create", stream.context_id, stream.root_id)


def _request_headers(method: str, path: str, headers: Pairs | Mapping[str, str]) -> Headers:
    """Headers with those that every request has."""
    given = list(headers.items() if isinstance(headers, Mapping) else headers)
    names = {name.lower() for name, _ in given}
    defaults = [(":method", method), (":path", path), (":authority", "example.com"), (":scheme", "http")]
    defaults.append(("x-forwarded-proto", "http"))
    return Headers([pair for pair in defaults if pair[0] not in names] + given)


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
