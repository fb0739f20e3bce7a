"""Other filters of the chain, for tests of what happens to a stream between them and the filter under test.

    HostEmulator(MyFilter, after=[ExtAuthz("authz")])
    @pytest.mark.pwasm(before=[LuaCall("audit", response=True)], after=[ExtAuthz("authz")])

`before` and `after` are in the order of Envoy's `http_filters`; requests pass them forwards, responses backwards. In
the world "envoy" they are the real filters. In the emulator they are stand-ins ("doubles"), which pause and continue as
the real ones do and do nothing else: no header is added or removed. Another filter written with pwasm
is no double: it is `WasmFilter(path)` in a world, and another `HostEmulator` for the emulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .base import Answered, NeighbourCall
from .chain import REQUEST, RESPONSE, Chain, Link
from .exchange import Exchange, Place
from .headers import Headers
from .local import LocalResponse
from .rules import CONTINUE, HOLD, HOLD_ALL, STREAM_HELD

HOLD_HEADERS = "PWASM_HOLD_HEADERS"
"""The variable that tells a module that it may hold streams by their headers."""
AUTHZ_HEADERS = ("authorization",)
"""The client's headers that an HTTP authoriser gets by default."""


@dataclass(frozen=True)
class ExtAuthz:
    """Envoy's ext_authz: pauses at the request's headers until `cluster` answers, then continues or denies.

    200 allows; any other answer is what the client gets; no answer and 5xx deny with 403. With `grpc`, Envoy asks over
    gRPC; the cluster's handler is the same: it is given the request that is checked and returns a status.
    """

    cluster: str
    grpc: bool = False

    def join(self, stream: Exchange) -> Place:
        """Its double in the chains of a stream."""
        return lambda chain: _Authz(chain, stream, self.cluster) if chain.direction == REQUEST else Link(chain)


@dataclass(frozen=True)
class LuaCall:
    """Envoy's Lua filter with a script that makes an `httpCall` to `cluster` before it lets headers pass.

    Until the answer comes (whatever it is), it holds the headers, and with them the stream.
    """

    cluster: str
    request: bool = True
    response: bool = False

    def join(self, stream: Exchange) -> Place:
        """Its double in the chains of a stream."""
        calls = {REQUEST: self.request, RESPONSE: self.response}
        return lambda chain: _Lua(chain, stream, self.cluster) if calls[chain.direction] else Link(chain)


@dataclass(frozen=True)
class LuaBody:
    """Envoy's Lua filter with a script that reads the whole `body()`: headers and body wait until it is complete."""

    request: bool = True
    response: bool = False

    def join(self, _stream: Exchange) -> Place:
        """Its double in the chains of a stream."""
        reads = {REQUEST: self.request, RESPONSE: self.response}
        return lambda chain: _LuaBody(chain) if reads[chain.direction] else Link(chain)


@dataclass(frozen=True)
class SlowUpstream:
    """The codec at the end of a cluster's `http_filters`: it holds a request until there is a connection to upstream.

    For `place="upstream"`, as the last of `after`. The connection is ready after `seconds`; in Envoy every request gets
    a new one, which takes as long as it takes on the loopback interface.
    """

    seconds: float = 0.0

    def join(self, stream: Exchange) -> Place:
        """Its double in the chains of a stream."""
        return lambda chain: _Connecting(chain, stream, self.seconds) if chain.direction == REQUEST else Link(chain)


@dataclass(frozen=True)
class WasmFilter:
    """Another filter of the chain that is written with pwasm, or any other module, with a VM of its own.

    `path` is a folder with filter.py or go.mod, a .py or a .wasm file, relative to the test. Only worlds know it, since
    they know the tier to run it in.
    """

    path: str | Path
    configuration: str | bytes | Mapping[str, Any] | None = None
    hold_headers: bool = False

    def join(self, _stream: Exchange) -> Place:
        """There is no double of it.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{self}: a HostEmulator takes another HostEmulator as a neighbour, a world a WasmFilter")


NeighbourFilter = ExtAuthz | LuaCall | LuaBody | SlowUpstream | WasmFilter


# --- the doubles ------------------------------------------------------------------------------------------------------


class _Authz(Link):
    def __init__(self, chain: Chain, stream: Exchange, cluster: str) -> None:
        super().__init__(chain)
        self._stream, self._cluster = stream, cluster

    def on_headers(self, end: bool) -> int:
        del end
        assert self.chain.headers is not None
        sent = [pair for pair in self.chain.headers.raw if pair[0][:1] == b":" or pair[0].decode() in AUTHZ_HEADERS]
        NeighbourCall(self._stream.host, self._cluster, Headers(sent), self._decided)
        return HOLD_ALL

    def _decided(self, answer: Answered) -> None:
        status, headers, body = answer
        if self.chain.over:
            return
        if status == 200:
            self.resume()
        elif status >= 500:
            self._stream.reply_locally(LocalResponse(403, "ext_authz_error", b"", Headers(), -1))
        else:
            self._stream.reply_locally(LocalResponse(status, "ext_authz_denied", body, headers, -1))


class _Lua(Link):
    def __init__(self, chain: Chain, stream: Exchange, cluster: str) -> None:
        super().__init__(chain)
        self._stream, self._cluster = stream, cluster
        self._waits = False

    def on_headers(self, end: bool) -> int:
        del end
        self._waits = True
        wanted = Headers([(":method", "GET"), (":path", "/"), (":authority", self._cluster)])
        NeighbourCall(self._stream.host, self._cluster, wanted, self._answered)
        return HOLD

    def on_data(self, data: bytearray, end: bool) -> int:
        del data, end
        return STREAM_HELD if self._waits else CONTINUE  # the limit does not count for it

    def on_trailers(self) -> int:
        return HOLD if self._waits else CONTINUE

    def _answered(self, _answer: Answered) -> None:
        self._waits = False
        self.resume()


class _LuaBody(Link):
    def on_headers(self, end: bool) -> int:
        return CONTINUE if end else HOLD

    def on_data(self, data: bytearray, end: bool) -> int:
        del data
        return CONTINUE if end else HOLD


class _Connecting(Link):
    def __init__(self, chain: Chain, stream: Exchange, seconds: float) -> None:
        super().__init__(chain)
        self._stream, self._seconds = stream, seconds

    def on_headers(self, end: bool) -> int:
        del end
        NeighbourCall(self._stream.host, "", Headers(), lambda _: self.resume()).seconds = self._seconds
        return HOLD_ALL
