"""HTTP/1 as bytes: as lenient as a client and an upstream must be to see what really comes."""

from __future__ import annotations

import contextlib
import socket
from typing import Any


def lines(pairs: Any) -> bytes:
    """Headers as they go over the wire."""
    return b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in pairs)


def read_all(client: socket.socket) -> bytes:
    """What comes until the connection ends, in whatever way."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while chunk := client.recv(65536):
            data += chunk
    return data


def read_request(stream: Any) -> dict[str, Any] | None:
    """A request by its framing; None at the end of the connection."""
    start = stream.readline()
    if not start:
        return None
    headers = _read_headers(stream)
    names = dict(headers)
    request: dict[str, Any] = {"start": start.decode("latin-1").strip(), "headers": headers, "body": "", "trailers": []}
    if "chunked" in names.get("transfer-encoding", ""):
        body = b""
        while size := int(stream.readline() or b"0", 16):
            body += stream.read(size)
            stream.readline()
        request["body"], request["trailers"] = body.decode("latin-1"), _read_headers(stream)
    elif "content-length" in names:
        request["body"] = stream.read(int(names["content-length"])).decode("latin-1")
    return request


def _read_headers(stream: Any) -> list[list[str]]:
    found = []
    for line in iter(stream.readline, b"\r\n"):
        if not line:
            break
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        found.append([name.decode("latin-1"), value.strip(b" ").decode("latin-1")])
    return found


def message(data: bytes, *, head: bool = False) -> dict[str, Any]:
    """A response from all bytes of its connection, whatever its headers say about its length."""
    if not data:
        return {"status": None}
    data = data.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    start, _, rest = data.partition(b"\r\n")
    block, _, body = (b"\r\n" + rest).partition(b"\r\n\r\n")
    headers = [line.partition(b":") for line in block.split(b"\r\n")[1:]]
    pairs = [[name.decode("latin-1"), value.strip(b" ").decode("latin-1")] for name, _, value in headers]
    trailers: list[list[str]] = []
    complete = True
    if ["transfer-encoding", "chunked"] in pairs and not head:
        body, trailers, complete = _dechunk(body)
    status = int(start.split()[1])
    return {
        "status": status,
        "headers": pairs,
        "body": body.decode("latin-1"),
        "trailers": trailers,
        "complete": complete,
    }


def _dechunk(data: bytes) -> tuple[bytes, list[list[str]], bool]:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        if int(size, 16) == 0:
            parts = [line.partition(b":") for line in data.split(b"\r\n") if line]
            return body, [[name.decode("latin-1"), value.strip().decode("latin-1")] for name, _, value in parts], True
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body, [], False
