"""A filter that does not return is stopped, and the message says where it was."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import wasmtime

import pwasm
from pwasm.testing import HostEmulator, deadline
from pwasm.testing.wasm import WasmLoadError, WasmPlugin, WasmTrap

ENOUGH = 30.0


class Endless(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        while True:
            num_headers += 1


def test_a_filter_in_python_that_hangs() -> None:
    host = HostEmulator(Endless)
    with pytest.raises(deadline.FilterHangs, match=r"in on_http_request_headers"), deadline.limit(0.2):
        host.request()


def test_limits_leave_nothing_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with deadline.limit(ENOUGH), deadline.limit(ENOUGH):
        HostEmulator(pwasm.HttpContext).request()
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    with pytest.raises(ValueError, match="positive"), deadline.limit(0):
        pass


MODULE = """(module
  (import "env" "proxy_get_current_time_nanoseconds" (func $time (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) {malloc})
  (func (export "_initialize") {initialize})
  (func $endless (export "proxy_on_tick") (param i32) (loop (br 0)))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
)"""


def module(folder: Path, *, malloc: str = "(i32.const 1024)", initialize: str = "", text: str = MODULE) -> Path:
    path = folder / "main.wasm"
    source = text.replace("{malloc}", malloc).replace("{initialize}", initialize)
    path.write_bytes(wasmtime.wat2wasm(source))
    return path


def host_of(path: Path) -> HostEmulator:
    plugin: Any = lambda host: WasmPlugin(path, host)  # noqa: E731
    return HostEmulator(plugin=plugin)


@pytest.mark.wasm
def test_a_module_that_hangs(tmp_path: Path) -> None:
    host = host_of(module(tmp_path))
    with pytest.raises(deadline.FilterHangs, match=r"proxy_on_tick(.|\n)*endless"), deadline.limit(0.2):
        host.plugin.proxy_on_tick(1)
    assert host.request().status == 200


@pytest.mark.wasm
def test_only_wasm_code_needs_a_thread(tmp_path: Path) -> None:
    def watchers() -> int:
        return sum(thread.name == "pwasm-deadline" for thread in threading.enumerate())

    with deadline.limit(ENOUGH):
        HostEmulator(pwasm.HttpContext).request()
        assert watchers() == 0
        host_of(module(tmp_path)).request()
        assert watchers() == 1
    assert watchers() == 0


BROKEN = {
    "exports no memory": MODULE.replace('(memory (export "memory") 1)', "(memory 1)"),
    "Missing or unknown Proxy-Wasm ABI version": MODULE.replace("version_0_2_1", "version_0_3_0"),
    r"Bad function signature for: proxy_on_tick, want: \(i32\)": MODULE.replace(
        '(export "proxy_on_tick") (param i32)', '(export "proxy_on_tick") (param i32 i32)'
    ),
    "imports env.nothing, which Envoy does not offer": MODULE.replace("proxy_get_current_time_nanoseconds", "nothing"),
    "exports neither malloc nor": MODULE.replace('"malloc"', '"other"'),
}


@pytest.mark.wasm
@pytest.mark.parametrize("message", BROKEN)
def test_a_module_that_envoy_would_not_load(message: str, tmp_path: Path) -> None:
    with pytest.raises(WasmLoadError, match=message):
        host_of(module(tmp_path, text=BROKEN[message]))


def test_a_file_that_is_no_module(tmp_path: Path) -> None:
    path = tmp_path / "main.wasm"
    path.write_bytes(b"\0asm but not really")
    with pytest.raises(WasmLoadError, match=r"main\.wasm"):
        host_of(path)
    with pytest.raises(WasmLoadError, match="No such file"):
        host_of(tmp_path / "none.wasm")


@pytest.mark.wasm
@pytest.mark.parametrize(
    ("part", "call"),
    [
        ("initialize", "(drop (call $time (i32.const 0)))"),
        ("malloc", "(drop (call $random (i32.const 0) (i32.const 4))) (i32.const 1024)"),
    ],
)
def test_what_may_not_be_called_at_start_and_in_malloc(part: str, call: str, tmp_path: Path) -> None:
    """docs/abi.md §1.8, cases 4 and 6."""
    path = module(tmp_path, **{part: call})

    def use() -> None:
        host_of(path).plugin._write_bytes(iter((8, 12)), b"abc")  # type: ignore[attr-defined]

    with pytest.raises(WasmTrap, match="restricted_callback"):
        use()


@pytest.mark.wasm
def test_random_may_be_asked_for_at_start(tmp_path: Path) -> None:
    assert host_of(module(tmp_path, initialize="(drop (call $random (i32.const 0) (i32.const 4)))")).started


def test_ctrl_c_while_a_filter_runs_is_not_an_exception_of_the_filters() -> None:
    """Else the stream would be answered with 500, and the test would go on."""

    class Interrupted(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            signal.raise_signal(signal.SIGINT)

    host = HostEmulator(Interrupted)
    with pytest.raises(KeyboardInterrupt), deadline.limit(10):
        host.request()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with deadline.limit(10):
        assert HostEmulator(pwasm.HttpContext).request().status == 200
