"""An HTTP/1.1 server that reads whole requests and answers with chunks and a trailer; prints its port.

It ends when its standard input does. Loopback only.
"""

from __future__ import annotations

import os
import socket
import sys
import threading

ANSWER = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-trailer: t\r\n\r\n"


def serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as stream:
        while stream.readline():
            headers = b"".join(iter(stream.readline, b"\r\n")).lower()
            if b"transfer-encoding: chunked" in headers:
                while stream.readline().strip() not in (b"0", b""):
                    stream.readline()
                for _ in iter(stream.readline, b"\r\n"):
                    pass
            elif b"content-length:" in headers:
                stream.read(int(headers.partition(b"content-length:")[2].split()[0]))
            connection.sendall(ANSWER)


def accept(listener: socket.socket) -> None:
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


server = socket.create_server(("127.0.0.1", 0), backlog=64)
print(server.getsockname()[1], flush=True)
threading.Thread(target=accept, args=(server,), daemon=True).start()
sys.stdin.read()
os._exit(0)
