"""HTTP/1.1 as bytes on a socket, for the client and the servers of the Envoy world.

It uses no HTTP library, because tests must see and send what libraries hide: trailers, repeated headers, chunks.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from pwasm._serde import to_bytes, to_text

from ..emulator.headers import Headers
from .messages import Answer, Pause, Piece, Request, Response

_FRAMING = frozenset({"transfer-encoding", "connection"})


class Raw(NamedTuple):
    """A message as received; `complete` is False if the connection ended before the message."""

    start: str
    headers: Headers
    body: bytes = b""
    trailers: Headers = Headers()
    complete: bool = True


def request_bytes(
    method: str, path: str, headers: list[tuple[str, str]], pieces: list[Piece], trailers: list[tuple[str, str]]
) -> list[Piece]:
    """A request in pieces, each to be sent on its own."""
    authority = next((value for name, value in headers if name.lower() in {":authority", "host"}), "example.com")
    own = [pair for pair in headers if pair[0].lower() not in {":authority", "host"}]
    if trailers:
        own.append(("te", "trailers"))
    head = f"{method} {path} HTTP/1.1\r\nhost: {authority}\r\n"
    return _pieces(head, own, pieces, trailers)


def answer_bytes(answer: Answer, *, bodyless: bool = False) -> list[Piece]:
    """An answer in pieces, each to be sent on its own."""
    reason = http.client.responses.get(answer.status, "Unknown")
    headers, trailers = answer.all_headers(), list(dict(answer.trailers).items())
    return _pieces(f"HTTP/1.1 {answer.status} {reason}\r\n", headers, [] if bodyless else answer.pieces(), trailers)


def _pieces(
    head: str, headers: list[tuple[str, str]], pieces: list[Piece], trailers: list[tuple[str, str]]
) -> list[Piece]:
    start = to_bytes(head) + _lines(headers) + b"\r\n"
    chunked = any(name.lower() == "transfer-encoding" for name, _ in headers)
    body: list[Piece] = [_chunk(piece) if chunked and isinstance(piece, bytes) else piece for piece in pieces]
    end: list[Piece] = [b"0\r\n" + _lines(trailers) + b"\r\n"] if chunked else []
    return _joined([start, *body, *end])


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _joined(pieces: list[Piece]) -> list[Piece]:
    """If there are pauses, all that is to be sent between two of them is one piece: it arrives together."""
    if not any(isinstance(piece, Pause) for piece in pieces):
        return pieces
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if isinstance(piece, bytes) and isinstance(last, bytes):
            found[-1] = last + piece
        else:
            found.append(piece)
    return found


def _lines(pairs: list[tuple[str, str]]) -> bytes:
    return b"".join(b"%s: %s\r\n" % (to_bytes(name), to_bytes(value)) for name, value in pairs)


def read_request(stream: BinaryIO, arriving: Callable[[Request], None] = lambda _: None) -> Request | None:
    """The next request of a connection; None at its end. `arriving` is told what is there of one that goes on."""
    raw = _read(stream, to_end=False, arriving=lambda raw: arriving(_request_of(raw)))
    return _request_of(raw) if raw.complete and " " in raw.start else None


def _request_of(raw: Raw) -> Request:
    method, _, rest = raw.start.partition(" ")
    authority = raw.headers.get("host") or ""
    headers = _without(raw.headers, {"host", *_FRAMING})
    return Request(headers, raw.body, raw.trailers, method, rest.rpartition(" ")[0], authority)


def read_response(stream: BinaryIO, *, bodyless: bool) -> Response:
    """The response on a connection; without a status if the connection ends before there is one."""
    while True:
        raw = _read(stream, to_end=True, bodyless=bodyless)
        if not raw.start:
            return Response(status=None, complete=False)
        status = int(raw.start.split()[1])
        if status >= 200:
            return Response(_without(raw.headers, _FRAMING), raw.body, raw.trailers, status, raw.complete)


def _without(headers: Headers, names: frozenset[str] | set[str]) -> Headers:
    return Headers([(name, value) for name, value in headers.raw if to_text(name) not in names])


def _nobody(_raw: Raw) -> None:
    """Nobody wants to know what is arriving."""


def _read(stream: BinaryIO, *, to_end: bool, bodyless: bool = False, arriving: Callable[[Raw], None] = _nobody) -> Raw:
    """Read one message; with `to_end`, a message of unknown size extends to the end of the connection."""
    try:
        start = to_text(stream.readline().rstrip(b"\r\n"))
        headers = _read_headers(stream)
    except (ConnectionError, TimeoutError):
        return Raw("", Headers(), complete=False)
    if not start:
        return Raw("", headers, complete=False)
    words = start.split()
    if bodyless or (to_end and words[1][:1] == "1") or (to_end and words[1] in {"204", "304"}):
        return Raw(start, headers)
    chunked = "chunked" in ",".join(headers.get_all("transfer-encoding"))
    length = headers.get("content-length")
    if length is None and not to_end and not chunked:
        return Raw(start, headers)

    def so_far(body: bytes) -> None:
        arriving(Raw(start, headers, body, complete=False))

    so_far(b"")
    if chunked:
        return _read_chunks(stream, start, headers, so_far)
    wanted = -1 if length is None else int(length)
    body = _read_body(stream, wanted, so_far)
    return Raw(start, headers, body, complete=wanted in {-1, len(body)})


def _read_body(stream: BinaryIO, size: int, so_far: Callable[[bytes], None]) -> bytes:
    """Read `size` bytes, or everything for -1; fewer if the connection fails."""
    body = b""
    try:
        while (size < 0 or len(body) < size) and (
            piece := stream.read1(65536 if size < 0 else size - len(body))  # type: ignore[attr-defined]
        ):
            body += piece
            so_far(body)
    except (ConnectionError, TimeoutError):
        pass
    return body


def _read_headers(stream: BinaryIO) -> Headers:
    found = []
    for line in iter(stream.readline, b"\r\n"):
        if not line:
            break
        name, _, value = line.partition(b":")
        found.append((name, value.strip()))
    return Headers(found)


def _read_chunks(stream: BinaryIO, start: str, headers: Headers, so_far: Callable[[bytes], None]) -> Raw:
    body = b""
    try:
        while size := stream.readline():
            if int(size, 16) == 0:
                return Raw(start, headers, body, _read_headers(stream))
            before = body
            body += _read_body(stream, int(size, 16), lambda piece, before=before: so_far(before + piece))  # type: ignore[misc]
            stream.readline()
    except (ConnectionError, TimeoutError):
        pass
    return Raw(start, headers, body, complete=False)
