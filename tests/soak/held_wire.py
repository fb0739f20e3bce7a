"""Both ends of a stream whose pieces are looked at one by one: what has come of a message, and HTTP/2's client."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 1, 1, 4, 8
_MOST = 16384
_STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
"""HPACK's indexed `:status` fields."""
_DIGITS = {0: "0", 1: "1", 2: "2", 25: "3", 26: "4", 27: "5", 28: "6", 29: "7", 30: "8", 31: "9"}
"""HPACK's codes: three of five bits, seven of six."""


@dataclass
class Received:
    """What has come of a message, and when how much of its body."""

    head: bytes = b""
    body: bytes = b""
    status: int = 0
    complete: bool = False
    trailers: bool = False
    times: list[tuple[int, int]] = field(default_factory=list)

    def see(self, body: bytes) -> None:
        """This much of the body has come now."""
        if len(body) > len(self.body):
            self.times.append((time.time_ns(), len(body)))
        self.body = body


# --- HTTP/1 ----------------------------------------------------------------------------------------------------------


def receive(connection: socket.socket, into: Received) -> None:
    """Read one message to its end, or that of the connection."""
    raw = b""
    with contextlib.suppress(OSError):
        while not into.complete and (data := connection.recv(65536)):
            raw += data
            _decode(raw, into)


def _decode(raw: bytes, into: Received) -> None:
    into.head, found, rest = raw.partition(b"\r\n\r\n")
    if not found:
        return
    start, *lines = into.head.lower().split(b"\r\n")
    if start.startswith(b"http/"):
        into.status = int(start.split()[1])
    fields = dict(line.split(b": ", 1) for line in lines if b": " in line)
    if b"chunked" not in fields.get(b"transfer-encoding", b""):
        length = int(fields.get(b"content-length", b"0"))
        into.see(rest[:length])
        into.complete = len(rest) >= length
        return
    body = b""
    while True:
        size, found, after = rest.partition(b"\r\n")
        if not found:
            break
        count = int(size, 16)
        if not count:
            into.complete = after.startswith(b"\r\n") or b"\r\n\r\n" in after
            into.trailers = into.complete and not after.startswith(b"\r\n")
            break
        body += after[:count]
        rest = after[count + 2 :]
        if len(after) < count + 2:
            break
    into.see(body)


# --- HTTP/2 ----------------------------------------------------------------------------------------------------------


class Http2Client:
    """One request on a connection of its own."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        settings = b"\0\4" + (1 << 24).to_bytes(4, "big")  # the initial window
        connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(8, 0, 0, (1 << 24).to_bytes(4, "big")))

    def headers(self, pairs: list[tuple[str, str]], *, end: bool = False) -> None:
        """The request's headers or trailers."""
        block = b"".join(b"\0" + _text(name) + _text(value) for name, value in pairs)
        self._connection.sendall(_frame(_HEADERS, _END_HEADERS | end, 1, block))

    def data(self, data: bytes, *, end: bool = False) -> None:
        """A piece of the body."""
        pieces = [data[at : at + _MOST] for at in range(0, len(data), _MOST)] or [b""]
        for number, piece in enumerate(pieces, 1):
            last = end and number == len(pieces)
            self._connection.sendall(_frame(_DATA, _END_STREAM if last else 0, 1, piece))

    def receive(self, into: Received) -> None:
        """Read the response to its end, or that of the connection."""
        with contextlib.suppress(OSError), self._connection.makefile("rb") as stream:
            for kind, flags, payload in _frames(stream):
                if kind == _SETTINGS and not flags & _ACK:
                    self._connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
                elif kind == _HEADERS and not into.status:
                    into.status = _status(payload)
                elif kind == _HEADERS:
                    into.trailers = True
                elif kind == _DATA:
                    into.see(into.body + (payload[1 : -payload[0] or None] if flags & _PADDED else payload))
                if kind in {_RESET, _GOAWAY}:
                    return
                if kind in {_DATA, _HEADERS} and flags & _END_STREAM:
                    into.complete = True
                    return


def _frames(stream: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    while len(head := stream.read(9)) == 9:
        yield head[3], head[4], stream.read(int.from_bytes(head[:3], "big"))


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + payload


def _text(text: str) -> bytes:
    """A string in HPACK: its length in a prefix of seven bits."""
    data, size = text.encode(), len(text)
    if size < 127:
        return bytes([size]) + data
    head, size = bytearray([127]), size - 127
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size]) + data


def _status(block: bytes) -> int:
    """The first field of a response, which is `:status`."""
    while block[0] & 0xE0 == 0x20:  # the table's size
        block = block[1:]
    if block[0] & 0x80:
        return _STATUS[block[0] & 0x7F]
    size, text = block[1] & 0x7F, block[2:]
    if not block[1] & 0x80:
        return int(text[:size])
    bits = "".join(f"{byte:08b}" for byte in text[:size])
    found = ""
    for _ in range(3):
        width = 5 if int(bits[:5], 2) < 3 else 6
        found, bits = found + _DIGITS[int(bits[:width], 2)], bits[width:]
    return int(found)
