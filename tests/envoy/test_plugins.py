"""Plugins without a stream, and several together: timers, shared data, queues, shutdown. Two workers, two VMs.

The filters are tests/projects/whole_api/plugins.py.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.envoy.config import HttpListener, Route, WasmFilter, bootstrap
from tests.support import wire

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

WORKERS = 2
REQUESTS = 400


@pytest.fixture(scope="module")
def world(built: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    module, folder = built("whole_api"), tmp_path_factory.mktemp("plugins")
    consumer = WasmFilter(module, kind="plugin", name="letters", root_id="consumer", vm_id="consumer", singleton=True)

    def listener(name: str, root_id: str, configuration: str) -> HttpListener:
        plugin = WasmFilter(module, name=name, root_id=root_id, configuration=configuration)
        return HttpListener([plugin], name=name, routes=(Route(),))

    leaver = bootstrap([listener("leaver", "leaver", "removed")])
    wire.prepare(leaver, folder)
    wire.restrict(leaver)  # as the others are: only then they share their VMs, and one of them may go
    config = bootstrap(
        [
            listener("cases", "", ""),
            listener("ticker", "ticker", ""),
            listener("clock", "ticker", "always"),
            listener("stays", "leaver", "stays"),
        ],
        plugins=[consumer],
    )
    # Listeners that can be taken away again: Envoy watches a file for them.
    discovered = Discovered(folder, leaver["static_resources"]["listeners"])
    config["dynamic_resources"] = {"lds_config": {"path_config_source": {"path": str(discovered.file)}}}
    config["node"] = {"id": "a-node", "cluster": "a-cluster"}
    access_log = wire.prepare(config, folder)
    with wire.running(config, concurrency=WORKERS) as envoy:
        world: Any = wire.World(envoy, None, access_log)
        world.discovered = discovered
        yield world
    # The listener that stayed: at shutdown Envoy asks too, and does not wait.
    asked = [record for record in envoy.filter_log if "@Leaver stays: ('on_plugin_done'" in record.text]
    assert len(asked) == WORKERS + 1


class Discovered:
    """The file in which Envoy finds further listeners."""

    def __init__(self, folder: Path, listeners: list[dict[str, Any]]) -> None:
        self.file = folder / "listeners.json"
        self.write(listeners)

    def write(self, listeners: list[dict[str, Any]]) -> None:
        """Replace all listeners; the file is moved into place, which is what Envoy watches for."""
        kind = "type.googleapis.com/envoy.config.listener.v3.Listener"
        resources = [{"@type": kind, **listener} for listener in listeners]
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"version_info": str(len(listeners)), "resources": resources}), encoding="utf-8")
        new.replace(self.file)


def answer(world: Any, path: str, to: str = "cases") -> Any:
    got = world.request(path, to=to)
    assert got.status == 200, got
    return ast.literal_eval(got.body.decode())


# --- shared data and queues ---------------------------------------------------------------------------------------


def test_shared_data(world: Any) -> None:
    first, value, stale, seen, empty = answer(world, "/Shared?a-key")
    assert first == (None, 0)
    assert (value, stale, seen, empty) == (b"one \x00\xff", "CasMismatch", b"two", b"")
    assert answer(world, "/Shared?another-key")[0] == (None, 0)
    assert answer(world, "/Shared?a-key")[0][0] == b""


def test_no_update_is_lost_between_workers(world: Any) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: answer(world, "/Count"), range(REQUESTS)))
    assert sorted(number for _, _, number in answers) == list(range(1, REQUESTS + 1))
    assert len({vm for vm, _, _ in answers}) == WORKERS


def test_a_queue_between_vms(world: Any) -> None:
    assert world.reported("Consumer") == (True, "Empty")
    assert answer(world, "/Send") == ("NotFound", "NotFound", "NotFound", b"to myself", "Empty")
    assert [world.reported("letter", count) for count in (1, 2, 3)] == [b"one \x00\xff", b"", b"three"]
    # Once for each letter, also when the first call took them all.
    assert [world.reported("on_queue_ready", count) for count in (1, 2, 3)] == [True] * 3
    received = world.envoy.wait_for_log("@letter: b'three'")
    assert received.origin == "consumer consumer"


# --- timers -------------------------------------------------------------------------------------------------------


def test_tick_start_change_and_stop(world: Any) -> None:
    """The other plugin's timer, in the same VMs, shows that time passes while this one's is stopped."""
    for _ in range(20):  # each worker has a timer of its own
        assert answer(world, "/Tick", "ticker") == 0
    with closing(world.client("ticker")) as held, closing(world.client("clock")) as clock:
        assert ticks(held, "10") == 0
        world.eventually(lambda: ticks(held) >= 3, "three ticks")
        slow = ticks(held, "3600000")
        assert_time_passes(world, clock)
        assert ticks(held) == slow
        assert ticks(held, "1") == slow
        world.eventually(lambda: ticks(held) >= slow + 3, "three more ticks")
        stopped = ticks(held, "0")
        assert_time_passes(world, clock)
        assert ticks(held) == stopped


def ticks(client: Any, period: str = "read") -> int:
    """Ticks so far of the worker that has this connection, after setting the period in milliseconds."""
    return int(client.request(f"/Tick?{period}").body)


def assert_time_passes(world: Any, clock: Any) -> None:
    before = ticks(clock)
    world.eventually(lambda: ticks(clock) >= before + 5, "the ticks of the clock")


# --- the end ------------------------------------------------------------------------------------------------------


def test_a_plugin_that_is_not_done_yet(world: Any) -> None:
    """Its listener is taken away; it returns False from on_plugin_done, and stays until it calls `plugin_done`."""
    name, contexts = "Leaver removed", WORKERS + 1  # one in each worker, one in the main thread
    assert world.request("/", to="leaver").status == 200
    assert world.reported(name) == ("early", "NotFound")
    world.discovered.write([])
    world.envoy.wait_for_log(f"@{name}: ('deleted'", count=contexts)
    events = [
        ast.literal_eval(record.text.partition(": ")[2])
        for record in world.envoy.filter_log
        if record.text.startswith(f"@{name}: ")
    ]
    kinds = [event[0] for event in events if event[0] != "early"]
    assert kinds.count("on_plugin_done") == kinds.count("plugin_done") == kinds.count("deleted") == contexts
    assert kinds.count("tick") == 2 * contexts
    assert kinds.index("on_plugin_done") < kinds.index("tick") < kinds.index("plugin_done") < kinds.index("deleted")
    assert ("plugin_done", "NotFound") in events
    assert "leaver" not in world.envoy.listeners()
