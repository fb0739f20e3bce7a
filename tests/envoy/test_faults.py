"""Every fault in every callback of HTTP filters, in Envoy: one record, one count, and the next request is served.

The faults are in tests/projects/faults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pwasm.testing.envoy import Envoy
from pwasm.testing.envoy_config import HttpListener, Route, Upstream, WasmFilter, bootstrap

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

FILTER = Path(__file__).parents[1] / "projects" / "faults" / "filter.py"
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


def faults(table: str) -> list[str]:
    """The names in one of the filter's tables; the filter itself is not for this Python."""
    text = FILTER.read_text(encoding="utf-8")
    body = text[text.index(f"{table}: dict[") :].partition("\n}\n")[0]
    return re.findall(r'^    "(\w+)":', body, re.MULTILINE)


RAISE, SURVIVE = faults("RAISE"), faults("SURVIVE")


@pytest.fixture(scope="module")
def world(built: Callable[[str], Path], wire: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    upstream = wire.HttpUpstream()
    config = bootstrap(
        [HttpListener([WasmFilter(built("faults"), name="faults")], routes=(Route(upstream="upstream"),))],
        upstreams=[Upstream("127.0.0.1", upstream.port)],
    )
    access_log = wire.prepare(config, tmp_path_factory.mktemp("faults"))
    with Envoy(config) as envoy:
        yield wire.World(envoy, upstream, access_log)
        stats = envoy.stats("wasm.")
        envoy.check_alive()
    upstream.close()
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
