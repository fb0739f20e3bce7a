"""HTTP connections that end: a server that sends or takes its bytes one by one cannot hold pwasm for ever.

`http.client` limits the time of each read, not of all of them, and reads without a limit what is no body: interim
responses, and the lines after the last chunk. Here every byte of a response is counted where it arrives. In all a
request has `seconds`, and one second more for each `SLOWEST` bytes, of at most `limit` plus what framing costs.
"""

from __future__ import annotations

import functools
import http.client
import io
import ssl
import time
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

SLOWEST = 16 << 10
"""Bytes per second, on the average of a whole transfer."""
_FRAMING = 8 << 20
"""Bytes of headers (http.client takes 100 lines of 64 KiB) and of interim responses."""
_OVERHEAD = 8
"""A chunk of one byte is sent as six."""

Tick = Callable[[int], None]


class Clock:
    """What one exchange may still cost; `tick` raises when that is used up."""

    def __init__(self, seconds: float, limit: int, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._end = now() + seconds
        self._bytes = 0
        self._limit = _FRAMING + _OVERHEAD * limit

    def tick(self, count: int) -> None:
        """`count` more bytes were transferred.

        Raises:
            TimeoutError: the transfer takes too long for its size.
            http.client.HTTPException: the response is longer than any that was asked for.
        """
        self._bytes += count
        if self._bytes > self._limit:
            raise http.client.HTTPException("it does not end")
        if self._now() > self._end + self._bytes / SLOWEST:
            raise TimeoutError("timed out")


class ClockedRequest(urllib.request.Request):
    """A request with the clock of its exchange."""

    def __init__(self, clock: Clock, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.clock = clock


class _Clocked(io.RawIOBase):
    """The bytes of a socket, counted."""

    def __init__(self, raw: Any, clock: Clock) -> None:
        self._raw = raw
        self._clock = clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._clock.tick(0)
        count: int | None = self._raw.readinto(buffer)
        self._clock.tick(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Socket:
    """What a response needs of its socket."""

    def __init__(self, sock: Any, clock: Clock) -> None:
        self._sock = sock
        self._clock = clock

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        return io.BufferedReader(_Clocked(self._sock.makefile(mode, buffering=0), self._clock))


class _Response(http.client.HTTPResponse):
    def __init__(self, clock: Clock, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(_Socket(sock, clock), *arguments, **options)  # type: ignore[arg-type]


def response(clock: Clock, sock: Any, *arguments: Any, **options: Any) -> http.client.HTTPResponse:
    """The response that arrives at `sock`; reading it raises what `Clock.tick` does."""
    return _Response(clock, sock, *arguments, **options)


Connection = TypeVar("Connection", bound=http.client.HTTPConnection)


def clocked(connection: Connection, clock: Clock) -> Connection:
    """The same connection, whose responses raise what `Clock.tick` does."""
    connection.response_class = functools.partial(response, clock)  # type: ignore[assignment]
    return connection


def _connection(of: Callable[..., Any], clock: Clock, *arguments: Any, **options: Any) -> Any:
    return clocked(of(*arguments, **options), clock)


class HttpHandler(urllib.request.HTTPHandler):
    """Opens `ClockedRequest`s over plain HTTP."""

    def http_open(self, req: urllib.request.Request) -> Any:
        assert isinstance(req, ClockedRequest)
        return self.do_open(functools.partial(_connection, http.client.HTTPConnection, req.clock), req)


class HttpsHandler(urllib.request.HTTPSHandler):
    """Opens `ClockedRequest`s over TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._tls = context

    def https_open(self, req: urllib.request.Request) -> Any:
        assert isinstance(req, ClockedRequest)
        connect = functools.partial(_connection, http.client.HTTPSConnection, req.clock)
        return self.do_open(connect, req, context=self._tls)
