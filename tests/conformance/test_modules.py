"""Behavior that a filter in Python cannot have, in a real Envoy and in the emulator: modules in text format.

They are for docs/abi.md §5, cases 1 to 9, 12, 13, 18 to 21, 108 and 119; `expected.ELSEWHERE` says which is where.

The module logs lines of three letters: its name, what it is about, and a number as a character from "0" on.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import wasmtime

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmLoadError, WasmPlugin, WasmTrap
from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy, EnvoyExitedError

MODULE = """(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 4)
  (data (i32.const 0) "x-trap")
  (data (i32.const 16) "x-trap-log")
  (data (i32.const 32) "NAME")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) MALLOC)

  (func $say (param $about i32) (param $number i32)
    (i32.store8 (i32.const 33) (local.get $about))
    (i32.store8 (i32.const 34) (i32.add (local.get $number) (i32.const 48)))
    (drop (call $log (i32.const 2) (i32.const 32) (i32.const 3))))

  (func (export "_initialize") INITIALIZE (call $say (i32.const 105) (i32.const 0)))
  (func (export "main") (param i32 i32) (result i32) (call $say (i32.const 109) (i32.const 0)) (i32.const 1))

  (func $configuration (param $buffer i32) (param $size i32)
    (i32.store (i32.const 64) (i32.const 7))
    (i32.store (i32.const 68) (i32.const 7))
    (call $say (i32.const 115) (local.get $size))
    (call $say (i32.const 98)
      (call $buffer (local.get $buffer) (i32.const 0) (i32.const 9) (i32.const 64) (i32.const 68)))
    (call $say (i32.const 112) (i32.load (i32.const 64)))
    (call $say (i32.const 108) (i32.load (i32.const 68))))

  (func (export "proxy_on_context_create") (param $context i32) (param $parent i32)
    (if (i32.eqz (local.get $parent)) (then (call $say (i32.const 114) (local.get $context)))))
  (func (export "proxy_on_vm_start") (param $root i32) (param $size i32) (result i32)
    (call $say (i32.const 118) (local.get $root))
    (call $configuration (i32.const 6) (local.get $size))
    (i32.const 1))
  (func (export "proxy_on_configure") (param $root i32) (param $size i32) (result i32)
    (call $say (i32.const 99) (local.get $root))
    (call $configuration (i32.const 7) (local.get $size))
    (call $say (i32.const 82) (call $random (i32.const 65536) (i32.const 65536)))
    (call $say (i32.const 82) (call $random (i32.const 65536) (i32.const 65537)))
    (call $say (i32.const 82) (call $random (i32.const 65536) (i32.const 0)))
    (call $say (i32.const 67) (call $clock (i32.const 0) (i64.const 0) (i32.const 72)))
    (call $say (i32.const 67) (call $clock (i32.const 1) (i64.const 0) (i32.const 72)))
    (call $say (i32.const 67) (call $clock (i32.const 2) (i64.const 0) (i32.const 72)))
    (i32.store (i32.const 80) (i32.const 7))
    (call $say (i32.const 80) (call $poll (i32.const 128) (i32.const 256) (i32.const 1) (i32.const 80)))
    (call $say (i32.const 110) (i32.load (i32.const 80)))
    (call $exit (i32.const 3))
    (call $say (i32.const 101) (i32.const 0))
    (i32.const CONFIGURED))

  (func $trap (param $name i32) (param $length i32)
    (local $status i32)
    (i32.store (i32.const 68) (i32.const 0))
    (local.set $status
      (call $header (i32.const 0) (local.get $name) (local.get $length) (i32.const 64) (i32.const 68)))
    (call $say (i32.const 104) (local.get $status))
    (if (i32.and (i32.eqz (local.get $status)) (i32.ne (i32.load (i32.const 68)) (i32.const 0)))
      (then (unreachable))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $trap (i32.const 0) (i32.const 6)) (i32.const 0))
  (func (export "proxy_on_log") (param i32) (call $trap (i32.const 16) (i32.const 10)))
  (func (export "proxy_on_done") (param $context i32) (result i32)
    (call $say (i32.const 100) (local.get $context)) (i32.const 1))
  (func (export "proxy_on_delete") (param $context i32) (call $say (i32.const 120) (local.get $context)))
)"""


ABOUT_CONFIGURATION = ["s0", "b0", "p0", "l0"]
STARTED = [
    *("i0", "m0", "r1"),
    *("v1", *ABOUT_CONFIGURATION),
    *("c1", *ABOUT_CONFIGURATION),
    *("R0", f"R{chr(48 + 28)}", "R0"),
    *("C0", "C0", f"C{chr(48 + 58)}"),
    *("P0", "n0", "e0"),
]
"""What one VM says until it is configured: `i`nitialize, `m`ain, the `r`oot context, `v`m_start and `c`onfigure with
what they find (`s`ize, status of the `b`uffer, `p`ointer, `l`ength); `R`andom numbers, `C`locks, `P`oll (and the
`n`umber of events), and that it goes on after the `e`xit. Later: `h`eader, `d`one, deleted (`x`)."""
VALUES = {"NAME": "A", "MALLOC": "(i32.const 4096)", "CONFIGURED": "1", "INITIALIZE": ""}
RANDOM = "(drop (call $random (i32.const 256) (i32.const 4)))"
RESTRICTED_MALLOC = f"{RANDOM} (i32.const 4096)"
RESTRICTED_START = "(drop (call $buffer (i32.const 6) (i32.const 0) (i32.const 9) (i32.const 64) (i32.const 68)))"


def module(folder: Path, *, text: str = MODULE, **values: str) -> Path:
    """The module with other values."""
    for name, value in (VALUES | values).items():
        text = text.replace(name, value)
    path = folder / f"{values.get('NAME', 'A')}.wasm"
    path.write_bytes(wasmtime.wat2wasm(text))
    return path


def emulated(path: Path) -> HostEmulator:
    """The module in the emulator."""
    return HostEmulator(plugin=lambda host: WasmPlugin(path, host))


def said(texts: list[str], name: str = "A") -> list[str]:
    """The log lines of the module with this name."""
    return [text.removeprefix(name) for text in texts if text.startswith(name)]


@dataclass(frozen=True)
class World:
    """Envoy with all modules, each with its own listener."""

    envoy: Envoy
    started: list[str]
    """What was logged until the worker had its VMs, which may be after Envoy was ready."""

    def ask(self, listener: str, header: str = "") -> int:
        """The status of a request."""
        host, port = self.envoy.listeners()[listener]
        request = urllib.request.Request(f"http://{host}:{port}/", headers={header: "1"} if header else {})
        try:
            with urllib.request.urlopen(request, timeout=15) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def becomes_200(self, listener: str) -> bool:
        """Whether the listener's filter recovers; a request makes Envoy try."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if self.ask(listener) == 200:
                return True
            time.sleep(0.02)
        return False

    def reloads(self) -> int:
        """How many VMs were started again."""
        return self.envoy.stats("wasm.")["wasm.vm_reload_success"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("modules")

    def listener(name: str, root_id: str = "", policy: str = "FAIL_RELOAD", **values: str) -> HttpListener:
        path = module(folder, NAME=name, **values)
        plugin = WasmFilter(
            path, root_id=root_id, vm_id=name, failure_policy=policy, reload_backoff_seconds=BACKOFF_SECONDS
        )
        return HttpListener([plugin], name=name + root_id)

    listeners = [
        listener("A"),
        listener("Z", MALLOC="(i32.const 0)"),
        listener("M", policy="FAIL_CLOSED", MALLOC=RESTRICTED_MALLOC),
        listener("C", policy="FAIL_CLOSED"),
        listener("O", policy="FAIL_OPEN"),
        listener("R"),
        listener("L"),
        listener("T", "1"),
        listener("T", "2"),
    ]
    with Envoy(bootstrap(listeners)) as envoy:
        envoy.wait_for_log("Tc2", count=2)  # the main thread's, and the worker's, whose last this is
        yield World(envoy, [record.text for record in envoy.filter_log])
        envoy.check_alive()


BACKOFF_SECONDS = 0.05
TRAPPED = "proxy_on_request_headers failed: Uncaught RuntimeError: unreachable"


# --- start: cases 5, 8, 12, 13; WASI: 18 to 21 --------------------------------------------------------------------


@pytest.mark.wasm
def test_one_vm_in_the_emulator(tmp_path: Path) -> None:
    """A `main` that returns 1, no configuration, and WASI at its limits."""
    host = emulated(module(tmp_path))
    assert host.started
    assert said([text for _, text in host.logs]) == STARTED


@pytest.mark.envoy
def test_the_same_in_four_vms_of_envoy(world: World) -> None:
    """With one worker: the base, which is not configured, the canary, the main thread's, the worker's."""
    in_base = Counter(["i0", "m0"])
    three = Counter({line: 3 * count for line, count in Counter(STARTED).items()})
    assert Counter(said(world.started)) == three + in_base


@pytest.mark.envoy
def test_two_plugins_share_one_vm(world: World) -> None:
    """Each has its root context, started and configured; the last VM is the worker's, with both."""
    lines = [line for line in said(world.started, "T") if line[0] in "irvc"]
    last = len(lines) - lines[::-1].index("i0")
    assert lines[last:] == ["r1", "v1", "c1", "r2", "v2", "c2"]


@pytest.mark.wasm
def test_a_plugin_that_is_not_configured_in_the_emulator(tmp_path: Path) -> None:
    assert not emulated(module(tmp_path, CONFIGURED="0")).started


@pytest.mark.envoy
def test_a_plugin_that_is_not_configured_is_rejected_even_if_failures_are_open(tmp_path: Path) -> None:
    plugin = WasmFilter(module(tmp_path, CONFIGURED="0"), failure_policy="FAIL_OPEN")
    with (
        pytest.raises(EnvoyExitedError, match="Failed to configure base Wasm plugin"),
        Envoy(bootstrap([HttpListener([plugin])])),
    ):
        pass


# --- modules that do not load: cases 1 to 4 -----------------------------------------------------------------------

BROKEN = {
    "no-version": (("version_0_2_1", "version_0_3_0"), "Missing or unknown Proxy-Wasm ABI version"),
    "signature": (
        ('(export "proxy_on_log") (param i32)', '(export "proxy_on_log") (param i32 i32)'),
        "Bad function signature for: proxy_on_log",
    ),
    "import": (('"poll_oneoff"', '"nothing"'), r"nothing"),
    "start": (("INITIALIZE", RESTRICTED_START), "restricted_callback"),
}
every_broken_module = pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)


@pytest.mark.wasm
@every_broken_module
def test_a_module_that_the_emulator_refuses(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    path = module(tmp_path, text=MODULE.replace(*change))
    with pytest.raises((WasmLoadError, WasmTrap), match=message):
        emulated(path)


@pytest.mark.envoy
@every_broken_module
def test_envoy_refuses_it_too(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    path = module(tmp_path, text=MODULE.replace(*change))
    with pytest.raises(EnvoyExitedError, match=message), Envoy(bootstrap([HttpListener([WasmFilter(path)])])):
        pass


# --- a malloc that returns 0, or asks for what it may not: cases 6 and 7 ------------------------------------------

NO_MEMORY = ["h6", "h1"]
"""The header is not to be had, in the log there is none."""


@pytest.mark.wasm
def test_no_memory_in_the_emulator(tmp_path: Path) -> None:
    host = emulated(module(tmp_path, MALLOC="(i32.const 0)"))
    start = len(host.logs)
    assert [host.request(headers=[("x-trap", "1")]).status for _ in range(2)] == [200, 200]
    assert [text for text in said([text for _, text in host.logs[start:]]) if text[0] == "h"] == NO_MEMORY * 2


@pytest.mark.envoy
def test_no_memory_in_envoy(world: World) -> None:
    assert [world.ask("Z", "x-trap") for _ in range(2)] == [200, 200]
    world.envoy.wait_for_log("Zx3")
    lines = said([record.text for record in world.envoy.filter_log], "Z")
    assert [line for line in lines if line[0] == "h"] == NO_MEMORY * 2


@pytest.mark.wasm
def test_a_restricted_malloc_in_the_emulator(tmp_path: Path) -> None:
    host = emulated(module(tmp_path, MALLOC=RESTRICTED_MALLOC))
    with pytest.raises(WasmTrap, match="restricted_callback"):
        host.request(headers=[("x-trap", "1")])


@pytest.mark.envoy
def test_a_restricted_malloc_in_envoy(world: World) -> None:
    """The VM is lost, and with it this request and all later ones."""
    assert world.ask("M") == 200
    statuses = [world.ask("M", "x-trap"), world.ask("M")]
    world.envoy.wait_for_log("restricted_callback")
    assert statuses == [503, 503]


# --- ids of contexts: case 108 ------------------------------------------------------------------------------------

IDS = ["d2", "x2", "d3", "x3", "d4", "x4"]
"""They count up and are not used again."""


@pytest.mark.wasm
def test_ids_in_the_emulator(tmp_path: Path) -> None:
    host = emulated(module(tmp_path))
    for _ in range(3):
        host.request()
    assert [line for line in said([text for _, text in host.logs]) if line[0] in "dx"] == IDS


@pytest.mark.envoy
def test_ids_in_envoy(world: World) -> None:
    assert [world.ask("A") for _ in range(3)] == [200] * 3
    world.envoy.wait_for_log("Ax4")
    assert [line for line in said([record.text for record in world.envoy.filter_log]) if line[0] in "dx"] == IDS


# --- traps: case 119 ----------------------------------------------------------------------------------------------


@pytest.mark.wasm
def test_a_trap_in_the_emulator_is_an_error(tmp_path: Path) -> None:
    """It has no failure policies: a test is to see the trap."""
    host = emulated(module(tmp_path))
    with pytest.raises(WasmTrap, match=r"proxy_on_request_headers trapped(.|\n)*unreachable"):
        host.request(headers=[("x-trap", "1")])


@pytest.mark.envoy
@pytest.mark.parametrize(("listener", "later"), [("C", [503, 503]), ("O", [200, 200])])
def test_a_trap_when_nothing_is_reloaded(listener: str, later: list[int], world: World) -> None:
    """Fail open lets requests pass only after the one that trapped."""
    reloads = world.reloads()
    assert world.ask(listener) == 200
    assert world.ask(listener, "x-trap") == 503
    world.envoy.wait_for_log(TRAPPED)
    assert [world.ask(listener), world.ask(listener, "x-trap")] == later
    assert world.reloads() == reloads


@pytest.mark.envoy
def test_a_trap_and_a_reload(world: World) -> None:
    reloads = world.reloads()
    assert world.ask("R", "x-trap") == 503
    assert world.becomes_200("R")
    assert world.reloads() == reloads + 1


@pytest.mark.envoy
def test_a_trap_in_on_log(world: World) -> None:
    """The response is on its way already."""
    reloads = world.reloads()
    assert world.ask("L", "x-trap-log") == 200
    world.envoy.wait_for_log("proxy_on_log failed: Uncaught RuntimeError: unreachable")
    assert world.becomes_200("L")
    assert world.reloads() == reloads + 1
