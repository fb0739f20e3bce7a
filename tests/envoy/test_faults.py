"""Every fault in every callback, in Envoy: one record, one count, and the next request is served.

The faults are in tests/projects/faults; those while a VM starts are in tests/wasm/test_faults.py.
"""

from __future__ import annotations

import dataclasses
import json
import re
import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.envoy.config import (
    HttpListener,
    Route,
    TcpListener,
    Upstream,
    WasmFilter,
    bootstrap,
    bootstrap_for,
    ecds_document,
)
from pwasm_compiler.envoy.module import read_module
from pwasm_compiler.envoy.process import Envoy
from tests.support import wire
from tests.support.fault_names import RAISE, SURVIVE

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

FAILURE = re.compile(r"failed for context|could not be created|was called when its context")
CALLBACKS = [
    "new_http_context",
    "on_http_request_headers",
    "on_http_request_body",
    "on_http_request_trailers",
    "on_http_response_headers",
    "on_http_response_body",
    "on_http_response_trailers",
    "on_http_stream_done",
    "on_tick",
    "on_queue_ready",
    "on_http_call_response",
]


STATISTICS = "extension_config_discovery.http_filter.faults.update_"
TCP_CALLBACKS = [
    "on_new_connection",
    "on_downstream_data",
    "on_upstream_data",
    "on_downstream_close",
    "on_upstream_close",
    "on_stream_done",
]


@pytest.fixture(scope="module")
def world(built: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    upstream, tcp_upstream = wire.HttpUpstream(), wire.TcpUpstream()
    module = built("faults")
    config = bootstrap(
        [
            HttpListener([WasmFilter(module, name="faults")], routes=(Route(upstream="upstream"),)),
            TcpListener([WasmFilter(module, kind="tcp", name="connections", root_id="tcp")], upstream="tcp"),
        ],
        upstreams=[Upstream("127.0.0.1", upstream.port), Upstream("127.0.0.1", tcp_upstream.port, "tcp")],
    )
    access_log = wire.prepare(config, tmp_path_factory.mktemp("faults"))
    with Envoy(config) as envoy:
        yield wire.World(envoy, upstream, access_log)
        stats = envoy.stats("wasm.")
        envoy.check_alive()
    upstream.close()
    tcp_upstream.close()
    assert {name: value for name, value in stats.items() if "vm_reload" in name and value} == {}


def ask(world: Any, armed: str) -> int:
    """The status of a request in which each callback has its turn; 0 when the connection is closed."""
    headers = [("x-fault", armed), ("x-call", "1")] if armed else [("x-call", "1")]
    trailers = [("x-trailer", "1")]
    try:
        answer = world.request("/?trailers", headers, to="http", chunks=[b"a body"], trailers=trailers)
        return int(answer.status)
    except (ConnectionError, IndexError, ValueError):
        return 0


def counted(world: Any) -> int:
    return int(world.envoy.stats("wasmcustom").get("wasmcustom.pwasm.errors", 0))


def failures(world: Any, since: int) -> list[str]:
    """First lines of the records of failures, from position `since` of the log on."""
    lines = [record.text.partition("\n")[0] for record in world.envoy.log[since:] if record.from_filter]
    return [line for line in lines if FAILURE.search(line)]


@pytest.mark.parametrize("callback", CALLBACKS)
def test_faults(world: Any, callback: str) -> None:
    for fault in [*RAISE, *SURVIVE]:
        before, since = counted(world), len(world.envoy.log)
        status = ask(world, f"{callback} {fault}")
        if callback == "new_http_context":
            status = ask(world, "")
        assert status in (0, 200, 299, 500), fault
        wanted = int(fault in RAISE)
        world.eventually(
            lambda since=since, wanted=wanted: len(failures(world, since)) >= wanted, f"the record of {fault}"
        )
        assert ask(world, "") == 200, fault
        assert len(failures(world, since)) == wanted, (fault, failures(world, since))
        assert counted(world) == before + wanted, fault


def connect(world: Any, *, upstream_closes: bool = False) -> bytes:
    """The data received on a connection through the TCP filter, which shares the VM, until one side closes it."""
    with socket.create_connection(world.addresses["tcp"], timeout=10) as client:
        client.sendall(b"quit" if upstream_closes else b"data")
        try:
            return client.recv(100)
        except ConnectionError:
            return b""


@pytest.mark.parametrize("callback", TCP_CALLBACKS)
def test_faults_of_connections(world: Any, callback: str) -> None:
    for fault in [*RAISE, *SURVIVE]:
        before, since = counted(world), len(world.envoy.log)
        assert world.request("/", [("x-fault", f"{callback} {fault}")], to="http").status == 200, fault
        connect(world, upstream_closes=callback == "on_upstream_close")
        wanted = int(fault in RAISE)
        world.eventually(
            lambda since=since, wanted=wanted: len(failures(world, since)) >= wanted, f"the record of {fault}"
        )
        assert connect(world) == b"DATA", fault
        assert len(failures(world, since)) == wanted, (fault, failures(world, since))
        assert counted(world) == before + wanted, fault


def test_faults_of_a_configuration(built: Callable[[str], Path], tmp_path: Path) -> None:
    """In `on_plugin_start` the update is refused and the old one serves on; in `on_plugin_done` it is taken."""
    module, file = read_module(built("faults")), tmp_path / "filter.json"

    plugin = WasmFilter(module.path, module.kind, "faults", capabilities=module.capabilities)

    def publish(configuration: str) -> None:
        scratch = tmp_path / "scratch"
        document = ecds_document(dataclasses.replace(plugin, configuration=configuration))
        scratch.write_text(json.dumps(document), encoding="utf-8")
        scratch.replace(file)

    publish("")
    config = bootstrap_for(plugin, ecds_file=file)
    with Envoy(config, ready_timeout=300) as envoy:
        url = envoy.url

        def updates() -> tuple[int, int]:
            found = envoy.stats(STATISTICS)
            taken, refused = (found.get(f"{STATISTICS}{what}", 0) for what in ("success", "rejected"))
            return taken, refused

        def update(configuration: str) -> tuple[int, int]:
            """Publish; how many were taken, and how many refused."""
            before = updates()
            publish(configuration)
            wire.eventually(lambda: updates() != before, f"update {configuration}")
            taken, refused = updates()
            return taken - before[0], refused - before[1]

        for fault in [*RAISE, *SURVIVE]:
            assert update(f"on_plugin_start {fault}") == ((0, 1) if fault in RAISE else (1, 0)), fault
            since = len(envoy.log)
            with urllib.request.urlopen(urllib.request.Request(url, headers={"x-fault": f"on_plugin_done {fault}"})):
                pass
            assert update(f"another {fault}") == (1, 0), fault
            wanted = int(fault in RAISE)
            await_of_done(envoy, since, wanted, fault)
            with urllib.request.urlopen(url) as answer:
                assert answer.status == 200, fault
            assert len(of_done(envoy, since)) == wanted, fault
        assert {name: value for name, value in envoy.stats("wasm.").items() if "vm_reload" in name and value} == {}


def await_of_done(envoy: Envoy, since: int, count: int, fault: str) -> None:
    wire.eventually(lambda: len(of_done(envoy, since)) >= count, f"record of {fault}")


def of_done(envoy: Envoy, since: int) -> list[str]:
    """Records of plugins that failed at their end."""
    return [r.text for r in envoy.log[since:] if r.from_filter and "on_plugin_done failed" in r.text]
