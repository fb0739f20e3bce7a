"""The load generator for when there is no wrk: `python -m pwasm_compiler.bench.client`, configured on standard input.

One thread, a few keep-alive connections, one request at a time on each. It reads only what it must know about a
response: its status and where it ends (RFC 9112 §6.3).
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
import statistics
import sys
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_TIMEOUT_SECONDS = 10.0
_STATUS_LINE = re.compile(r"http/1\.[01] \d{3}( |$)")


@dataclass
class Counts:
    """The combined results of all connections; times in seconds."""

    until: float
    left: float
    """The number of requests that may still be sent."""
    times: list[float] = field(default_factory=list)
    other: int = 0


def request_bytes(host: str, asked: dict[str, Any]) -> bytes:
    """The request as sent over the wire."""
    body = base64.b64decode(asked["body"]) if asked["body"] is not None else None
    headers = {"host": host, **{name.lower(): value for name, value in asked["headers"].items()}}
    if body is not None:
        headers["content-length"] = str(len(body))
    lines = [f"{asked['method']} {asked['path']} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


async def read_answer(reader: asyncio.StreamReader, method: str) -> tuple[int, bool]:
    """The status of the next response, and whether the connection stays open after it."""
    status = 100
    while 100 <= status < 200:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        first, *lines = head.decode("latin-1").split("\r\n")
        if not _STATUS_LINE.match(first):
            raise ValueError(f"not an HTTP/1 response: {first[:80]!r}")
        status = int(first[9:12])
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    if method == "HEAD" or status in (204, 304):
        pass
    elif headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readline()).partition(b";")[0], 16):
            await reader.readexactly(size + 2)
        while await reader.readline() not in (b"\r\n", b""):
            pass
    elif "content-length" in headers:
        await reader.readexactly(int(headers["content-length"]))
    else:
        await reader.read()
        return status, False
    return status, headers.get("connection") != "close"


async def connection(host: str, port: int, request: bytes, method: str, counts: Counts) -> None:
    """Send and read until the time is up; a connection closed by the server is reopened."""
    while counts.left > 0 and time.monotonic() < counts.until:
        reader, writer = await asyncio.open_connection(host, port)
        alive = True
        while alive and counts.left > 0 and (begin := time.monotonic()) < counts.until:
            counts.left -= 1
            writer.write(request)
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                status, alive = await read_answer(reader, method)
            counts.times.append(time.monotonic() - begin)
            counts.other += not 200 <= status < 400
        writer.close()


async def run(asked: dict[str, Any]) -> dict[str, float]:
    """The fields of a `LoadResult`."""
    server = urllib.parse.urlsplit(asked["server"])
    host, port = server.hostname or "127.0.0.1", server.port or 80
    request = request_bytes(server.netloc, asked)
    begin = time.monotonic()
    counts = Counts(begin + asked["seconds"], math.inf if asked["requests"] is None else asked["requests"])
    async with asyncio.TaskGroup() as group:
        for _ in range(asked["connections"]):
            group.create_task(connection(host, port, request, asked["method"], counts))
    seconds = time.monotonic() - begin
    if not counts.times:
        raise ValueError("no request was answered")
    cuts = statistics.quantiles(counts.times, n=100, method="inclusive") if len(counts.times) > 1 else counts.times * 99
    return {
        "requests": len(counts.times),
        "requests_per_second": len(counts.times) / seconds,
        "p50": 1e6 * cuts[49],
        "p99": 1e6 * cuts[98],
        "other": counts.other,
    }


def main() -> None:
    """Read the configuration, run it, print the figures; exit with a message if a connection fails."""
    try:
        figures = asyncio.run(run(json.load(sys.stdin)))
    except Exception as error:  # not `except*`, from which a group would escape again, with its traceback
        sys.exit("; ".join(sorted({_words(one) for one in _leaves(error)})))
    print(json.dumps(figures))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _words(error: BaseException) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "the server closed the connection before responding"
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
