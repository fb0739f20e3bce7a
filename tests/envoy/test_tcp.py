"""TCP connections through a filter in a real Envoy, seen from both ends.

The filter is tests/projects/whole_api/tcp_cases.py; each listener's plugin configuration says what it does.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.envoy.config import TcpListener, Upstream, WasmFilter, bootstrap
from tests.support import wire

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

CASES = [
    "watch",
    "edit",
    "replace",
    "hold",
    "hold data",
    "continue and pause",
    "close downstream",
    "close upstream",
    "closed by upstream",
    "other cluster",
]


@pytest.fixture(scope="module")
def world(built: Callable[[str], Path]) -> Iterator[Any]:
    upstream, other = wire.TcpUpstream(), wire.TcpUpstream(greeting=b"the other one")
    listeners = [
        TcpListener(
            [WasmFilter(built("whole_api"), kind="tcp", name=case, root_id="tcp", configuration=case)],
            name=case,
            upstream="upstream",
        )
        for case in CASES
    ]
    upstreams = [Upstream("127.0.0.1", upstream.port), Upstream("127.0.0.1", other.port, name="other")]
    with wire.running(bootstrap(listeners, upstreams=upstreams)) as envoy:
        yield wire.World(envoy, upstream)
    upstream.close()
    other.close()


def connect(world: Any, case: str) -> Any:
    return closing(socket.create_connection(world.addresses[case], timeout=10))


def events(world: Any, case: str) -> list[Any]:
    """The filter's reports after the end of the connection."""
    world.envoy.wait_for_log(f"@{case}: 'on_stream_done'")
    reported = [record for record in world.envoy.filter_log if record.text.startswith(f"@{case}: ")]
    return [world.reported(case, count) for count in range(1, len(reported) + 1)]


def test_the_life_of_a_connection(world: Any) -> None:
    with connect(world, "watch") as client:
        client.sendall(b"hello \x00\xff")
        assert client.recv(100) == b"HELLO \x00\xff"
        client.shutdown(socket.SHUT_WR)
        assert world.read_to_end(client) == b""
    seen = events(world, "watch")
    assert seen[:3] == [
        "on_new_connection",
        ("on_downstream_data", 8, b"hello \x00\xff", False),
        ("on_upstream_data", 8, b"HELLO \x00\xff", False),
    ]
    assert ("on_downstream_data", 0, b"", True) in seen
    assert ("on_upstream_data", 0, b"", True) in seen
    assert seen[-3:] == [("on_upstream_close", "UNKNOWN"), ("on_downstream_close", "LOCAL"), "on_stream_done"]
    assert len(seen) == 8


def test_edit(world: Any) -> None:
    with connect(world, "edit") as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"put before PREPENDED HELLO APPENDED added"
    assert world.upstream.received.count(b"prepended hello appended") == 1
    assert world.reported("edit part") == b"epe"
    assert world.reported("edit upstream part") == b"ut"


def test_replace(world: Any) -> None:
    with connect(world, "replace") as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"the answer"
    assert world.upstream.received.count(b"replaced \x00\xff") == 1


def test_pause_of_a_new_connection(world: Any) -> None:
    """Nothing is read until the tick lets the connection go on."""
    with connect(world, "hold") as client:
        client.sendall(b"held back")
        assert client.recv(100) == b"HELD BACK"
        client.shutdown(socket.SHUT_WR)
        assert world.read_to_end(client) == b""
    seen = events(world, "hold")
    assert seen[:3] == ["on_new_connection", "continues", ("on_downstream_data", 9, b"held back", False)]


def test_pause_in_data(world: Any) -> None:
    with connect(world, "hold data") as client:
        client.sendall(b"held data")
        assert client.recv(100) == b"HELD DATA"
        client.shutdown(socket.SHUT_WR)
        assert world.read_to_end(client) == b""
    seen = events(world, "hold data")
    assert seen[1:3] == [("on_downstream_data", 9, b"held data", False), "continues"]
    assert world.upstream.received.count(b"held data") == 1


def test_continue_before_the_pause_is_not_lost(world: Any) -> None:
    with connect(world, "continue and pause") as client:
        client.sendall(b"go on")
        assert client.recv(100) == b"GO ON"
        client.shutdown(socket.SHUT_WR)
        assert world.read_to_end(client) == b""
    assert world.upstream.received.count(b"go on") == 1


@pytest.mark.parametrize("case", ["close downstream", "close upstream"])
def test_close(world: Any, case: str) -> None:
    with connect(world, case) as client:
        client.sendall(b"the end")
        assert world.read_to_end(client) == b""
    seen = events(world, case)
    assert seen[:2] == ["on_new_connection", ("on_downstream_data", 7, b"the end", False)]
    assert [event[0] for event in seen[2:-1]].count("on_downstream_close") == 1
    assert seen[-1] == "on_stream_done"
    assert b"the end" not in world.upstream.received


def test_upstream_closes(world: Any) -> None:
    with connect(world, "closed by upstream") as client:
        client.sendall(b"quit")
        assert world.read_to_end(client) == b""
    seen = events(world, "closed by upstream")
    assert ("on_upstream_data", 0, b"", True) in seen
    closes = [event[0] for event in seen[1:-1] if event[0].endswith("close")]
    assert closes == ["on_upstream_close", "on_downstream_close"]


def test_filter_state_chooses_the_cluster(world: Any) -> None:
    with connect(world, "other cluster") as client:
        assert client.recv(100) == b"the other one"
