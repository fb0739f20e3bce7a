"""Both ends of the wire around an Envoy: clients, upstreams, an access log; and the reports of a filter."""

from __future__ import annotations

import ast
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pwasm_compiler.envoy import programs
from pwasm_compiler.envoy.config import RESTRICTED_VM_SINCE, version_of
from pwasm_compiler.envoy.module import read_module
from pwasm_compiler.envoy.process import Envoy
from tests.support.http1 import Message, Pairs, chunk, last_chunk, lines, read

_T = TypeVar("_T")
Address = tuple[str, int]

SECONDS = 10.0
"""How long anything may take before a test fails."""

ACCESS_LOG = {
    "path": "%REQ(:PATH)%",
    "code": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "state": "%FILTER_STATE(wasm.state:PLAIN)%",
    "route": "%ROUTE_NAME%",
}


def eventually(ask: Callable[[], _T], what: str = "it") -> _T:
    """The first answer of `ask` that is true."""
    deadline = time.monotonic() + SECONDS
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} did not happen within {SECONDS:g} s: {answer!r}"
        time.sleep(0.01)


# --- HTTP/1.1 -----------------------------------------------------------------------------------------------------


def request(
    address: Address,
    path: str,
    headers: Pairs = (),
    *,
    method: str | None = None,
    body: bytes | None = None,
    chunks: Sequence[bytes] | None = None,
    trailers: Pairs = (),
) -> Message:
    """Send a request on a new connection and read the response to its end."""
    with socket.create_connection(address, timeout=SECONDS) as client:
        method = method or ("GET" if body is None and chunks is None else "POST")
        client.sendall(_request(method, path, headers, body, chunks, trailers))
        with client.makefile("rb") as stream:
            return read(stream, bodyless=method == "HEAD")


class Client:
    """A connection that is kept, so that one worker gets all its requests."""

    def __init__(self, address: Address) -> None:
        self._socket = socket.create_connection(address, timeout=SECONDS)
        self._stream = self._socket.makefile("rb")

    def request(self, path: str) -> Message:
        """Send a GET and read the answer."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nhost: test.example\r\n\r\n".encode())
        return read(self._stream)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
        self._socket.close()


def _request(
    method: str, path: str, headers: Pairs, body: bytes | None, chunks: Sequence[bytes] | None, trailers: Pairs
) -> bytes:
    pairs = [("host", "test.example"), ("te", "trailers"), ("connection", "close"), *headers]
    if body is not None:
        pairs.append(("content-length", str(len(body))))
    if chunks is not None:
        pairs.append(("transfer-encoding", "chunked"))
        body = b"".join(map(chunk, chunks)) + last_chunk(trailers)
    return f"{method} {path} HTTP/1.1\r\n".encode() + lines(pairs) + b"\r\n" + (body or b"")


class HttpUpstream:
    """Keeps every request by its path (`no request`: what is none), and answers as the word after the `?` says.

    `plain`, `trailers`, `big`, `unknown_size` (chunked), `404`, `empty`, `cut` (a part of the body, then nothing),
    `silent` (no answer until `release` is set), `reset` (the connection is closed instead).
    """

    def __init__(self) -> None:
        self.received: dict[str, list[Message]] = {}
        self.release = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=_accept, args=(self._listener, self._serve), daemon=True).start()

    def one(self, path: str) -> Message:
        """The only request with this path."""
        (message,) = self.received.get(path, [])
        return message

    def close(self) -> None:
        """Accept no more."""
        self.release.set()
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError), connection.makefile("rb") as stream:
            while (message := read(stream, is_request=True)).start:
                path = message.start.split()[1].decode() if b" HTTP/1.1" in message.start else "no request"
                self.received.setdefault(path, []).append(message)
                how = path.partition("?")[2].partition("&")[0]
                if path == "no request":
                    return
                if how == "reset":
                    return
                if how == "silent":
                    self.release.wait(SECONDS)
                connection.sendall(ANSWERS.get(how, ANSWERS["plain"]))
                if how == "cut":
                    return


def _answer(status: str, headers: Pairs = (), body: bytes = b"", *, rest: bytes | None = None) -> bytes:
    shape = ("content-length", str(len(body))) if rest is None else ("transfer-encoding", "chunked")
    return f"HTTP/1.1 {status}\r\n".encode() + lines([*headers, shape]) + b"\r\n" + (body if rest is None else rest)


_ANSWER_HEADERS: Pairs = [
    ("x-from", "upstream"),
    ("x-twice", "1"),
    ("x-twice", "2"),
    ("x-gone", "soon"),
    ("x-bytes", b"\xff"),
]
ANSWERS: Mapping[str, bytes] = {
    "plain": _answer("200 OK", _ANSWER_HEADERS, b"hello upstream"),
    "trailers": _answer(
        "200 OK",
        _ANSWER_HEADERS,
        rest=chunk(b"hello")
        + chunk(b" upstream")
        + last_chunk([("x-trailer", "1"), ("x-trailer", "2"), ("x-gone", "soon")]),
    ),
    "big": _answer("200 OK", _ANSWER_HEADERS, b"b" * 200),
    "unknown_size": _answer("200 OK", _ANSWER_HEADERS, rest=chunk(b"b" * 200) + last_chunk()),
    "404": _answer("404 Not Found", (), b"nothing here"),
    "empty": _answer("200 OK"),
    "cut": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly a part",
}


def _accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


# --- TCP ----------------------------------------------------------------------------------------------------------


class TcpUpstream:
    """Says `greeting` to each connection, echoes in upper case, and closes after `quit`."""

    def __init__(self, greeting: bytes = b"") -> None:
        self.received: list[bytes] = []
        self.greeting = greeting
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=_accept, args=(self._listener, self._serve), daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):
            if self.greeting:
                connection.sendall(self.greeting)
            while data := connection.recv(65536):
                self.received.append(data)
                if data == b"quit":
                    return
                connection.sendall(data.upper())


def read_to_end(client: socket.socket) -> bytes:
    """Everything received until the connection is closed, in whatever way."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while chunk := client.recv(65536):
            data += chunk
    return data


# --- Envoy --------------------------------------------------------------------------------------------------------


class AccessLog:
    """Envoy's access log of every HTTP listener, as dicts; `ACCESS_LOG` names the fields."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def wait(self, path: str) -> dict[str, Any]:
        """The first entry of a request to `path`."""
        return eventually(lambda: next(iter(self.entries(path)), {}), f"an access log entry for {path}")

    def entries(self, path: str) -> list[dict[str, Any]]:
        """All entries of requests to `path`."""
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        complete = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [entry for entry in complete if entry["path"] == path]


def prepare(config: dict[str, Any], folder: Path) -> AccessLog:
    """Trailers on both sides, which Envoy drops unless told otherwise, and an access log."""
    for listener in config["static_resources"]["listeners"]:
        for entry in listener["filter_chains"][0]["filters"]:
            if entry["name"] == "envoy.filters.network.http_connection_manager":
                prepare_manager(entry["typed_config"], folder)
    for cluster in config["static_resources"]["clusters"]:
        if "typed_extension_protocol_options" not in cluster:
            cluster["http_protocol_options"] = {"enable_trailers": True}
    return AccessLog(folder / "access.log")


def prepare_manager(manager: dict[str, Any], folder: Path) -> None:
    """The same for one HTTP connection manager."""
    manager["http_protocol_options"] = {"enable_trailers": True}
    log = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": str(folder / "access.log"),
        "log_format": {"json_format": ACCESS_LOG},
    }
    manager["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": log}]


def restrict(config: Any) -> None:
    """Give every filter in a bootstrap the restriction that `pwasm config` would."""
    if isinstance(config, list):
        for item in config:
            restrict(item)
    if not isinstance(config, dict):
        return
    for item in config.values():
        restrict(item)
    if (vm := config.get("vm_config")) is not None:
        found = programs.envoy()
        version = version_of(found.version if found else "")
        module = read_module(Path(vm["code"]["local"]["filename"]))
        place = vm if version >= RESTRICTED_VM_SINCE else config
        place["capability_restriction_config"] = {"allowed_capabilities": {name: {} for name in module.capabilities}}


@contextmanager
def running(config: dict[str, Any], *, expected: tuple[str, ...] = (), **options: Any) -> Iterator[Envoy]:
    """An Envoy whose filters are restricted to the hostcalls that their modules use.

    On leaving it must be alive, nothing may have trapped, been reloaded, been forbidden or failed unexpectedly.
    """
    restrict(config)
    with Envoy(config, arguments=("--file-flush-interval-msec", "10", "--drain-time-s", "0"), **options) as envoy:
        yield envoy
        stats = envoy.stats("wasm.")
        envoy.check_alive()
    assert {name: value for name, value in stats.items() if "vm_reload" in name and value} == {}
    assert [record.message for record in envoy.log if "failed: Uncaught" in record.message] == []
    assert [record.message for record in envoy.log if "restricted" in record.message] == []
    errors = [record.text for record in envoy.filter_log if record.at_least("error")]
    assert [text for text in errors if not any(re.search(wanted, text) for wanted in ("on purpose", *expected))] == []


def reported(envoy: Envoy, name: str, count: int = 1) -> Any:
    """What the filter passed to `report(name, …)`, the `count`-th time."""
    record = envoy.wait_for_log(f"@{name}: ", count=count)
    return ast.literal_eval(record.text.partition(f"@{name}: ")[2])


class World:
    """An Envoy with a client and an upstream around it."""

    eventually = staticmethod(eventually)

    def __init__(self, envoy: Envoy, upstream: Any = None, access_log: AccessLog | None = None) -> None:
        self.envoy = envoy
        self.upstream = upstream
        self.access_log = access_log
        self.addresses = envoy.listeners()

    def request(self, path: str, *args: Any, to: str = "cases", **options: Any) -> Message:
        """Send a request to a listener."""
        return request(self.addresses[to], path, *args, **options)

    def reported(self, name: str, count: int = 1) -> Any:
        """See the function of this name."""
        return reported(self.envoy, name, count)

    def details(self, path: str) -> str:
        """The response code details of the first request to `path`."""
        assert self.access_log is not None
        details: str = self.access_log.wait(path)["details"]
        return details

    def client(self, to: str) -> Client:
        """A connection to a listener that is kept."""
        return Client(self.addresses[to])

    read_to_end = staticmethod(read_to_end)
