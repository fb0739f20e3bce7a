"""The messages that a test exchanges with a filter: requests, responses, and the answers of simulated servers.

A handler may return:

    Answer(200, {"x-a": "1"}, "body", delay=0.5)      a complete answer
    403                                               a status
    "text" or b"bytes"                                a body
    {"ok": True}                                      a JSON document
    RESET, SILENCE                                    no answer: the connection is closed, or nothing is ever sent

REFUSED, in place of a handler, makes the server refuse connections.

A body may be bytes, text, or a list of pieces. A `Pause` among them is time that passes before the next piece, or the
end, is sent: `body=[b"evil", Pause(0.9), b"rest"]`. It is the emulator's time there, and real in Envoy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..emulator.headers import Headers

Pairs = Iterable[tuple[str, str]] | Mapping[str, str]


@dataclass(frozen=True)
class Pause:
    """Time between two pieces of a body, or between the last one and the end of the message."""

    seconds: float


Piece = bytes | Pause
Body = bytes | str | Sequence[Piece]


def pairs_of(given: Pairs) -> list[tuple[str, str]]:
    """Headers in any of the forms that a test may use, as pairs."""
    return list(given.items() if isinstance(given, Mapping) else given)


@dataclass(frozen=True)
class Message:
    """The common base of requests and responses. `headers` does not include pseudo-headers."""

    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    trailers: Headers = field(default_factory=Headers)

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as a JSON document."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Request(Message):
    """A request as received by a server."""

    method: str = "GET"
    path: str = "/"
    authority: str = ""


@dataclass(frozen=True)
class Response(Message):
    """A response as received by the client."""

    status: int | None = None
    """None if there was no response: the stream was closed, or the plugin held it longer than the test waited."""
    complete: bool = True
    """False if the stream was closed before the end of the response."""
    details: str = ""
    """The details that the filter passed with a local response; known only in the emulator."""


@dataclass(frozen=True)
class Answer:
    """A server's answer. A body of several pieces is sent without announcing its size; `delay` is in seconds."""

    status: int = 200
    headers: Pairs = ()
    body: Body = b""
    trailers: Pairs = ()
    delay: float = 0.0
    fault: str = ""
    """"reset", "silence" or "refused": there is no answer."""

    def pieces(self) -> list[Piece]:
        """The body in pieces; none if it is empty."""
        return pieces_of(self.body)

    def chunks(self) -> list[bytes]:
        """The same without pauses."""
        return [piece for piece in self.pieces() if isinstance(piece, bytes)]

    @property
    def seconds(self) -> float:
        """How long it takes until all of it is there."""
        return self.delay + sum(piece.seconds for piece in self.pieces() if isinstance(piece, Pause))

    def all_headers(self) -> list[tuple[str, str]]:
        """The headers, including those that an HTTP/1.1 server adds for the body."""
        return framed(pairs_of(self.headers), self.body, trailers=bool(self.trailers), status=self.status)


RESET = Answer(fault="reset")
"""The server closes the connection instead of answering."""
SILENCE = Answer(fault="silence")
"""The server never answers."""
REFUSED = Answer(fault="refused")
"""In place of a handler: the server refuses connections."""

Handler = Callable[[Request], Any] | Answer | bytes | str | int | Mapping[str, Any]
TcpHandler = Callable[[bytes], bytes | None]

_BODYLESS = frozenset({204, 304})


def pieces_of(body: Body) -> list[Piece]:
    """A body in any of its forms as pieces, of which none is empty."""
    if isinstance(body, str):
        body = body.encode()
    return [piece for piece in ([body] if isinstance(body, bytes) else body) if piece]


def whole(body: Body) -> bytes:
    """All bytes of a body."""
    return b"".join(piece for piece in pieces_of(body) if isinstance(piece, bytes))


def framed(headers: list[tuple[str, str]], body: Body, *, trailers: bool, status: int = 0) -> list[tuple[str, str]]:
    """The headers with `content-length`, or `transfer-encoding` for chunks, unless the test sets one of them.

    `status` is 0 for a request, which has no `content-length` without a body.
    """
    names = {name.lower() for name, _ in headers}
    if names & {"content-length", "transfer-encoding"} or status in _BODYLESS:
        return headers
    if trailers or not isinstance(body, (bytes, str)):
        return [*headers, ("transfer-encoding", "chunked")]
    size = len(body.encode() if isinstance(body, str) else body)
    return [*headers, ("content-length", str(size))] if size or status else headers


def check_end(rest: bytes) -> None:
    """Check that nothing follows a response on its connection.

    Raises:
        AssertionError: something does, and a client would take it for its next response.
    """
    if rest:
        raise AssertionError(f"the response has a wrong length: a client would take its next response to be {rest!r}")


def answer_of(value: Any) -> Answer:
    """Convert a handler's result to an answer.

    Raises:
        TypeError: the result has an unsupported type.
    """
    if isinstance(value, Answer):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Answer(status=value)
    if isinstance(value, (bytes, str)):
        return Answer(body=value)
    if isinstance(value, Mapping):
        return Answer(headers=[("content-type", "application/json")], body=json.dumps(value))
    raise TypeError(f"a handler must return an Answer, a status, a body or a dict, not {value!r}")


class Double:
    """A simulated server: the upstream, or a cluster that the filter calls.

    `handler` determines its answers and may be replaced during the test; `requests` are the requests it received.
    """

    def __init__(self, handler: Handler, *, greeting: bytes = b"", tcp: TcpHandler | None = None) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self.greeting = greeting
        """TCP: the data it sends first."""
        self.tcp = tcp or _echo
        """TCP: its answer to each piece it receives; None closes the connection."""
        self.received = b""
        """TCP: all data it received."""
        self.see_arriving: Callable[[], list[Request]] = list
        """How the world finds `arriving`."""

    @property
    def arriving(self) -> list[Request]:
        """Requests of which it has got something, but not the end: their headers, and the bytes so far."""
        return self.see_arriving()

    @property
    def refuses(self) -> bool:
        """Whether the server refuses connections."""
        return self.handler is REFUSED

    def answer(self, request: Request) -> Answer:
        """Record the request and answer it."""
        self.requests.append(request)
        handler = self.handler
        return answer_of(handler(request) if callable(handler) else handler)

    def answer_tcp(self, data: bytes) -> bytes | None:
        """Record the data and answer it."""
        self.received += data
        return self.tcp(data)


def _echo(data: bytes) -> bytes:
    return data
