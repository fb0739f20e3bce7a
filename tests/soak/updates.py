"""Updates of a filter's configuration while it serves: a file of its own (ECDS), replaced again and again.

A module as text that does nothing is updated as often beside it: what grows with that one is Envoy's.
"""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

import wasmtime

from pwasm_compiler.envoy.config import WasmFilter, bootstrap_for, ecds_document
from pwasm_compiler.envoy.module import read_module
from pwasm_compiler.envoy.process import Envoy

from .outcome import Outcome, slope
from .watch import active_vms, guest_state, memory_pages, reloads, rss_bytes
from .world import READY_SECONDS, WORKERS, built_module

NOTHING = """(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"""
MOST_OVER_ENVOYS_KIB = 16.0
"""Growth for each update beyond that of the module that does nothing."""
LONG = 200
"""Updates from which on growth can be told from chance."""
_SECONDS = 300.0
_SUCCESS = "extension_config_discovery.http_filter.soak.update_success"
_REFUSED = "extension_config_discovery.http_filter.soak.update_rejected"


def run(updates: int) -> Outcome:
    """Update both modules `updates` times each."""
    outcome = Outcome("updates", f"{updates} updates of the plugin's configuration, from a file")
    with TemporaryDirectory(prefix="pwasm-soak-") as folder:
        module = Path(folder) / "nothing.wasm"
        module.write_bytes(wasmtime.wat2wasm(NOTHING))
        nothing = _update(outcome, Path(folder), module, updates, "a module that does nothing")
        own = _update(outcome, Path(folder), built_module(), updates, "the filter")
    if updates >= LONG:
        outcome.require(own - nothing <= MOST_OVER_ENVOYS_KIB, f"{own - nothing:.1f} KiB more with each update")
    return outcome


def _update(outcome: Outcome, folder: Path, module: Path, updates: int, name: str) -> float:
    """KiB of resident memory that each update adds."""
    ours = module == built_module()
    file = folder / f"{module.stem}.json"
    read = read_module(module)

    def write(number: int) -> WasmFilter:
        plugin = WasmFilter(module, read.kind, "soak", configuration=str(number), capabilities=read.capabilities)
        scratch = file.with_suffix(".new")
        scratch.write_text(json.dumps(ecds_document(plugin)), encoding="utf-8")
        scratch.replace(file)
        return plugin

    plugin = write(0)
    config = bootstrap_for(plugin, ecds_file=file)
    points, objects, pages, seconds = [], [], [], []
    with Envoy(config, concurrency=WORKERS, wasm_log_level="warning", ready_timeout=READY_SECONDS) as envoy:
        url = envoy.url
        for number in range(1, updates + 1):
            start = time.monotonic()
            write(number)
            _wait(envoy, number + 1)
            seconds.append(time.monotonic() - start)
            if ours:
                state = guest_state(url)
                outcome.require(state["version"] == str(number), f"version {state['version']} serves, not {number}")
                objects.append(state["objects"])
            else:
                urllib.request.urlopen(url, timeout=_SECONDS).close()
            points.append((number, rss_bytes(envoy.pid) / 1024))
            pages.append(memory_pages(envoy.pid))
        stats = envoy.stats("extension_config_discovery")
        warm = points[len(points) // 5 :]
        outcome.figure(f"{name}: seconds an update takes, mean", f"{sum(seconds) / len(seconds):.2f}")
        outcome.equal("  updates that Envoy refused", stats[_REFUSED], 0)
        outcome.equal("  VMs reloaded", reloads(envoy), {})
        outcome.equal("  VMs at the end (workers + 2)", active_vms(envoy), WORKERS + 2)
        ends = f"{warm[0][1] / 1024:.1f} → {warm[-1][1] / 1024:.1f} MiB"
        outcome.figure("  resident memory", f"{ends}, {slope(warm):+.1f} KiB with each update")
        outcome.figure("  pages of 64 KiB of each VM, first → last", f"{pages[0]} → {pages[-1]}")
        if ours:
            outcome.figure("  objects in the VM, first → last", f"{objects[0]} → {objects[-1]}")
    return slope(warm)


def _wait(envoy: Envoy, wanted: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while envoy.stats("extension_config_discovery").get(_SUCCESS, 0) < wanted:
        assert time.monotonic() < deadline, f"Envoy did not take update {wanted - 1} within {_SECONDS:g} s"
        time.sleep(0.01)
