"""The linker's rules, on small components written as text and on a real one."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from pwasm_compiler.build.verify import verify_build
from pwasm_compiler.cache import Cache
from pwasm_compiler.component.decode import decode_component
from pwasm_compiler.component.graph import instance_graph
from pwasm_compiler.errors import LinkError, UnsupportedError
from pwasm_compiler.guest import code_cache
from pwasm_compiler.link.layout import Layout, lay_out
from pwasm_compiler.link.memory import global_address
from pwasm_compiler.link.merge import merge
from pwasm_compiler.link.passes import functions
from pwasm_compiler.link.passes.reachable import Reachable, reachable
from pwasm_compiler.link.passes.stack import USABLE, stack_limit
from pwasm_compiler.link.resolve import HostFunction, Unbound, resolve, weak_undefined
from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.module import Kind
from tests.support import wasm_tools
from tests.support.small_component import ANSWER, COMPONENT

pytestmark = pytest.mark.wasm

MARKER = "proxy_abi_version_0_2_1"


def laid_out(component: bytes) -> Layout:
    return lay_out(resolve(instance_graph(decode_component(component)), MARKER), component)


def exports_of(layout: Layout, *names: str) -> dict[str, object]:
    shim = layout.plan.shim
    return {name: layout.target(shim.number, shim.exports[name].index) for name in names}


def imported_by_shim(layout: Layout, name: str) -> object:
    shim = layout.plan.shim
    names = [item.name for item in shim.module.imported(Kind.FUNC)]
    return layout.target(shim.number, names.index(name))


def linked(component: bytes, *names: str) -> tuple[bytes, Layout, Reachable]:
    layout = laid_out(component)
    exports = exports_of(layout, *names)
    kept = reachable(layout, exports.values())  # type: ignore[arg-type]
    return merge(layout, kept, exports).module(layout, 8), layout, kept  # type: ignore[arg-type]


def run(module: bytes) -> tuple[wasmtime.Store, wasmtime.Instance]:
    store = wasmtime.Store()
    return store, wasmtime.Instance(store, wasmtime.Module(store.engine, module), [])


@pytest.fixture
def small() -> bytes:
    return wasm_tools.assemble(COMPONENT.replace("{answers}", ANSWER))


def test_calls_globals_table_and_data_arrive(small: bytes) -> None:
    module, _, _ = linked(small, "proxy_on_done")
    store, instance = run(module)
    done: Any = instance.exports(store)["proxy_on_done"]
    assert done(store, 10) == 10 * 2 + 77 + 42


def test_wasi_is_answered_by_the_shim(small: bytes) -> None:
    module, _, _ = linked(small, "proxy_on_tick")
    store, instance = run(module)
    exports: Any = instance.exports(store)
    exports["proxy_on_tick"](store, 64)
    assert exports["memory"].read(store, 64, 68) == b"\5\0\0\0"


def test_a_reachable_wasi_function_without_answer_fails_the_build() -> None:
    component = wasm_tools.assemble(COMPONENT.replace("{answers}", ""))
    with pytest.raises(LinkError, match=r"wall-clock@0\.2\.0#now is reachable, but the runtime shim does not"):
        linked(component, "proxy_on_tick")


def test_an_unreachable_one_is_no_error() -> None:
    component = wasm_tools.assemble(COMPONENT.replace("{answers}", ""))
    linked(component, "proxy_on_done")


def test_trampolines_are_folded_away(small: bytes) -> None:
    _, layout, kept = linked(small, "proxy_on_done")
    owners = {layout.plan.graph.instances[item.instance].number for item in kept.functions}
    main = next(item for item in layout.plan.graph.instances if "got" in item.exports).number
    assert main not in owners


def test_what_cannot_be_called_is_dropped(small: bytes) -> None:
    module, _, kept = linked(small, "proxy_on_done")
    assert len(kept.functions) == 2
    assert [item.name for item in decode_module(memoryview(module)).exports] == ["memory", "proxy_on_done"]


def test_only_written_globals_remain_variables(small: bytes) -> None:
    module, _, kept = linked(small, "proxy_on_done")
    assert len(kept.written) == 1
    assert [item.init.value for item in decode_module(memoryview(module)).globals] == [4096]


def test_the_memory_has_a_maximum(small: bytes) -> None:
    module, _, _ = linked(small, "proxy_on_done")
    memory = decode_module(memoryview(module)).memories[0]
    assert (memory.minimum, memory.maximum) == (2, 8)


def test_without_the_shim_there_is_nothing_to_link(small: bytes) -> None:
    with pytest.raises(LinkError, match="the runtime shim is missing"):
        resolve(instance_graph(decode_component(small)), "proxy_abi_version_9")


def test_a_shim_that_is_older_than_its_sources_says_how_to_compile_it(small: bytes) -> None:
    for look_up in (functions.shim_function, global_address):
        with pytest.raises(LinkError, match=r"the runtime shim has no .* pwasm_new") as caught:
            look_up(laid_out(small), "pwasm_new")
        assert "build_shim.py" in caught.value.hint


def test_start_functions_are_refused() -> None:
    text = COMPONENT.replace("{answers}", ANSWER).replace('(func (export "dead") unreachable)', "(func $s) (start $s)")
    with pytest.raises(UnsupportedError, match="start function"):
        linked(wasm_tools.assemble(text), "proxy_on_done")


def test_weak_undefined_functions_are_read_from_the_dylink_section(component: bytes) -> None:
    plan = laid_out(component).plan
    weak = weak_undefined(plan.shim.module)
    assert {"proxy_log", "wasi_p1_random_get", "proxy_call_foreign_function"} <= weak
    assert "malloc" not in weak


def test_the_real_component_links_to_a_module_that_old_engines_take(component: bytes, tmp_path: Path) -> None:
    layout = laid_out(component)
    exports = exports_of(layout, "proxy_on_context_create", "proxy_on_request_headers", MARKER)
    exports["malloc"] = exports["proxy_on_memory_allocate"] = imported_by_shim(layout, "malloc")
    code = merge(layout, reachable(layout, exports.values()), exports)  # type: ignore[arg-type]
    module = code.module(layout, 4096)
    verify_build(decode_module(memoryview(module)))
    output = tmp_path / "main.wasm"
    output.write_bytes(module)
    wasm_tools.validate(output)


def test_every_wasi_import_of_the_real_component_is_answered(component: bytes) -> None:
    """Not only reachable ones: a call that becomes reachable later must not trap."""
    plan = laid_out(component).plan
    unbound = {
        target.name
        for functions in plan.imported_functions
        for target in functions
        if isinstance(target, Unbound) and "#" in target.name
    }
    assert unbound <= {"wasi_snapshot_preview1#reset_adapter_state"}  # the adapter resets itself, only at build


def test_host_functions_are_those_of_the_abi(component: bytes) -> None:
    plan = laid_out(component).plan
    modules = {
        target.module for targets in plan.imported_functions for target in targets if isinstance(target, HostFunction)
    }
    assert modules == {"env", "wasi_snapshot_preview1"}


def test_merged_code_is_cached_and_the_same(component: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = laid_out(component)
    exports = exports_of(layout, "proxy_on_request_headers", MARKER)
    first = code_cache.cached_merge(layout, exports, Cache(tmp_path))  # type: ignore[arg-type]
    monkeypatch.setattr(code_cache, "merge", None)  # a second merge would fail
    assert code_cache.cached_merge(layout, exports, Cache(tmp_path)) == first  # type: ignore[arg-type]


def test_a_damaged_cache_entry_is_not_used(component: bytes, tmp_path: Path) -> None:
    layout = laid_out(component)
    exports = exports_of(layout, MARKER)
    first = code_cache.cached_merge(layout, exports, Cache(tmp_path))  # type: ignore[arg-type]
    (entry,) = tmp_path.glob("code/*")
    damaged = bytearray(entry.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    for contents in (damaged, entry.read_bytes()[:100], b""):
        entry.write_bytes(contents)
        assert code_cache.cached_merge(layout, exports, Cache(tmp_path)) == first  # type: ignore[arg-type]


def test_the_stack_limit_of_a_python_that_is_known() -> None:
    words = struct.pack("<III", 0x100000, 0x4000, 0x2000)
    address, word = stack_limit(b"before" + words + b"behind")
    assert (address, struct.unpack("<I", word)) == (10, (0x100000 - USABLE,))


@pytest.mark.parametrize("times", [0, 2])
def test_a_python_that_is_not_known_is_refused(times: int) -> None:
    with pytest.raises(LinkError, match=f"stack limits occur {times} times"):
        stack_limit(bytes(100) + times * (struct.pack("<III", 0x100000, 0x4000, 0x2000) + b"x"))
