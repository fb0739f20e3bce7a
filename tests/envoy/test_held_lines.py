"""A network filter that holds lines until they are complete, alone and beside another that pauses and continues."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pwasm.testing import Answer
from pwasm.testing.worlds.authorizer import GrpcAuthorizer
from pwasm.testing.worlds.envoy_filters import wasm_filter
from pwasm.testing.worlds.messages import Double
from pwasm.testing.worlds.servers import at_once
from pwasm_compiler.envoy.config import TcpListener, Upstream, WasmFilter, bootstrap
from pwasm_compiler.envoy.kinds import typed
from pwasm_compiler.envoy.process import Envoy

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

CHAINS = ("alone", "before", "after", "before authz", "after authz")
CONNECTIONS = 60
SECONDS = 10.0
AUTHZ = {
    "name": "envoy.filters.network.ext_authz",
    "typed_config": typed(
        "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
        stat_prefix="authz",
        transport_api_version="V3",
        grpc_service={"envoy_grpc": {"cluster_name": "gate"}, "timeout": "5s"},
    ),
}
"""It pauses at the first bytes until it has been answered."""


class Sink:
    """Keeps what each connection receives, with times; the first bytes of one are its name."""

    def __init__(self) -> None:
        self.received: list[list[tuple[float, bytes]]] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        self._listener.close()

    def of(self, name: bytes) -> list[tuple[float, bytes]]:
        """What the connection received whose first line is this."""
        found = [pieces for pieces in self.received if pieces and pieces[0][1].lower().startswith(name)]
        return found[0] if found else []

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        pieces: list[tuple[float, bytes]] = []
        self.received.append(pieces)
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                pieces.append((time.monotonic(), data))


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    server = Sink()
    yield server
    server.close()


@pytest.fixture(scope="module", params=["newest", "oldest"])
def envoy(
    request: pytest.FixtureRequest, built: Callable[[str], Path], envoy_of: Callable[[str], Path | None], sink: Sink
) -> Iterator[Envoy]:
    def used(root_id: str) -> WasmFilter:
        return wasm_filter(
            built("held"), hold_headers=False, environment={}, kind="tcp", root_id=root_id, vm_id=root_id
        )

    chains: dict[str, list[Any]] = {
        "alone": [used("line")],
        "before": [used("line"), used("waits_for_data")],
        "after": [used("waits_for_data"), used("line")],
        "before authz": [used("line"), AUTHZ],
        "after authz": [AUTHZ, used("line")],
    }
    listeners = [TcpListener(filters, name=name, upstream="upstream") for name, filters in chains.items()]
    gate = GrpcAuthorizer(Double(lambda _: Answer(200, delay=0.02)))
    upstreams = [Upstream("127.0.0.1", sink.port), Upstream("127.0.0.1", gate.port, "gate", http2=True)]
    config = bootstrap(listeners, upstreams=upstreams)
    # A connection for each question, so that none waits for another's answer.
    (options,) = config["static_resources"]["clusters"][1]["typed_extension_protocol_options"].values()
    options["common_http_protocol_options"] = {"max_requests_per_connection": 1}
    with Envoy(config, executable=envoy_of(request.param)) as running:
        yield running
        running.check_alive()
    gate.close()


def lines(chance: random.Random, name: bytes) -> list[bytes]:
    """Pieces of lines; one never ends with a line unless that is the end of it."""
    pieces = [name]
    for number in range(chance.randint(1, 4)):
        parts = [b"%c" % chance.randint(97, 122) * chance.randint(1, 3) for _ in range(chance.randint(1, 4))]
        pieces += [*parts[:-1], parts[-1] + b"%d\n" % number]
    return pieces


def send(address: tuple[str, int], seed: int, name: bytes, begun: list[tuple[float, int]]) -> bytes:
    """Send lines in pieces; `begun` gets the size of what is complete before each."""
    chance = random.Random(seed)
    whole = b""
    with socket.create_connection(address, timeout=SECONDS) as client, contextlib.suppress(OSError):
        at_once(client)
        for piece in lines(chance, name):
            if piece.endswith(b"\n"):
                begun.append((time.monotonic(), len(whole + piece)))
            client.sendall(piece)
            whole += piece
            time.sleep(chance.choice((0, 0.002, 0.01, 0.03)))
        time.sleep(0.3)
    return whole


@pytest.mark.parametrize("chain", CHAINS)
def test_no_part_of_a_line_passes(envoy: Envoy, sink: Sink, chain: str) -> None:
    address = envoy.listeners()[chain]
    sink.received.clear()
    names = [b"%d/" % number + chain.encode() + b"\n" for number in range(CONNECTIONS)]
    begun: list[list[tuple[float, int]]] = [[] for _ in names]
    with ThreadPoolExecutor(30) as pool:
        sent = list(pool.map(lambda at: send(address, at, names[at], begun[at]), range(CONNECTIONS)))
    time.sleep(0.2)
    assert [record.text for record in envoy.filter_log if record.at_least("warning")] == []
    for name, whole, complete in zip(names, sent, begun, strict=True):
        pieces = sink.of(name)
        got = b"".join(data for _, data in pieces)
        # What another filter holds is shown to this one again, with the next bytes: such is Envoy's chain.
        assert (got.lower() if chain == "before authz" else got.swapcase()) == whole
        size = 0
        for when, data in pieces:
            size += len(data)
            assert size <= max(most for at, most in complete if at <= when)
            assert data.endswith(b"\n")
