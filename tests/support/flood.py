"""Load with little of it spent in the client: keep-alive connections, answers read as bytes. Loopback only."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

SECONDS = 30.0
"""How long an answer may take."""


@dataclass(frozen=True)
class Request:
    """One kind of request."""

    method: str = "GET"
    path: str = "/"
    headers: tuple[str, ...] = ()
    body: bytes = b""

    def encoded(self) -> bytes:
        """As HTTP/1.1."""
        size = [f"content-length: {len(self.body)}"] if self.body else []
        lines = [f"{self.method} {self.path} HTTP/1.1", "host: example.com", *self.headers, *size, "", ""]
        return "\r\n".join(lines).encode() + self.body


def send(port: int, requests: Sequence[Request], count: int, *, connections: int = 4) -> Counter[int]:
    """Send `count` requests, each kind in its turn; how many answers had which status.

    A connection that ends goes on as a new one; the request that it left without an answer counts as status 0.
    """
    counts = [Counter[int]() for _ in range(connections)]
    kinds = [request.encoded() for request in requests]

    def work(number: int) -> None:
        first, last = number * count // connections, (number + 1) * count // connections
        while first < last:
            first += _one_connection(port, kinds, range(first, last), counts[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts, Counter[int]())


def _one_connection(port: int, kinds: Sequence[bytes], numbers: range, statuses: Counter[int]) -> int:
    """How many were sent before the connection ended."""
    done = 0
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as client, client.makefile("rb") as stream:
            for done, number in enumerate(numbers, 1):
                client.sendall(kinds[number % len(kinds)])
                status, closes = _answer(stream)
                statuses[status] += 1
                if closes:  # as Envoy does after an answer to an unfinished request
                    return done
    except OSError:
        statuses[0] += 1
        return done or 1
    return done


def _answer(stream: BinaryIO) -> tuple[int, bool]:
    """The status of the next answer, which is read to its end, and whether it is the last; 0 when there is none."""
    status, size, chunked, closes = stream.readline()[9:12], 0, False, False
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.lower().partition(b":")
        if name == b"content-length":
            size = int(value)
        closes = closes or (name == b"connection" and b"close" in value)
        chunked = chunked or (name == b"transfer-encoding" and b"chunked" in value)
    stream.read(size)
    while chunked and (size := int(stream.readline(), 16)):
        stream.read(size + 2)
    while chunked and stream.readline() not in (b"\r\n", b""):
        pass  # trailers
    return int(status or 0), closes or not status
