"""A registry that sends any bytes, without a network: what it sends for each connection stands in one input.

An input is a letter, which says what is asked of the registry, and then the responses, one for each connection, with
`BETWEEN` between them; the next connection is refused. The client is the real one from the sockets up.
"""

from __future__ import annotations

import base64
import functools
import http.client
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from pwasm_compiler.oci import image, manifest, unpack
from pwasm_compiler.oci.credentials import Credentials
from pwasm_compiler.oci.mesh_rules import registry_problems
from pwasm_compiler.oci.reference import parse_reference
from pwasm_compiler.oci.registry import Registry
from pwasm_compiler.oci.transport import Transport

BETWEEN = b"\n%%\n"
REGISTRY, STORAGE, TOKENS = "127.0.0.1:5000", "127.0.0.1:6000", "127.0.0.1:7000"
PASSWORD = "only-for-the-registry"
KNOWN = Credentials("anna", PASSWORD)
BASIC = base64.b64encode(f"anna:{PASSWORD}".encode())
MODULE = b"\0asm\1\0\0\0"
LIMIT = 1 << 20
LAYER = manifest.OCI_LAYER


@dataclass
class Wire:
    """Every connection: whom it went to, what was sent, and what came back."""

    responses: list[bytes]
    made: list[tuple[str, bytearray, bytes]] = field(default_factory=list)

    def connect(self, host: str) -> _Socket:
        if not self.responses:
            raise ConnectionRefusedError(111, "Connection refused")
        sent, answer = bytearray(), self.responses.pop(0)
        self.made.append((host, sent, answer))
        return _Socket(sent, answer)

    def leaks(self) -> list[str]:
        """Who got the password without being the registry, or named by the registry itself."""
        named = b"".join(answer for host, _, answer in self.made if host == REGISTRY).lower()
        return [
            host
            for host, sent, _ in self.made
            if (BASIC in sent or PASSWORD.encode() in sent)
            and host != REGISTRY
            and host.partition(":")[0].encode() not in named
        ]


class _Socket:
    def __init__(self, sent: bytearray, answer: bytes) -> None:
        self._sent, self._answer = sent, answer

    def sendall(self, data: bytes) -> None:
        self._sent += data

    def makefile(self, mode: str, buffering: int = -1) -> io.BytesIO:
        assert (mode, buffering) == ("rb", 0)
        return io.BytesIO(self._answer)

    def close(self) -> None:
        pass


@contextmanager
def wired(wire: Wire) -> Iterator[None]:
    """While the block runs, every HTTP connection goes over `wire`."""

    def connect(self: Any) -> None:
        self.sock = wire.connect(f"{self.host}:{self.port}".lower())

    both = (http.client.HTTPConnection, http.client.HTTPSConnection)
    with mock.patch.object(both[0], "connect", connect), mock.patch.object(both[1], "connect", connect):
        yield


@functools.cache
def _transport() -> Transport:
    """One for all: reading the system's certificates takes longer than everything else."""
    return Transport(pause=lambda _: None)


def registry(data: bytes) -> None:
    """Ask for what the first letter says; whatever comes back, nobody else gets the password."""
    kind, wire = data[:1], Wire(data[1:].split(BETWEEN))
    known = KNOWN if kind.isupper() else None
    client = Registry(parse_reference(f"{REGISTRY}/a/b:x"), _transport(), credentials=lambda _: known, chunk_bytes=64)
    try:
        with wired(wire):
            if kind in b"cC":
                registry_problems(client.challenges())
            elif kind in b"uU":
                client.push(image.make_image(MODULE, {}))
            else:
                found = client.manifest()
                layer = unpack.module_layer(found)
                unpack.extract(layer, client.blob(layer), LIMIT)
    finally:
        assert wire.leaks() == []


def response(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A response as a registry would send it."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def session(kind: str, *responses: bytes) -> bytes:
    """An input."""
    return kind.encode() + BETWEEN.join(responses)


MADE = image.make_image(MODULE, {})
MANIFEST = response(MADE.manifest.raw, Content_Type=MADE.manifest.media_type)
BLOB = response(MADE.blobs[MADE.manifest.layers[0].digest])
CHALLENGE = response(
    status="401 Unauthorized",
    WWW_Authenticate=f'Bearer realm="http://{TOKENS}/token",service="s",scope="repository:a/b:pull"',
)
TOKEN = response(json.dumps({"token": "t0ken"}).encode())
MOVED = response(status="307 Temporary Redirect", Location=f"http://{STORAGE}/x?signature=1")
BY_CHUNKS = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x\r\n" % len(MADE.manifest.raw)
    + MADE.manifest.raw
    + b"\r\n0\r\n\r\n"
)
UPLOAD = response(status="202 Accepted", Location="/v2/a/b/blobs/uploads/1?state=x")
CREATED = response(status="201 Created")
MISSING = response(b'{"errors":[{"code":"BLOB_UNKNOWN","message":"no"}]}', "404 Not Found")


def sessions() -> list[bytes]:
    """Registries that behave, and the ways in which they may answer."""
    parts = [response(MADE.blobs[part.digest]) for part in MADE.manifest.parts]
    return [
        session("p", MANIFEST, BLOB),
        session("p", BY_CHUNKS, MOVED, BLOB),
        session("P", CHALLENGE, TOKEN, MANIFEST, BLOB),
        session("P", response(status="401 U", WWW_Authenticate='Basic realm="x"'), MANIFEST, MOVED, BLOB),
        session("P", MOVED, CHALLENGE, TOKEN),
        session("p", response(status="429 Too Many Requests", Retry_After="1"), MANIFEST, BLOB),
        session("c", CHALLENGE),
        session(
            "U", CHALLENGE, TOKEN, MISSING, UPLOAD, UPLOAD, CREATED, response(), CREATED, MANIFEST, MANIFEST, *parts
        ),
    ]
