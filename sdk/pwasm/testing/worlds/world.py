"""One test body, three worlds: the filter's classes in CPython, the built module in wasmtime, a real Envoy.

    @pytest.mark.pwasm(configuration={"header": "x-one"}, clusters={"auth": 403})
    def test_refused(pwasm_world):
        assert pwasm_world.request("GET", "/").status == 403

`World` is the interface that tests use in all of them; `Setup` holds the arguments of the marker.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pwasm._abi import LogLevel

from ..emulator.neighbours import NeighbourFilter
from .messages import Body, Double, Handler, Pairs, Request, Response, TcpHandler

_T = TypeVar("_T")
Configuration = str | bytes | Mapping[str, Any] | None
Metadata = Mapping[str, Mapping[str, str]]

TIERS = ("python", "wasm", "envoy")
SECONDS = 10.0
"""The time after which waiting fails a test, unless the test passes a timeout."""


def hello(_request: Request) -> str:
    """Upstream's default response."""
    return "hello from upstream"


@dataclass(frozen=True)
class Plugin:
    """One use of the module; several of them share a VM. `request(plugin=…)` selects the one that gets the traffic."""

    name: str = ""
    root_id: str = ""
    configuration: Configuration = None
    kind: str = ""
    """"http", "tcp", "access_log" (requests pass no filter, and are logged), "plugin" (no traffic), or "" for what the
    filter is."""


@dataclass(frozen=True)
class Setup:
    """The arguments of `@pytest.mark.pwasm(…)`; a marker on a test adds to those on its class and its module."""

    filter: str | Path = ""
    """A folder with filter.py, a .py file or a .wasm file, relative to the test; "" for the nearest filter.py."""
    configuration: Configuration = None
    vm_configuration: Configuration = None
    kind: str = ""
    root_id: str = ""
    vm_id: str = ""
    plugins: tuple[Plugin, ...] = ()
    """Several uses of the module in one VM, instead of `kind`, `root_id` and `configuration`."""
    upstream: Handler = hello
    clusters: Mapping[str, Handler] = field(default_factory=dict)
    route_name: str = ""
    """The name of the requests' route: the property `xds.route_name`."""
    cluster_name: str = ""
    """Another name of upstream's cluster, for the property `xds.cluster_name`."""
    route_metadata: Metadata = field(default_factory=dict)
    """Metadata of the requests' route, by namespace: the property `xds.route_metadata`."""
    cluster_metadata: Metadata = field(default_factory=dict)
    """Metadata of upstream's cluster, by namespace: the property `xds.cluster_metadata`."""
    greeting: bytes = b""
    tcp: TcpHandler | None = None
    workers: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    time: float | None = None
    """The emulator's clock at the start, in seconds since 1970; None for the real time."""
    starts: bool = True
    """False: the plugin must refuse to start; such a world has nothing but `logs`."""
    before: tuple[NeighbourFilter, ...] = ()
    after: tuple[NeighbourFilter, ...] = ()
    """Other filters of the chain, in the order of Envoy's `http_filters`; see `pwasm.testing.emulator.neighbours`."""
    hold_headers: bool | None = None
    """Whether the host lets the filter hold streams by their headers (`allow_on_headers_stop_iteration`), and tells it.
    None: if one of its classes wants it."""
    place: str = "listener"
    """"upstream": the filter and its neighbours are in the `http_filters` of upstream's cluster."""
    fresh: bool = False
    """Use a separate Envoy for this test; otherwise tests of a module with the same set-up share one, and its VM."""

    def all_plugins(self, kind: str) -> tuple[Plugin, ...]:
        """The plugins, with defaults filled in."""
        given = self.plugins or (Plugin(root_id=self.root_id, configuration=self.configuration, kind=self.kind),)
        return tuple(Plugin(p.name, p.root_id, p.configuration, p.kind or self.kind or kind) for p in given)


def payload(value: Configuration) -> bytes:
    """A configuration as the plugin reads it; a mapping as JSON."""
    if value is None or isinstance(value, bytes):
        return value or b""
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode()


class Pending(ABC):
    """A request that was sent, whose response is pending."""

    @abstractmethod
    def response(self, timeout: float | None = None) -> Response:
        """Wait for the response.

        Args:
            timeout: in seconds. If it expires, that is not an error: the response has `status` None, or is not
                `complete`. This is for tests of filters that hold streams.

        Raises:
            AssertionError: without `timeout`, if no response arrives; the message says what holds the stream.
        """


class Connection(ABC):
    """A TCP connection to the filter."""

    @abstractmethod
    def send(self, data: bytes, *, end: bool = False) -> None:
        """Send data; with `end`, no more follows."""

    @abstractmethod
    def receive(self, size: int = 0, *, timeout: float = SECONDS) -> bytes:
        """Exactly `size` bytes, or for 0 the next data; fewer if the connection is closed or `timeout` expires."""

    @abstractmethod
    def receive_all(self, *, timeout: float = SECONDS) -> bytes:
        """Everything until the filter or upstream closes the connection."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class World(ABC):
    """A filter and its environment. `upstream` and `clusters` are simulated servers: see `messages.Double`."""

    tier: str
    """"python", "wasm" or "envoy"."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.upstream = Double(setup.upstream, greeting=setup.greeting, tcp=setup.tcp)
        self.clusters = {name: Double(handler) for name, handler in setup.clusters.items()}
        self.started = True

    # --- traffic ----------------------------------------------------------------------------------------------------

    @abstractmethod
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
        """Send a request without waiting for the response; for concurrent requests.

        Args:
            method, path, headers: `headers` may include `:authority`.
            body: bytes or text of known size, or a list of chunks, which Envoy may join or split. With a `Pause` among
                them, the request goes on after that time.
            plugin: name of the plugin that gets the request, if there are several.
        """

    def request(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Pairs = (),
        body: Body = b"",
        *,
        trailers: Pairs = (),
        plugin: str = "",
        timeout: float | None = None,
    ) -> Response:
        """Send a request (see `send`) and wait for the response (see `Pending.response`)."""
        __tracebackhide__ = True
        return self.send(method, path, headers, body, trailers=trailers, plugin=plugin).response(timeout)

    @abstractmethod
    def connect(self, *, plugin: str = "") -> Connection:
        """Open a TCP connection."""

    # --- time -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def tick(self) -> None:
        """Make the plugins tick once: the emulator's clock jumps; Envoy's ticks arrive by themselves."""

    def advance(self, seconds: float) -> None:
        """Let time pass: the emulator's clock jumps, past ticks and answers that are due; in Envoy it is real time.

        Raises:
            TypeError: `seconds` is not a number.
            ValueError: `seconds` is negative, infinite or nan.
        """
        __tracebackhide__ = True
        if not isinstance(seconds, int | float):
            raise TypeError(f"advance takes a number of seconds, not {seconds!r}")
        if not 0 <= seconds < math.inf:
            raise ValueError(f"advance takes a non-negative number of seconds, not {seconds!r}: time only goes forward")
        self._pass_time(seconds)

    @abstractmethod
    def _pass_time(self, seconds: float) -> None:
        """The implementation of `advance` in this world."""

    @abstractmethod
    def eventually(self, predicate: Callable[[], _T], what: str = "", *, seconds: float = SECONDS) -> _T:
        """Wait until `predicate` returns a true value, and return it.

        Raises:
            AssertionError: it did not within `seconds`.
        """

    # --- what is seen -----------------------------------------------------------------------------------------------

    @abstractmethod
    def records(self) -> list[tuple[LogLevel, str]]:
        """The records that the filter has logged since the test began, with levels."""

    def logs(self, level: LogLevel | str | None = None) -> list[str]:
        """The messages logged by the filter since the test began, optionally of one level ("info", `LogLevel.WARN`)."""
        wanted = LogLevel[level.upper()] if isinstance(level, str) else level
        return [text for at, text in self.records() if wanted is None or at == wanted]

    @abstractmethod
    def records_by_callback(self) -> list[tuple[str, LogLevel, str]]:
        """Like `records`, with the callback (`proxy_on_…`) of each record; always includes the plugin's start."""

    @abstractmethod
    def metric(self, name: str) -> int:
        """The value of a gauge, or the increase of a counter since the test began; 0 if it does not exist."""

    @abstractmethod
    def account(self) -> list[tuple[str, str]]:
        """Titles and texts of what happened, for the report of a failure."""

    @abstractmethod
    def close(self) -> None:
        """Close the world at the end of the test.

        Raises:
            AssertionError: something happened that a test must not overlook, such as a crash.
        """
