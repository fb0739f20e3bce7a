"""Envoy's services for a filter: properties, foreign functions, log, time, metrics, configuration.

The filters are tests/projects/whole_api/host_cases.py; a request's path chooses one.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, WasmFilter, bootstrap
from tests.support import wire

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

HEADERS = [("x-user", "anna"), ("x-user", "berta"), ("x.dotted", "yes"), ("user-agent", "tester")]
LEVELS = ["trace", "debug", "info", "warn", "error", "critical"]


@pytest.fixture(scope="module")
def world(built: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    upstream = wire.HttpUpstream()
    plugin = WasmFilter(
        built("whole_api"), name="cases", configuration=b"plugin \x00\xff", vm_configuration=b"vm \x00\xff"
    )
    metadata = {"pwasm.test": {"on": "a route", "in": "a cluster"}}
    routes = (Route(upstream="upstream", metadata=metadata),)
    config = bootstrap(
        [HttpListener([plugin], name="cases", routes=routes)],
        upstreams=[Upstream("127.0.0.1", upstream.port, metadata=metadata)],
    )
    config["node"] = {"id": "a-node", "cluster": "a-node-cluster", "metadata": {"region": "north"}}
    config["stats_flush_interval"] = "0.050s"
    access_log = wire.prepare(config, tmp_path_factory.mktemp("host"))
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    set_metadata = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
        "metadata": [{"metadata_namespace": "pwasm.test", "value": {"color": "blue"}}],
    }
    manager["http_filters"].insert(0, {"name": "envoy.filters.http.set_metadata", "typed_config": set_metadata})
    wants_property = {
        "name": "by-property",
        "match": {"prefix": "/", "filter_state": [{"key": "wasm.route", "string_match": {"exact": "yes"}}]},
        "direct_response": {"status": 200, "body": {"inline_string": "elsewhere"}},
    }
    host = manager["route_config"]["virtual_hosts"][0]
    host["routes"][0]["name"] = "a-route"
    host["routes"].insert(0, wants_property)
    with wire.running(config) as envoy:
        yield wire.World(envoy, upstream, access_log)
    upstream.close()


# --- properties ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen(world: Any) -> dict[str, Any]:
    """What one request saw at its beginning, in the middle and at its end."""
    assert world.request("/Properties?plain&q=1", HEADERS, body=b"body").status == 200
    words = ("request", "raw", "response", "done")
    return {word: world.reported(f"Properties {word}") for word in words} | {"world": world}


def test_properties_of_the_request(seen: dict[str, Any]) -> None:
    found = seen["request"]
    expected = {
        "request.path": "/Properties?plain&q=1",
        "request.url_path": "/Properties",
        "request.query": "plain&q=1",
        "request.host": "test.example",
        "request.scheme": "http",
        "request.method": "POST",
        "request.protocol": "HTTP/1.1",
        "request.useragent": "tester",
        "request.referer": None,
        "request.size": 4,
        "request.duration": None,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["request.headers"]["x-user"] == "anna,berta"
    assert found["request.headers"]["content-length"] == "4"
    assert re.fullmatch(r"[0-9a-f-]{36}", found["request.id"])
    assert abs(found["request.time"] - time.time_ns()) < 60e9
    assert found["request.headers_bytes"] > 50
    assert found["groups"] == ["/Properties?plain&q=1", 0, "a-node"]
    assert seen["done"]["request.duration"] > 0
    assert seen["done"]["request.total_size"] == 4 + seen["done"]["request.headers_bytes"]


def test_properties_of_the_response(seen: dict[str, Any]) -> None:
    before, after = seen["request"], seen["done"]
    assert [before[f"response.{name}"] for name in ("code", "code_details", "backend_latency")] == [None] * 3
    assert [after[f"response.{name}"] for name in ("code", "code_details", "flags", "size")] == [
        200,
        "via_upstream",
        0,
        14,
    ]
    assert after["response.headers"]["x-twice"] == "1,2"
    assert after["response.backend_latency"] > 0
    assert after["response.total_size"] == 14 + after["response.headers_bytes"]
    port = seen["world"].upstream.port
    assert seen["response"] == (200, port, b"second")


def test_properties_of_the_connections(seen: dict[str, Any]) -> None:
    found, after, world = seen["request"], seen["done"], seen["world"]
    listener, upstream = world.addresses["cases"][1], world.upstream.port
    assert found["destination.address"] == f"127.0.0.1:{listener}"
    assert (found["destination.port"], found["connection.mtls"]) == (listener, False)
    assert found["source.address"] == f"127.0.0.1:{found['source.port']}"
    assert found["source.port"] not in (0, listener)
    assert found["connection.id"] > 0
    assert (found["connection.tls_version"], found["connection.requested_server_name"]) == (None, "")
    assert (found["upstream.address"], found["upstream.port"]) == (None, None)
    assert (after["upstream.address"], after["upstream.port"]) == (f"127.0.0.1:{upstream}", upstream)
    assert after["upstream.local_address"].startswith("127.0.0.1:")
    assert after["upstream.request_attempt_count"] == 1
    assert after["upstream.cx_pool_ready_duration"] > 0


def test_properties_of_the_configuration(seen: dict[str, Any]) -> None:
    found = seen["request"]
    expected = {
        "xds.cluster_name": "upstream",
        "xds.route_name": "a-route",
        "xds.virtual_host_name": "all",
        "xds.listener_direction": 0,
        "xds.node.id": "a-node",
        "xds.node.cluster": "a-node-cluster",
        "xds.node.user_agent_name": "envoy",
        "plugin_name": "cases",
        "plugin_root_id": "",
        "plugin_vm_id": "",
    }
    assert {name: found[name] for name in expected} == expected
    assert (found["node metadata"], found["dynamic"]) == (b"north", b"blue")
    assert (found["route"], found["cluster"]) == (b"a route", b"a cluster")


def test_legacy_names_of_properties(seen: dict[str, Any]) -> None:
    """This Envoy knows them below `xds` only; the SDK looks there."""
    assert seen["request"]["legacy"] == [b"a-node", b"upstream"]
    assert seen["raw"]["route_name"] == b"a-route"


def test_set_property(seen: dict[str, Any]) -> None:
    raw = seen["raw"]
    assert (raw["state"], raw["empty"], raw["absent"]) == (b"second \xff", b"", None)
    assert raw["request.size"] == (4).to_bytes(8, "little")
    assert ("x-user", "anna,berta") in raw["headers"]
    assert (raw["dots"], raw["reserved"]) == (b"yes", "ValueError")
    assert seen["world"].access_log.wait("/Properties?plain&q=1")["state"] == "second"


# --- foreign functions --------------------------------------------------------------------------------------------


def test_foreign_functions(world: Any) -> None:
    world.request("/Foreign", HEADERS)
    packed, unpacked, broken = world.reported("Foreign zlib")
    assert zlib.decompress(packed) == unpacked == b"hello " * 100
    assert len(packed) < 100
    assert broken == "SerializationFailure"
    assert world.reported("Foreign unknown") == "NotFound"
    assert world.reported("Foreign CEL") == ([True, False, "anna,berta", -2, 0.5, None], "BadArgument")
    assert world.reported("Foreign deleted") == "NotFound"
    assert world.reported("Foreign sign") == ("ValueError",)


def test_declared_property(world: Any) -> None:
    """Expressions see a property of the type it was declared with by the plugin; undeclared ones are bytes."""
    world.request("/Declared")
    in_stream, values, no_factory = world.reported("Declared")
    assert values["of_plugin"] == [True, False]
    assert values["of_nobody"] == [False, True]
    assert world.reported("Declared again") == "BadArgument"
    assert no_factory == "NotFound"
    # CONTRADICTION: foreign.py says that all may be called in every callback, but Envoy keeps a declaration in the
    # context whose callback runs, and reads those of the plugin only: from a stream it is Ok and without effect.
    assert (in_stream, values["of_stream"]) == ("nothing", [False, True])


def test_clear_route_cache(world: Any) -> None:
    assert world.request("/RouteCache?plain").body == b"hello upstream"
    assert world.request("/RouteCache?plain&cleared").body == b"elsewhere"
    assert world.access_log.wait("/RouteCache?plain&cleared")["route"] == "by-property"


# --- log, time, statistics, configuration -------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["debug", "warning", "info"])
def test_log_levels(world: Any, level: str) -> None:
    """An operator changes the level while Envoy runs; `get_log_level` and what is logged follow."""
    number = {"debug": 1, "info": 2, "warning": 3}[level]
    world.envoy.admin(f"/logging?wasm={level}", "POST")
    world.request(f"/Log?{level}")
    world.envoy.wait_for_log(f"critical record at level {number}, on purpose")
    world.envoy.admin("/logging?wasm=info", "POST")
    records = [record for record in world.envoy.log if f"record at level {number}, on purpose" in record.text]
    names = {"warn": "warning"}
    expected = [(names.get(name, name), f"{name} record at level {number}, on purpose") for name in LEVELS[number:]]
    assert [(record.level, record.text) for record in records] == expected
    assert {record.origin for record in records} == {"cases"}


def test_print_and_logging(world: Any) -> None:
    world.request("/Log")
    printed = world.envoy.wait_for_log("printed, on purpose")
    logged = world.envoy.wait_for_log("logged, on purpose")
    assert (printed.level, printed.text) == ("info", "printed, on purpose")
    assert logged.level == "warning"
    assert world.envoy.wait_for_log("one\\nrecord").text == "one\\nrecord"


def test_current_time(world: Any) -> None:
    before = time.time_ns()
    world.request("/Clock")
    after = time.time_ns()
    host, python = world.reported("Clock")
    assert before <= host <= python <= after


def test_metrics(world: Any) -> None:
    world.request("/Metrics")
    assert world.reported("Metrics") == (42, 42, 7, -1, "Unimplemented")
    stats = world.envoy.stats("wasmcustom.whole.")
    assert stats == {
        "wasmcustom.whole.counter": 42,
        "wasmcustom.whole.gauge": 7,
        "wasmcustom.whole.negative": 2**64 - 1,
    }
    world.request("/Metrics")
    assert world.reported("Metrics", 2)[0] == 84
    text = world.envoy.admin("/stats/prometheus").decode()
    assert re.search(r"^whole_counter\{\} 84$", text, re.MULTILINE)


def test_histogram(world: Any) -> None:
    """Envoy moves what was recorded into its statistics when it flushes them."""
    world.request("/Metrics")

    def buckets() -> dict[str, int]:
        text = world.envoy.admin("/stats/prometheus?filter=whole.histogram").decode()
        found = re.findall(r"^whole_histogram_bucket\{le=\"(.*)\"\} (\d+)$", text, re.MULTILINE)
        return {limit: int(number) for limit, number in found if number != "0"}

    found = world.eventually(buckets)
    every = found["+Inf"]
    assert every >= 3
    assert [found[limit] * 3 for limit in ("5", "50", "500")] == [every, 2 * every, 3 * every]


def test_configuration(world: Any) -> None:
    world.request("/Configuration")
    both = (b"plugin \x00\xff", b"vm \x00\xff")
    assert world.reported("Configuration") == (*both, *both)
    assert world.reported("Vm") == (5, b"vm \x00\xff")
    assert world.reported("Plugin") == (9, b"plugin \x00\xff")
