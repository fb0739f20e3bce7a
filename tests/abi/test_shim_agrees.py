"""The compiled shim and the linker's gate agree with the SDK's ABI table."""

from __future__ import annotations

import pytest

import pwasm_shim
from pwasm import _abi
from pwasm_compiler.build.verify import callback_types, exported_type, host_functions
from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.module import I32, I64, FuncType, Kind, Module


def func_type(core: tuple[str, str]) -> FuncType:
    words = {"i32": I32, "i64": I64}
    return FuncType(*(bytes(words[word] for word in side.split()) for side in core))


@pytest.fixture(scope="module")
def shim() -> Module:
    return decode_module(memoryview(pwasm_shim.library().read_bytes()))


def test_the_shim_declares_every_hostcall_with_its_type(shim: Module) -> None:
    declared = {
        item.name: shim.types[item.type]
        for item in shim.imported(Kind.FUNC)
        if item.name.startswith("proxy_") and isinstance(item.type, int)
    }
    assert declared == {call.name: func_type(call.core_type()) for call in _abi.HOSTCALLS}


def test_the_shim_exports_every_callback_with_its_type(shim: Module) -> None:
    exported = {
        item.name: exported_type(shim, item.index) for item in shim.exports if item.name.startswith("proxy_on_")
    }
    assert exported == {callback.name: func_type(callback.core_type()) for callback in _abi.CALLBACKS}


def test_the_shim_offers_hostcalls_and_callbacks_in_the_order_of_the_table() -> None:
    """The dispatcher hands its callables over as a tuple: the order is the contract."""
    source = pwasm_shim.library().with_name("src").joinpath("abi.h").read_text(encoding="utf-8")
    names = source.partition("CALLBACK_COUNT")[0].rpartition("enum {")[2].replace(",", " ").split()
    assert [f"proxy_on_{name.lower()}" for name in names] == [callback.name for callback in _abi.CALLBACKS]


def test_the_shim_carries_the_version_marker(shim: Module) -> None:
    assert _abi.ABI_VERSION_MARKER in {item.name for item in shim.exports}


def test_the_gate_knows_every_hostcall_and_callback() -> None:
    for call in _abi.HOSTCALLS:
        assert host_functions()["env", call.name] == func_type(call.core_type())
    for callback in _abi.CALLBACKS:
        assert callback_types()[callback.name] == func_type(callback.core_type())


def test_the_shim_imports_only_old_wasi(shim: Module) -> None:
    """Envoy before 1.33 offers 15 functions of WASI; one more would be a load failure there."""
    used = {item.name.removeprefix("wasi_p1_") for item in shim.imported(Kind.FUNC) if item.name.startswith("wasi_p1_")}
    offered = {name for module, name in host_functions() if module == "wasi_snapshot_preview1"}
    assert used == {"clock_time_get", "random_get", "environ_get", "environ_sizes_get"}
    assert used <= offered
    assert len(offered) == 18
