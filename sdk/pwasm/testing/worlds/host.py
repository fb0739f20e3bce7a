"""The worlds without a proxy: the emulator around the filter's classes, or around the built module.

Time is the emulator's: code that waits (for a paused request, or in `eventually`) triggers the next event, a tick or an
answer, and the clock jumps to it. Nothing ever sleeps.
"""

from __future__ import annotations

import io
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from pwasm._abi import LogLevel
from pwasm._protocols import Host, Plugin
from pwasm._serde import encode_pairs

from ..emulator import framing
from ..emulator.headers import Headers
from ..emulator.held import why_no_response
from ..emulator.host import HostEmulator
from ..emulator.http_stream import HttpStream, UpstreamResponse
from ..emulator.neighbours import HOLD_HEADERS, NeighbourFilter, WasmFilter
from ..emulator.shared import Process
from ..emulator.steps import called_by, plugin_of
from ..emulator.tcp_stream import TcpStream
from ..emulator.trace import TracedHost
from .filters import (
    ACCESS_LOG,
    built_module,
    import_for_vm,
    is_python,
    kind_of,
    kind_of_module,
    wants_held_headers,
)
from .loop import FAULTS, EventLoop, request_of
from .messages import Answer, Body, Pairs, Pause, Piece, Request, Response, check_end, framed, pairs_of, pieces_of
from .wire import read_request
from .world import SECONDS, Connection, Metadata, Pending, Setup, World, payload

_T = TypeVar("_T")
_UPSTREAM = "upstream"


class HostWorld(World):
    """The worlds "python" and "wasm": one emulator for each worker, with a common process."""

    def __init__(self, setup: Setup, path: Path, tier: str) -> None:
        super().__init__(setup)
        self.tier = tier
        self._path = path
        self._doubles = {_UPSTREAM: self.upstream, **self.clusters}
        self._next_worker = itertools.cycle(range(setup.workers))
        self._holds = wants_held_headers(path, tier) if setup.hold_headers is None else setup.hold_headers
        self._streams: list[HttpStream] = []
        self._neighbours: list[TracedHost] = []
        """The VMs of other filters in the chain."""
        make, kind = _plugin_maker(path, tier, setup, hold_headers=self._holds)
        self._names = {plugin.name: index for index, plugin in enumerate(setup.all_plugins(kind))}
        process = Process(setup.time)
        self.loop = EventLoop(process.clock, self._doubles)
        self.hosts = [self._start(make, kind, process) for _ in range(setup.workers)]
        self.host: HostEmulator = self.hosts[0]
        self.loop.vms += self._vms
        self.upstream.see_arriving = self._arriving
        self._settle()

    def _start(self, make: Callable[[Host], Plugin], kind: str, process: Process) -> TracedHost:
        """One worker: a VM with all plugins."""
        setup, (first, *others) = self.setup, self.setup.all_plugins(kind)
        host = TracedHost(
            known=set(self._doubles),
            vm_configuration=payload(setup.vm_configuration),
            plugin_configuration=payload(first.configuration),
            root_id=first.root_id,
            vm_id=setup.vm_id,
            plugin_name=first.name,
            process=process,
            plugin=make,
            access_log=first.kind == ACCESS_LOG,
            hold_headers=self._holds,
            before=[self._neighbour(item, process) for item in setup.before],
            after=[self._neighbour(item, process) for item in setup.after],
            upstream_filter=setup.place == "upstream",
        )
        host.is_python = is_python(self._path)
        names = {"route_name": setup.route_name, "cluster_name": setup.cluster_name}
        host.properties |= {("xds", name): value.encode() for name, value in names.items() if value}
        host.properties |= _metadata("route_metadata", setup.route_metadata)
        host.properties |= _metadata("cluster_metadata", setup.cluster_metadata)
        started = host.started
        for plugin in others:
            host.plugin_configuration, host.plugin_name = payload(plugin.configuration), plugin.name
            host.access_log = plugin.kind == ACCESS_LOG
            started = host.start_plugin(plugin.root_id) and started
        self.started = self.started and started
        return host

    def _neighbour(self, item: NeighbourFilter, process: Process) -> NeighbourFilter | TracedHost:
        """Another filter of the chain as an emulator takes it: a module has a VM of its own."""
        if not isinstance(item, WasmFilter):
            return item
        path = Path(item.path)
        make, _ = _plugin_maker(path, self.tier, Setup(), hold_headers=item.hold_headers)
        host = TracedHost(
            known=set(self._doubles),
            plugin_configuration=payload(item.configuration),
            process=process,
            plugin=make,
            hold_headers=item.hold_headers,
        )
        host.is_python = is_python(path)
        self.started = self.started and host.started
        self._neighbours.append(host)
        return host

    @property
    def _vms(self) -> list[TracedHost]:
        """All VMs, those of the filter under test first."""
        return [*self.hosts, *self._neighbours]

    # --- traffic ----------------------------------------------------------------------------------------------------

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
        host = self._worker()
        given, end = pieces_of(body), pairs_of(trailers)
        stream = host.begin(
            method,
            path,
            framed(pairs_of(headers), body, trailers=bool(end)),
            end_of_stream=not given and not end,
            response=self._answered,
            root_id=self._root(host, plugin),
        )
        self._streams.append(stream)
        if given or end:
            self._go_on(
                given,
                stream.send_request_body,
                lambda: _finish(stream.send_request_body, stream.send_request_trailers, end),
            )
        self._settle()
        return _HostPending(self, stream, bodyless=method == "HEAD")

    def _go_on(self, pieces: Iterable[Piece], send: Callable[[bytes], None], finish: Callable[[], None]) -> None:
        """Send pieces of a body up to the next pause; what follows is sent when that is over."""
        left = deque(pieces)
        while left:
            piece = left.popleft()
            if isinstance(piece, Pause):
                self.loop.later(piece.seconds, lambda: self._go_on(left, send, finish))
                return
            send(piece)
        finish()

    def _arriving(self) -> list[Request]:
        """The requests that upstream has the beginning of."""
        self._streams = [stream for stream in self._streams if not stream.ended]
        return [
            request_of(stream.request_headers, stream.request_body, Headers())
            for stream in self._streams
            if stream.upstream_began and not stream.upstream_called
        ]

    def _answered(self, stream: HttpStream) -> UpstreamResponse | None:
        """The double's response, called when the request reaches upstream; None if it is still to come."""
        size = framing.announced(stream.request_headers, stream.request_body)
        body, rest = stream.request_body[:size], stream.request_body[size:]
        sent = request_of(stream.request_headers, body, stream.request_trailers or Headers())
        answer = FAULTS["refused"] if self.upstream.refuses else self.upstream.answer(sent)
        self._smuggled(rest)
        if answer.fault:
            answer = FAULTS.get(answer.fault, answer)
            self.loop.set_clock(self.loop.after(answer.delay))
        elif answer.seconds:
            self.loop.later(answer.delay, lambda: self._respond(stream, answer))
            return None
        return UpstreamResponse(answer.status, answer.all_headers(), answer.chunks(), pairs_of(answer.trailers) or None)

    def _respond(self, stream: HttpStream, answer: Answer) -> None:
        """Upstream's response, with pauses."""
        bodyless = stream.request_headers.get(":method") == "HEAD"
        pieces, end = ([], []) if bodyless else (answer.pieces(), pairs_of(answer.trailers))
        headers, only = answer.all_headers(), not pieces and not end
        stream.send_response_headers(headers, status=answer.status, end_of_stream=only)
        if not only:
            self._go_on(
                pieces,
                stream.send_response_body,
                lambda: _finish(stream.send_response_body, stream.send_response_trailers, end),
            )

    def _smuggled(self, rest: bytes) -> None:
        """Upstream reads on after the announced end of a request. Envoy passes on none of these answers."""
        following = io.BytesIO(rest)
        while not self.upstream.refuses and (request := read_request(following)) is not None:
            self.upstream.answer(request)

    def connect(self, *, plugin: str = "") -> Connection:
        host = self._worker()
        connection = _HostConnection(self, host.connect(root_id=self._root(host, plugin)))
        self._settle()
        return connection

    def _worker(self) -> TracedHost:
        return self.hosts[next(self._next_worker)]

    def _root(self, host: HostEmulator, plugin: str) -> int:
        if not self.started:
            raise AssertionError("the plugin refused to start:\n" + "\n".join(self.logs()))
        if plugin not in self._names:
            if plugin:
                raise AssertionError(f"there is no plugin {plugin!r}; known plugins: {', '.join(self._names)}")
            return host.roots[0]
        return host.roots[self._names[plugin]]

    # --- time -------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        self.loop.tick()

    def _pass_time(self, seconds: float) -> None:
        until = self.loop.after(seconds)
        self.loop.run_until(until)
        self.loop.set_clock(until)

    def eventually(self, predicate: Callable[[], _T], what: str = "", *, seconds: float = SECONDS) -> _T:
        deadline = self.loop.after(seconds)
        while not (result := predicate()):
            if not self.loop.step(deadline):
                raise AssertionError(f"{what or 'it'} did not happen within {seconds:g} s: {result!r}")
        return result

    def _settle(self) -> None:
        """Process everything that is due now."""
        self.loop.run_until(self.loop.now)

    # --- what is seen -----------------------------------------------------------------------------------------------

    def records(self) -> list[tuple[LogLevel, str]]:
        return [record for host in self.hosts for record in host.logs]

    def records_by_callback(self) -> list[tuple[str, LogLevel, str]]:
        return [record for host in self.hosts for record in host.logged]

    def metric(self, name: str) -> int:
        numbers = self.host.process.numbers
        return next((value for (_, defined), value in numbers.items() if defined == name), 0)

    def account(self) -> list[tuple[str, str]]:
        which = [""] if len(self.hosts) == 1 else [f" (worker {number})" for number in range(len(self.hosts))]
        which += [f" of neighbour {number}" for number in range(len(self._neighbours))]
        return [(f"what the host saw{of}", host.trace.text()) for of, host in zip(which, self._vms, strict=True)]

    def close(self) -> None:
        """There is nothing to close."""


class _HostPending(Pending):
    def __init__(self, world: HostWorld, stream: HttpStream, *, bodyless: bool) -> None:
        self._world = world
        self._stream = stream
        self._bodyless = bodyless

    def response(self, timeout: float | None = None) -> Response:
        __tracebackhide__ = True
        stream, seconds = self._stream, SECONDS if timeout is None else timeout
        deadline = self._world.loop.after(seconds)
        while not stream.ended and self._world.loop.step(deadline):
            pass
        if timeout is None and not stream.ended:
            raise AssertionError(why_no_response(stream, self._world.hosts, seconds))
        headers = Headers([pair for pair in stream.headers.raw if not pair[0].startswith(b":")])
        sent = stream.status, stream.headers, stream.body
        check_end(stream.body if self._bodyless else framing.beyond(*sent))
        complete = stream.ended and not stream.closed and (self._bodyless or not framing.lacking(*sent))
        details = stream.local_response.details if stream.local_response else ""
        return Response(headers, stream.body, stream.trailers or Headers(), stream.status, complete, details)


class _HostConnection(Connection):
    """The wire on both sides of the filter."""

    def __init__(self, world: HostWorld, stream: TcpStream) -> None:
        self._world = world
        self._stream = stream
        self._read = self._answered = 0
        self._ended = False
        if world.upstream.greeting:
            stream.upstream(world.upstream.greeting)

    def send(self, data: bytes, *, end: bool = False) -> None:
        if not self._stream.closed:
            self._stream.downstream(data, end_of_stream=end)
            self._pass_on()

    def receive(self, size: int = 0, *, timeout: float = SECONDS) -> bytes:
        self._wait(lambda: len(self._stream.to_downstream) - self._read >= max(size, 1), timeout)
        return self._take(size or None)

    def receive_all(self, *, timeout: float = SECONDS) -> bytes:
        self._wait(lambda: False, timeout)
        return self._take(None)

    def close(self) -> None:
        if not self._ended:
            self._ended = True
            self._stream.close()
            self._world.loop.step(self._world.loop.now)

    def _take(self, size: int | None) -> bytes:
        data = self._stream.to_downstream[self._read :][:size]
        self._read += len(data)
        return data

    def _wait(self, enough: Callable[[], bool], timeout: float) -> None:
        deadline = self._world.loop.after(timeout)
        while not enough() and not self._stream.closed and not self._ended and self._world.loop.step(deadline):
            self._pass_on()

    def _pass_on(self) -> None:
        """Pass the data that the filter let through to upstream, and upstream's answer to the filter."""
        stream = self._stream
        while not stream.closed and len(stream.to_upstream) > self._answered:
            data = stream.to_upstream[self._answered :]
            self._answered += len(data)
            answer = self._world.upstream.answer_tcp(data)
            if answer is None:
                self.close()
                return
            if answer:
                stream.upstream(answer)
        self._world.loop.run_until(self._world.loop.now)


def _finish(
    body: Callable[..., None], trailers: Callable[[list[tuple[str, str]]], None], pairs: list[tuple[str, str]]
) -> None:
    """End a message with these trailers, or without any."""
    if pairs:
        trailers(pairs)
    else:
        body(b"", end_of_stream=True)


def _metadata(name: str, metadata: Metadata) -> dict[tuple[str, ...], bytes]:
    """Envoy's properties for metadata: each namespace as a map, and each entry."""
    above = ("xds", name, "filter_metadata")
    properties: dict[tuple[str, ...], bytes] = {}
    for namespace, entries in metadata.items():
        properties[(*above, namespace)] = encode_pairs(list(entries.items()))
        properties |= {(*above, namespace, key): value.encode() for key, value in entries.items()}
    return properties


def _plugin_maker(path: Path, tier: str, setup: Setup, *, hold_headers: bool) -> tuple[Callable[[Host], Plugin], str]:
    """A function that creates the plugin side of a host, and the kind of the filter."""
    if tier == "python":
        imported = [import_for_vm(path)]

        def import_again(host: Host) -> Plugin:
            registration, own = imported.pop() if imported else import_for_vm(path)
            return called_by(own.around, plugin_of(registration, host, hold_headers=hold_headers))

        return import_again, kind_of(imported[0][0])
    from ..wasm import WasmPlugin

    module = built_module(path)
    environment = {**setup.environment, **({HOLD_HEADERS: "1"} if hold_headers else {})}

    def make(host: Host) -> Any:
        return WasmPlugin(module, host, environment=environment)

    return make, kind_of_module(module)
