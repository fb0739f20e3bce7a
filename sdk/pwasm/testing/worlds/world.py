"""One test body, three worlds: the filter's classes in CPython, the built module in wasmtime, a real Envoy.

    @pytest.mark.pwasm(configuration={"header": "x-one"}, clusters={"auth": 403})
    def test_refused(pwasm_world):
        assert pwasm_world.request("GET", "/").status == 403

`World` is what a test may say in all of them; `Setup` is what the marker says.
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

from .messages import Body, Double, Handler, Pairs, Request, Response, TcpHandler

_T = TypeVar("_T")
Configuration = str | bytes | Mapping[str, Any] | None
Metadata = Mapping[str, Mapping[str, str]]

TIERS = ("python", "wasm", "envoy")
SECONDS = 10.0
"""How long anything may take before a test fails, unless the test says how long it waits."""


def hello(_request: Request) -> str:
    """What upstream answers unless the test says otherwise."""
    return "hello from upstream"


@dataclass(frozen=True)
class Plugin:
    """One use of the module; several of them share a VM. Traffic goes to the one that `request(plugin=…)` names."""

    name: str = ""
    root_id: str = ""
    configuration: Configuration = None
    kind: str = ""
    """"http", "tcp", "plugin" (no traffic), or "" for what the filter is."""


@dataclass(frozen=True)
class Setup:
    """What `@pytest.mark.pwasm(…)` says; a marker on a test adds to those on its class and its module."""

    filter: str | Path = ""
    """A folder with filter.py, a .py file or a .wasm file, relative to the test; "" is the nearest filter.py."""
    configuration: Configuration = None
    vm_configuration: Configuration = None
    kind: str = ""
    root_id: str = ""
    vm_id: str = ""
    plugins: tuple[Plugin, ...] = ()
    """Several uses of the module in one VM, instead of `kind`, `root_id` and `configuration`."""
    upstream: Handler = hello
    clusters: Mapping[str, Handler] = field(default_factory=dict)
    route_metadata: Metadata = field(default_factory=dict)
    """Metadata of the route that requests take, by namespace: the property `xds.route_metadata`."""
    cluster_metadata: Metadata = field(default_factory=dict)
    """Metadata of upstream's cluster, by namespace: the property `xds.cluster_metadata`."""
    greeting: bytes = b""
    tcp: TcpHandler | None = None
    workers: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    time: float | None = None
    """The emulator's clock at the start, in seconds since 1970; None for the real time."""
    starts: bool = True
    """False: the plugin must refuse to start; `logs` is all such a world has."""
    fresh: bool = False
    """An Envoy for this test alone; otherwise tests of a module that ask for the same share one, and its VM."""

    def all_plugins(self, kind: str) -> tuple[Plugin, ...]:
        """The plugins with what they leave open filled in."""
        given = self.plugins or (Plugin(root_id=self.root_id, configuration=self.configuration, kind=self.kind),)
        return tuple(Plugin(p.name, p.root_id, p.configuration, p.kind or self.kind or kind) for p in given)


def payload(value: Configuration) -> bytes:
    """A configuration as the plugin reads it; a mapping as its JSON text."""
    if value is None or isinstance(value, bytes):
        return value or b""
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode()


class Pending(ABC):
    """A request on its way."""

    @abstractmethod
    def response(self, timeout: float | None = None) -> Response:
        """Wait for the response.

        Args:
            timeout: for how many seconds. What is not there by then is no error but a response whose `status` is None,
                or that is not `complete`: for tests of a filter that holds streams.

        Raises:
            AssertionError: without `timeout`, when the response does not come; it says what holds the stream.
        """


class Connection(ABC):
    """A TCP connection to the filter."""

    @abstractmethod
    def send(self, data: bytes, *, end: bool = False) -> None:
        """Send data; with `end`, no more follows."""

    @abstractmethod
    def receive(self, size: int = 0, *, timeout: float = SECONDS) -> bytes:
        """Exactly `size` bytes, or for 0 whatever comes next; fewer when the connection is closed or nothing comes."""

    @abstractmethod
    def receive_all(self, *, timeout: float = SECONDS) -> bytes:
        """Everything until the filter or upstream closes the connection."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class World(ABC):
    """A filter and its surroundings. `upstream` and `clusters` stand in for servers: see `messages.Double`."""

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
        """Send a request and do not wait; for several at once.

        Args:
            method, path, headers: `headers` may have `:authority`.
            body: bytes or text of known size, or a list of chunks. Envoy may join or split chunks on their way.
            plugin: name of the plugin to go through, when there are several.
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
        """Let the plugins tick once: the emulator's clock jumps; Envoy's own ticks come by themselves."""

    def advance(self, seconds: float) -> None:
        """Let time pass: the emulator's clock jumps, ticks and answers included; in Envoy it is real time.

        Raises:
            TypeError: `seconds` is not a number.
            ValueError: it is negative, infinite or not a number at all (nan).
        """
        __tracebackhide__ = True
        if not isinstance(seconds, int | float):
            raise TypeError(f"advance takes a number of seconds, not {seconds!r}")
        if not 0 <= seconds < math.inf:
            raise ValueError(f"advance takes a number of seconds from 0 on, not {seconds!r}: time only goes forward")
        self._pass_time(seconds)

    @abstractmethod
    def _pass_time(self, seconds: float) -> None:
        """`advance`, in this world."""

    @abstractmethod
    def eventually(self, predicate: Callable[[], _T], what: str = "", *, seconds: float = SECONDS) -> _T:
        """The first true result of `predicate`, as time passes.

        Raises:
            AssertionError: there was none within `seconds`.
        """

    # --- what is seen -----------------------------------------------------------------------------------------------

    @abstractmethod
    def records(self) -> list[tuple[LogLevel, str]]:
        """What the filter has logged since the test began, with levels."""

    def logs(self, level: LogLevel | str | None = None) -> list[str]:
        """What the filter has logged since the test began; of one level ("info", `LogLevel.WARN`), if one is given."""
        wanted = LogLevel[level.upper()] if isinstance(level, str) else level
        return [text for at, text in self.records() if wanted is None or at == wanted]

    @abstractmethod
    def records_by_callback(self) -> list[tuple[str, LogLevel, str]]:
        """As `records`, with the callback (`proxy_on_…`) in which it was logged; the plugin's start is always there."""

    @abstractmethod
    def metric(self, name: str) -> int:
        """A gauge's value, or by how much a counter has grown since the test began; 0 when there is none."""

    @abstractmethod
    def account(self) -> list[tuple[str, str]]:
        """For the report of a failure: titles and texts of what happened."""

    @abstractmethod
    def close(self) -> None:
        """The test is over.

        Raises:
            AssertionError: something happened that no test may overlook, such as a crash.
        """
