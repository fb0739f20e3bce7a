"""HTTP/1 as the cases have it: text in Latin-1, and a response is all that its connection brings."""

from __future__ import annotations

import contextlib
import io
import socket
from typing import Any, BinaryIO

from tests.support.http1 import Message, read


def read_all(client: socket.socket) -> bytes:
    """What comes until the connection ends, in whatever way."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65536):
            data += piece
    return data


def read_request(stream: BinaryIO) -> dict[str, Any] | None:
    """A request by its framing; None at the end of the connection."""
    found = read(stream, is_request=True)
    if not found.start or found.reset:
        return None
    return {"start": found.start.decode("latin-1").strip(), **shown(found)}


def message(data: bytes, *, head: bool = False) -> dict[str, Any]:
    """A response from all bytes of its connection, whatever its headers say about its length."""
    if not data:
        return {"status": None}
    found = read(io.BytesIO(data.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")), bodyless=head, to_end=True)
    return {"status": found.status, **shown(found), "complete": found.complete}


def shown(found: Message) -> dict[str, Any]:
    """The parts of a message, as text."""
    return {
        "headers": [[name, value.decode("latin-1")] for name, value in found.headers],
        "body": found.body.decode("latin-1"),
        "trailers": [[name, value.decode("latin-1")] for name, value in found.trailers],
    }
