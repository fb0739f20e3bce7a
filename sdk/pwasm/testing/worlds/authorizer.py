"""A gRPC authoriser on the loopback interface: `envoy.service.auth.v3.Authorization/Check` for Envoy's ext_authz.

Just enough of HTTP/2 for this one method, so that the test kit needs no gRPC: Envoy's headers are not decoded (what is
checked is in the message), and ours are sent without compression.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import BinaryIO

from ..emulator.headers import Headers
from .messages import Answer, Request
from .servers import HttpServer

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _WINDOW = 0, 1, 3, 4, 6, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_PADDED = 8
_PERMISSION_DENIED = 7
_WIDE = 1 << 24


class GrpcAuthorizer(HttpServer):
    """Answers checks as its double answers the checked requests: 200 allows, any other status denies with it."""

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            if stream.read(len(_PREFACE)) != _PREFACE:
                return
            connection.sendall(_frame(_SETTINGS, 0, 0, b"") + _frame(_WINDOW, 0, 0, struct.pack(">I", _WIDE)))
            messages: dict[int, bytes] = {}
            for kind, flags, number, payload in _frames(stream):
                if kind in {_SETTINGS, _PING} and not flags & _ACK:
                    connection.sendall(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
                if kind == _RESET:
                    messages.pop(number, None)
                if kind == _DATA:
                    data = payload[1 : -payload[0] or None] if flags & _PADDED else payload
                    messages[number] = messages.get(number, b"") + data
                if (
                    kind in {_DATA, _HEADERS}
                    and flags & _END_STREAM
                    and not self._check(connection, number, messages.pop(number, b""))
                ):
                    return

    def _check(self, connection: socket.socket, number: int, message: bytes) -> bool:
        """Answer one check; False if the connection is to be closed."""
        answer = self._answer(checked(message[5:]))
        if answer.fault == "silence":
            return self._wait(None)
        if answer.fault or not self._wait(answer.seconds):
            return False
        verdict = _verdict(answer)
        data = b"\0" + struct.pack(">I", len(verdict)) + verdict
        head = _header(b":status", b"200") + _header(b"content-type", b"application/grpc")
        with contextlib.suppress(OSError):
            connection.sendall(
                _frame(_HEADERS, _END_HEADERS, number, head)
                + _frame(_DATA, 0, number, data)
                + _frame(_HEADERS, _END_HEADERS | _END_STREAM, number, _header(b"grpc-status", b"0"))
            )
        return True


def checked(message: bytes) -> Request:
    """The request in a CheckRequest: attributes (1), request (4), http (2)."""
    for number in (1, 4, 2):
        message = next((value for found, value in _fields(message) if found == number), b"")
    texts = {number: value for number, value in _fields(message) if number != 3}
    pairs = [dict(_fields(value)) for number, value in _fields(message) if number == 3]
    headers = Headers([(pair.get(1, b""), pair.get(2, b"")) for pair in pairs if pair.get(1, b":")[:1] != b":"])
    method, path, host = (texts.get(number, b"").decode() for number in (2, 4, 5))
    return Request(headers, method=method, path=path, authority=host)


def _verdict(answer: Answer) -> bytes:
    """A CheckResponse: status (1) with its code (1), and for a denial (2) status, headers and body."""
    if answer.status == 200:
        return _field(1, b"")
    options = b"".join(
        _field(2, _field(1, _field(1, name.encode()) + _field(2, value.encode())))
        for name, value in dict(answer.headers).items()
    )
    denied = _field(1, _number(1, answer.status)) + options + _field(3, b"".join(answer.chunks()))
    return _field(1, _number(1, _PERMISSION_DENIED)) + _field(2, denied)


# --- HTTP/2 and protocol buffers --------------------------------------------------------------------------------------


def _frames(stream: BinaryIO) -> Iterator[tuple[int, int, int, bytes]]:
    while len(head := stream.read(9)) == 9:
        number = int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
        yield head[3], head[4], number, stream.read(int.from_bytes(head[:3], "big"))


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + payload


def _header(name: bytes, value: bytes) -> bytes:
    """A literal header field without indexing."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message that have a length; the others have no content here."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        if key & 7 == 2:
            size, place = _varint(message, place)
            yield key >> 3, message[place : place + size]
            place += size
        elif key & 7 == 0:
            _, place = _varint(message, place)
        else:
            place += {1: 8, 5: 4}.get(key & 7, len(message))


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, place


def _encoded(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _number(number: int, value: int) -> bytes:
    return _encoded(number << 3) + _encoded(value)


def _field(number: int, value: bytes) -> bytes:
    return _encoded(number << 3 | 2) + _encoded(len(value)) + value
