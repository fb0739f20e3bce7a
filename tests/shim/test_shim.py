"""The runtime shim: every hostcall crosses it with its values and its status, and nothing leaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm import _abi
from pwasm.testing.wasm import WasmPlugin
from tests.support.native_host import NativeHost

pytestmark = pytest.mark.wasm

CALLS = 100_000
SAMPLES: dict[str, Any] = {
    "u32": 1,
    "i32": -1,
    "i64": -5,
    "bool": True,
    "bytes": b"bytes \xff\0" * 20,
    "text": b"text \xff \xc3\xbc" * 20,
}
RESULTS: dict[str, Any] = {"u32": 0xFFFFFFFF, "u64": 1 << 63, "bytes": b"result" * 50}
NUMBERS = range(len(_abi.HOSTCALLS))
NAMES = [call.name for call in _abi.HOSTCALLS]


class Recorder:
    """A host double that answers every hostcall with `status` and the sample results, and keeps the arguments."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = next(call for call in _abi.HOSTCALLS if call.name == name)

        def answer(*arguments: Any) -> Any:
            self.calls.append((name, *arguments))
            results = tuple(RESULTS[kind] for kind in _abi.kinds(call.results))
            return (self.status, *results) if results else self.status

        return answer


def _start(plugin: Any) -> None:
    plugin("proxy_on_context_create", 1, 0)
    plugin("proxy_on_vm_start", 1, 0)
    plugin("proxy_on_configure", 1, 0)


@pytest.mark.parametrize("status", [0, 1, 12, 255])
def test_arguments_results_and_status_cross_the_shim(built: Callable[[str], Path], status: int) -> None:
    host = Recorder(status)
    plugin = WasmPlugin(built("all_hostcalls"), host)
    _start(lambda name, *arguments: getattr(plugin, name)(*arguments))
    for number, call in enumerate(_abi.HOSTCALLS):
        host.calls.clear()
        plugin.proxy_on_queue_ready(1, number * 1_000_000 + 1)
        assert host.calls == [(call.name, *(SAMPLES[kind] for kind in _abi.kinds(call.params)))]


@pytest.fixture(scope="module")
def native(built: Callable[[str], Path]) -> Any:
    host = NativeHost(built("all_hostcalls"))
    _start(host.call)
    return host


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize("number", NUMBERS, ids=NAMES)
def test_100_000_calls_leave_the_memory_as_it_was(native: Any, number: int, status: int) -> None:
    native.set_status(0)
    native.call("proxy_on_queue_ready", 1, number * 1_000_000 + 1_000)  # warm-up
    native.set_status(status)
    pages = native.pages
    native.call("proxy_on_queue_ready", 1, number * 1_000_000 + CALLS)
    assert native.pages == pages
