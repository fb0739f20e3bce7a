"""HTTP/1.1 as bytes on a socket, for the client and the servers of the Envoy world.

It uses no HTTP library, because tests must see and send what libraries hide: trailers, repeated headers, chunks.
"""

from __future__ import annotations

import http.client
from typing import BinaryIO, NamedTuple

from pwasm._serde import to_bytes, to_text

from ..emulator.headers import Headers
from .messages import Answer, Request, Response

_FRAMING = frozenset({"transfer-encoding", "connection"})


class Raw(NamedTuple):
    """A message as received; `complete` is False if the connection ended before the message."""

    start: str
    headers: Headers
    body: bytes = b""
    trailers: Headers = Headers()
    complete: bool = True


def request_bytes(
    method: str, path: str, headers: list[tuple[str, str]], chunks: list[bytes], trailers: list[tuple[str, str]]
) -> list[bytes]:
    """A request in pieces, each to be sent on its own."""
    authority = next((value for name, value in headers if name.lower() in {":authority", "host"}), "example.com")
    own = [pair for pair in headers if pair[0].lower() not in {":authority", "host"}]
    if trailers:
        own.append(("te", "trailers"))
    head = f"{method} {path} HTTP/1.1\r\nhost: {authority}\r\n"
    return _pieces(head, own, chunks, trailers)


def answer_bytes(answer: Answer, *, bodyless: bool = False) -> list[bytes]:
    """An answer in pieces, each to be sent on its own."""
    reason = http.client.responses.get(answer.status, "Unknown")
    headers, trailers = answer.all_headers(), list(dict(answer.trailers).items())
    return _pieces(f"HTTP/1.1 {answer.status} {reason}\r\n", headers, [] if bodyless else answer.chunks(), trailers)


def _pieces(
    head: str, headers: list[tuple[str, str]], chunks: list[bytes], trailers: list[tuple[str, str]]
) -> list[bytes]:
    pieces = [to_bytes(head) + _lines(headers) + b"\r\n"]
    if any(name.lower() == "transfer-encoding" for name, _ in headers):
        pieces += [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
        return [*pieces, b"0\r\n" + _lines(trailers) + b"\r\n"]
    return pieces + chunks


def _lines(pairs: list[tuple[str, str]]) -> bytes:
    return b"".join(b"%s: %s\r\n" % (to_bytes(name), to_bytes(value)) for name, value in pairs)


def read_request(stream: BinaryIO) -> Request | None:
    """The next request of a connection; None at its end."""
    raw = _read(stream, to_end=False)
    method, _, rest = raw.start.partition(" ")
    if not raw.complete or not rest:
        return None
    path = rest.rpartition(" ")[0]
    authority = raw.headers.get("host") or ""
    return Request(_without(raw.headers, {"host", *_FRAMING}), raw.body, raw.trailers, method, path, authority)


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


def _read(stream: BinaryIO, *, to_end: bool, bodyless: bool = False) -> Raw:
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
    if "chunked" in ",".join(headers.get_all("transfer-encoding")):
        return _read_chunks(stream, start, headers)
    length = headers.get("content-length")
    if length is None and not to_end:
        return Raw(start, headers)
    wanted = -1 if length is None else int(length)
    body = _read_body(stream, wanted)
    return Raw(start, headers, body, complete=wanted in {-1, len(body)})


def _read_body(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, or everything for -1; fewer if the connection fails."""
    body = b""
    try:
        while (size < 0 or len(body) < size) and (
            piece := stream.read1(65536 if size < 0 else size - len(body))  # type: ignore[attr-defined]
        ):
            body += piece
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


def _read_chunks(stream: BinaryIO, start: str, headers: Headers) -> Raw:
    body = b""
    try:
        while size := stream.readline():
            if int(size, 16) == 0:
                return Raw(start, headers, body, _read_headers(stream))
            body += _read_body(stream, int(size, 16))
            stream.readline()
    except (ConnectionError, TimeoutError):
        pass
    return Raw(start, headers, body, complete=False)
