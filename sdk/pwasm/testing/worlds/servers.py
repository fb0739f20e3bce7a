"""Real servers on the loopback interface for the Envoy world; a `Double` determines their answers.

A server outlives the tests of a module; each test sets its own double.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import BinaryIO

from .messages import Answer, Double, Request
from .wire import answer_bytes, read_request

_BACKLOG = 128
_LINGER_ZERO = struct.pack("ii", 1, 0)


class Server:
    """Accepts connections on a free port; the first bytes of a connection are left to `HttpServer` or `TcpServer`."""

    def __init__(self, double: Double) -> None:
        self.double = double
        self.errors: list[BaseException] = []
        """Exceptions of handlers, for the test to raise."""
        self._over = threading.Event()
        self._test_over = threading.Event()
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"pwasm-double-{self.port}", daemon=True).start()

    def give(self, double: Double) -> None:
        """Start serving another test, and abandon pending answers of the previous one."""
        self._test_over.set()
        self._test_over = threading.Event()
        self.double = double
        self.errors.clear()

    def close(self) -> None:
        """Stop accepting connections and close the existing ones."""
        self._over.set()
        self._test_over.set()
        # Closing alone does not wake a thread that is blocked in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
                at_once(connection)
            except OSError:
                return
            threading.Thread(target=self._serve_safely, args=(connection,), daemon=True).start()

    def _serve_safely(self, connection: socket.socket) -> None:
        self._connections.add(connection)
        try:
            with connection, contextlib.suppress(OSError):
                self._serve(connection)
        finally:
            self._connections.discard(connection)

    def _serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def _wait(self, seconds: float | None) -> bool:
        """Wait; False if the test ended first."""
        return not self._test_over.wait(seconds)


class HttpServer(Server):
    """Answers HTTP/1.1 requests."""

    def __init__(self, double: Double) -> None:
        self.arriving: dict[int, Request] = {}
        """What has come of the requests that are not complete, by connection."""
        super().__init__(double)

    def give(self, double: Double) -> None:
        """As in `Server`; the double sees what is arriving."""
        super().give(double)
        self.arriving.clear()
        double.see_arriving = lambda: list(self.arriving.values())

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while (request := self._read(stream)) is not None:
                answer = self._answer(request)
                if answer.fault == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
                    return
                if answer.fault == "silence":
                    self._wait(None)
                    return
                if answer.delay and not self._wait(answer.delay):
                    return
                for piece in answer_bytes(answer, bodyless=request.method == "HEAD"):
                    if isinstance(piece, bytes):
                        connection.sendall(piece)
                    elif not self._wait(piece.seconds):
                        return

    def _read(self, stream: BinaryIO) -> Request | None:
        """The next request, which is among `arriving` until it is complete."""
        arriving, key = self.arriving, id(stream)
        try:
            return read_request(stream, lambda request: arriving.__setitem__(key, request))
        finally:
            arriving.pop(key, None)

    def _answer(self, request: Request) -> Answer:
        try:
            return self.double.answer(request)
        except BaseException as error:
            self.errors.append(error)
            return Answer(500, body=f"the handler raised {error!r}")


class TcpServer(Server):
    """Answers pieces of TCP data."""

    def _serve(self, connection: socket.socket) -> None:
        if self.double.greeting:
            connection.sendall(self.double.greeting)
        while data := connection.recv(65536):
            try:
                answer = self.double.answer_tcp(data)
            except BaseException as error:
                self.errors.append(error)
                return
            if answer is None:
                return
            connection.sendall(answer)


def at_once(connection: socket.socket) -> None:
    """Send each piece immediately: the kernel would hold back the second until Envoy acknowledges, 40 ms later."""
    with contextlib.suppress(OSError):  # the connection is already closed, which its user will notice
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def refusing_port() -> int:
    """A port without a listener, which no other process gets while this one exists."""
    return _hold(socket.socket())


def own_port() -> int:
    """A port for an Envoy that must know it before it starts: Envoy can share it, and no other process gets it."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return _hold(holder)


_held: list[socket.socket] = []


def _hold(holder: socket.socket) -> int:
    holder.bind(("127.0.0.1", 0))
    _held.append(holder)
    port: int = holder.getsockname()[1]
    return port
