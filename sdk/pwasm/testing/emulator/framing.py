"""What HTTP/1 peers make of a message whose headers contradict its body.

Envoy sends both as the filters left them (docs/abi.md §0.5, §6). The next peer goes by the headers: it waits for bytes
that never come, or takes those that are too many for its next message. On HTTP/2, Envoy or the peer resets the stream.
"""

from __future__ import annotations

from .headers import Headers
from .rules import holds

_BODILESS = ("1", "204", "304")


def awaited(headers: Headers, body: bytes, *, has_body: bool) -> str:
    """What upstream waits for after a whole request, or cannot read; "" if it has everything."""
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if not holds("upstream goes by the headers of a request"):
        return ""
    if coding is not None and (length is not None or not has_body):
        return f"upstream waits for chunks: transfer-encoding is {coding}, and the body is not sent in chunks"
    if length is None:
        return ""
    if not (length.isascii() and length.isdigit()):
        return f"upstream cannot read the request: content-length is {length!r}"
    missing = int(length) - len(body)
    return f"upstream waits for {missing} more bytes: content-length is {length}" if missing > 0 else ""


def announced(headers: Headers, body: bytes) -> int:
    """How many bytes of a body belong to its message."""
    length = headers.get("content-length")
    return int(length) if length is not None and length.isascii() and length.isdigit() else len(body)


def beyond(status: int | None, headers: Headers, body: bytes) -> bytes:
    """The bytes of a response that an HTTP/1 client takes for the next one on the connection."""
    return body if _is_bodiless(status) else body[announced(headers, body) :]


def lacking(status: int | None, headers: Headers, body: bytes) -> int:
    """How many bytes of a response an HTTP/1 client still waits for."""
    return 0 if _is_bodiless(status) else max(announced(headers, body) - len(body), 0)


def last_chunk(trailers: Headers) -> bytes:
    """The end of a body in chunks."""
    return b"0\r\n" + b"".join(b"%s: %s\r\n" % pair for pair in trailers.raw) + b"\r\n"


def _is_bodiless(status: int | None) -> bool:
    return str(status).startswith(_BODILESS)
