"""Envoy rejects an update with an invalid typed configuration, and keeps the previous one.

The filter is tests/projects/awaits/configured.py. Its listener comes from a file that Envoy watches (LDS).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.envoy.config import HttpListener, Route, WasmFilter, bootstrap
from tests.support import wire

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

GOOD = {"routes": [{"prefix": "/", "answer": "one"}]}
BETTER = {"routes": [{"prefix": "/a", "answer": "a", "status": 202.0}, {"prefix": "/", "answer": "two"}]}
STRUCT = "type.googleapis.com/google.protobuf.Struct"
MESSAGES: dict[str, Any] = {
    "Struct": {"@type": STRUCT, "value": BETTER},
    "Value": {"@type": "type.googleapis.com/google.protobuf.Value", "value": BETTER},
    "TypedStruct": {
        "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
        "type_url": "type.googleapis.com/my.Config",
        "value": BETTER,
    },
}
"""The messages of protobuf in which a control plane may pass a configuration."""
# Each costs Envoy a VM; tests/sdk/_config/test_config.py has many more.
WRONG: list[tuple[Any, str]] = [
    ("", "$.routes: missing (expected array)"),
    ({"routes": [{"prefix": "/", "answer": 1}]}, "$.routes[0].answer: expected str, got int"),
    ("[" * 5000, "$: nested deeper than 100 levels, at character 100"),
    ('"' + "x" * 5_000_000 + '"', "$: the configuration has 5000002 bytes, more than 4194304"),
]


def listener(module: Path, name: str, configuration: Any, *, message: str = "") -> dict[str, Any]:
    """The listener; a changed name makes Envoy restart the plugin."""
    plugin = WasmFilter(module, name=name, root_id="configured", configuration=configuration)
    made = HttpListener([plugin], name="cases", routes=(Route(),)).to_json()
    if message:
        filters = made["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        filters[0]["typed_config"]["config"]["configuration"] = MESSAGES[message]
    return made


def test_a_wrong_update_is_rejected(built: Callable[[str], Path], tmp_path: Path) -> None:
    module, watched, version = built("awaits"), tmp_path / "lds.json", 0

    def publish(resource: dict[str, Any]) -> None:
        nonlocal version
        version += 1
        resources = [{"@type": "type.googleapis.com/envoy.config.listener.v3.Listener", **resource}]
        written = tmp_path / "next.json"
        written.write_text(json.dumps({"version_info": str(version), "resources": resources}))
        written.replace(watched)  # Envoy watches for moves

    publish(listener(module, "v0", GOOD))
    config = bootstrap([])
    config["node"] = {"id": "test", "cluster": "test"}
    config["dynamic_resources"] = {"lds_config": {"path_config_source": {"path": str(watched)}}}
    with wire.running(config, expected=(r"configuration is refused",)) as envoy:

        def answer(path: str = "/") -> tuple[int, bytes]:
            got = wire.request(envoy.listeners()["cases"], path)
            return got.status, got.body

        wire.eventually(lambda: "cases" in envoy.listeners(), "the listener")
        assert answer() == (200, b"one")
        for number, (configuration, reason) in enumerate(WRONG, 1):
            publish(listener(module, f"wrong{number}", configuration))
            await_rejections(envoy, number, str(configuration)[:60])
            envoy.wait_for_log(reason)
            assert answer() == (200, b"one")
        for message in MESSAGES:
            publish(listener(module, f"v{message}", BETTER, message=message))
            wire.eventually(lambda: answer() == (200, b"two"), f"the better configuration as a {message}")
            assert answer("/a") == (202, b"a")
            publish(listener(module, f"after{message}", GOOD))
            wire.eventually(lambda: answer() == (200, b"one"), "the first configuration")


def await_rejections(envoy: Any, count: int, what: str) -> None:
    wire.eventually(lambda: rejected(envoy) >= count, f"the rejection of {what}")


def rejected(envoy: Any) -> int:
    """How many updates Envoy has refused."""
    found = envoy.stats("listener_manager.lds.update_rejected")
    return int(next(iter(found.values())))
