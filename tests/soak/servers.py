"""The servers behind the Envoys, each in a separate process, so that they do not share an interpreter with the client.

callee   answers after 50 ms, and one request in twenty not at all
sink     reads bodies to their end, however long
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
from collections.abc import Iterator

DELAY_SECONDS = 0.05
SILENT_EACH = 20
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ncalled"
_END = b"0\r\n\r\n"


@contextlib.contextmanager
def callee() -> Iterator[int]:
    """The port of a server for callouts."""
    with _process(_serve_callouts) as port:
        yield port


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """The port of a server for chunked bodies without the byte 0 in them."""
    with _process(_serve_bodies) as port:
        yield port


@contextlib.contextmanager
def _process(serve: object) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        process = multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True)  # type: ignore[arg-type]
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.kill()
            process.join()


def _serve_callouts(listener: socket.socket) -> None:
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                seen += 1
                if seen % SILENT_EACH == 0:
                    await reader.read()  # until Envoy gives up
                    break
                await asyncio.sleep(DELAY_SECONDS)
                writer.write(_ANSWER)
                await writer.drain()
        writer.close()

    async def main() -> None:
        await (await asyncio.start_server(serve, sock=listener)).serve_forever()

    asyncio.run(main())


def _serve_bodies(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            tail = b""
            while data := connection.recv(1 << 20):
                tail = (tail + data)[-len(_END) :]
                if tail == _END:
                    connection.sendall(_ANSWER)
                    tail = b""
