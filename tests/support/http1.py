"""HTTP/1 on the wire, for both ends: messages are read exactly as sent, even those that libraries would reject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

Pairs = Sequence[tuple[str, str | bytes]]


class Message(NamedTuple):
    """A request or a response; names in lower case, everything else as it came."""

    start: bytes = b""
    headers: Sequence[tuple[str, bytes]] = ()
    body: bytes = b""
    trailers: Sequence[tuple[str, bytes]] = ()
    complete: bool = True
    """Whether it came to its end before the connection did."""
    reset: bool = False
    """Whether the connection did not end but fail."""

    @property
    def status(self) -> int:
        """Of a response; 0 when the connection was closed without one."""
        return int(self.start.split()[1]) if self.start else 0

    def all(self, name: str) -> list[bytes]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]

    def one(self, name: str) -> bytes | None:
        """The value of a header that may be there once."""
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else None


def lines(pairs: Pairs, encoding: str = "utf-8") -> bytes:
    """Headers or trailers."""
    return b"".join(b"%s: %s\r\n" % (_bytes(name, encoding), _bytes(value, encoding)) for name, value in pairs)


def chunk(data: bytes) -> bytes:
    """A piece of a body without a length; nothing for no data, which would be its end."""
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: Pairs = (), encoding: str = "utf-8") -> bytes:
    """The end of such a body."""
    return b"0\r\n" + lines(trailers, encoding) + b"\r\n"


def read(stream: BinaryIO, *, is_request: bool = False, bodyless: bool = False, to_end: bool = False) -> Message:
    """The next message of a connection; one without a start line at its end.

    Args:
        stream: The connection.
        is_request: What names no size has no body; a response lasts until the end of the connection.
        bodyless: There is no body, whatever the headers say.
        to_end: The body is all that comes, whatever content-length says.
    """
    message = Message()
    try:
        message = Message(stream.readline().rstrip(b"\r\n"), _read_headers(stream))
        if bodyless or not message.start:
            return message
        if b"chunked" in b",".join(message.all("transfer-encoding")):
            return _read_chunks(stream, message)
        length = None if to_end else message.one("content-length")
        if length is None and is_request:
            return message
        body = stream.read(-1 if length is None else int(length))
    except ConnectionError:
        return message._replace(complete=False, reset=True)
    return message._replace(body=body, complete=length is None or len(body) == int(length))


def _read_chunks(stream: BinaryIO, message: Message) -> Message:
    body = b""
    try:
        while size := stream.readline():
            if int(size, 16) == 0:
                return message._replace(body=body, trailers=_read_headers(stream))
            body += stream.read(int(size, 16))
            stream.readline()
    except ConnectionError:
        return message._replace(body=body, complete=False, reset=True)
    return message._replace(body=body, complete=False)


def _read_headers(stream: BinaryIO) -> list[tuple[str, bytes]]:
    found = []
    for line in iter(stream.readline, b"\r\n"):
        if not line:
            break
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        found.append((name.decode("latin-1").lower(), value.strip(b" ")))
    return found


def _bytes(text: str | bytes, encoding: str) -> bytes:
    return text if isinstance(text, bytes) else text.encode(encoding)
