"""An HTTP/1.1 server that reads whole requests and answers with chunks and a trailer; prints its port.

`python -m tests.support.upstream`. It ends when its standard input does. Loopback only.
"""

from __future__ import annotations

import os
import socket
import sys
import threading

from tests.support.http1 import chunk, last_chunk, read

ANSWER = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"hello") + last_chunk([("x-trailer", "t")])


def serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as stream:
        while read(stream, is_request=True).start:
            connection.sendall(ANSWER)


def accept(listener: socket.socket) -> None:
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(server.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(server,), daemon=True).start()
    sys.stdin.read()
    os._exit(0)
