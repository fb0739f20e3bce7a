"""V8's inliner finds no budget left: a model of what it decides, over every function of real and of made-up modules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from pwasm.testing.worlds.filters import built_module
from pwasm_compiler.errors import BinaryError
from pwasm_compiler.link import inlining
from pwasm_compiler.link.inlining import MARKER, RULES, Rule, Spent, is_spent, spend_budgets
from pwasm_compiler.wasm import encode
from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.instructions import Space, sites
from pwasm_compiler.wasm.module import Kind, Module

HELLO_WORLD = Path(__file__).parents[3] / "filters" / "hello_world"


def _module(wat: str) -> Module:
    return decode_module(memoryview(wasmtime.wat2wasm(wat)))


def _spent(module: Module) -> Spent:
    return spend_budgets(module)


class _V8:
    """What V8 without its baseline compiler inlines into one function (sources: see `RULES`)."""

    def __init__(self, module: Module, rule: Rule) -> None:
        self.rule = rule
        self.imported = len(module.imported(Kind.FUNC))
        code, indices = bytes(module.source), dict[bytes, int]()
        self.sizes = [body.end - body.start for body in module.bodies]
        self.calls = [
            [site.target - self.imported for site in sites(code, body, indices) if site.space is Space.FUNC]
            for body in module.bodies
        ]

    def inlined(self, function: int, growth: int) -> list[int]:
        """The callees that are inlined, in order, with a budget of `growth` times the function's size."""
        self.budget = max(self.rule.least, growth * self.sizes[function])
        self.found: list[int] = []
        self._into(function)
        return self.found

    def _into(self, function: int) -> None:
        for callee in self.calls[function]:
            if callee >= 0 and self.sizes[callee] < self.budget and len(self.found) < self.rule.calls:
                self.budget -= self.sizes[callee]
                self.found.append(callee)
                self._into(callee)


def _still_inlined(before: Module, after: Module) -> Iterator[tuple[int, int, int]]:
    """Functions of `before` that V8 still inlines something into: (function, growth, callee)."""
    for rule in RULES:
        model = _V8(after, rule)
        for function in range(len(before.bodies)):
            for growth in range(rule.least_growth, rule.most_growth + 1):
                for callee in model.inlined(function, growth):
                    if callee < len(before.bodies):
                        yield function, growth, callee


@pytest.mark.wasm
def test_nothing_is_inlined_into_a_function_of_hello_world() -> None:
    after = decode_module(memoryview(built_module(HELLO_WORLD).read_bytes()))
    assert is_spent(after)
    own = len(after.bodies) - len(_spent(_module(WAT)).names)
    before = decode_module(memoryview(b"\0asm\1\0\0\0"))
    object.__setattr__(before, "bodies", after.bodies[:own])
    assert next(_still_inlined(before, after), None) is None


def _caller(calls: int, padding: int) -> str:
    """A function with `calls` calls of a small one, and `padding` bytes more."""
    return f"(func {'(call 0) ' * calls}{'nop ' * padding})"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 80), st.integers(0, 2000)), min_size=1, max_size=6), st.integers(0, 200))
def test_nothing_is_inlined_whatever_the_sizes(callers: list[tuple[int, int]], small: int) -> None:
    functions = "".join(_caller(*sizes) for sizes in callers)
    before = _module(f"(module (func (nop)) {functions} {'(func)' * small})")
    assert any(True for _ in _still_inlined(before, before))  # the model inlines where nothing is spent
    after = decode_module(memoryview(_spent(before).wasm))
    assert list(_still_inlined(before, after)) == []


@pytest.mark.parametrize("others", [100, 120, 16_300, 16_380, 20_000])
def test_nothing_is_inlined_however_long_an_index_is(others: int) -> None:
    """A call is two to four bytes, and so the branch and the functions that spend have other sizes."""
    sizes = [*range(2, 200, 7), 290, 300, 310, 1000]
    before = _module(f"(module (func (nop)) {''.join(_caller(1, size) for size in sizes)} {'(func)' * others})")
    after = decode_module(memoryview(_spent(before).wasm))
    assert list(_still_inlined(before, after)) == []


WAT = """
(module
  (import "env" "log" (func $log (param i32)))
  (memory (export "memory") 1)
  (table 2 funcref) (elem (i32.const 0) $fib $id)
  (global $count (mut i32) (i32.const 0))
  (func $id (param i32) (result i32) (local.get 0))
  (func $fib (export "fib") (param $n i32) (result i32) (local i64) (local f32 f64)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (if (result i32) (i32.lt_s (local.get $n) (i32.const 2))
      (then (call $id (local.get $n)))
      (else (i32.add
        (call_indirect (param i32) (result i32) (i32.sub (local.get $n) (i32.const 1)) (i32.const 0))
        (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  (func (export "run") (param i32) (result i32) (call $log (local.get 0)) (call $fib (local.get 0)))
  (data (i32.const 8) "data"))
"""


def _run(wasm: bytes) -> tuple[int, list[int]]:
    store = wasmtime.Store()
    logged: list[int] = []
    log = wasmtime.Func(store, wasmtime.FuncType([wasmtime.ValType.i32()], []), logged.append)
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, wasm), [log])
    run = instance.exports(store)["run"]
    assert isinstance(run, wasmtime.Func)
    return int(run(store, 12)), logged


@pytest.mark.wasm
def test_a_module_does_the_same_and_everything_else_in_it_stays() -> None:
    before = _module(WAT)
    spent = _spent(before)
    assert _run(spent.wasm) == _run(bytes(before.source)) == (144, [12])
    after = decode_module(memoryview(spent.wasm))
    for field in ("imports", "exports", "tables", "memories", "globals"):
        assert getattr(after, field) == getattr(before, field)
    assert [bytes(segment.data) for segment in after.data] == [b"data"]
    assert after.functions[: len(before.functions)] == before.functions
    assert spent.functions == 2  # $id calls nobody
    assert len(after.bodies) == len(before.bodies) + len(spent.names)


def test_the_same_bytes_each_time() -> None:
    assert _spent(_module(WAT)).wasm == _spent(_module(WAT)).wasm


def test_twice_is_refused() -> None:
    once = decode_module(memoryview(_spent(_module(WAT)).wasm))
    with pytest.raises(BinaryError, match="already"):
        spend_budgets(once)


@pytest.mark.parametrize("title", ["linking", "reloc.CODE", "dylink.0"])
def test_what_is_not_linked_is_refused(title: str) -> None:
    data = wasmtime.wat2wasm(WAT) + encode.custom_section(title, b"")
    with pytest.raises(BinaryError, match=title):
        spend_budgets(decode_module(memoryview(data)))


def test_sections_that_name_places_in_the_code_are_left_out() -> None:
    kept, stale = ["producers", "pwasm", "name"], [".debug_info", "metadata.code.branch_hint", "precompiled_x"]
    data = bytes(wasmtime.wat2wasm(WAT))
    for title in (*stale, *kept):
        data += encode.custom_section(title, b"")
    spent = spend_budgets(decode_module(memoryview(data)))
    assert list(spent.dropped) == stale
    titles = [custom.name for custom in decode_module(memoryview(spent.wasm)).customs]
    assert titles[-1] == MARKER
    assert set(kept) <= set(titles)
    assert not set(stale) & set(titles)


@pytest.mark.parametrize("wat", ["(module)", "(module (func))", '(module (import "env" "f" (func)))'])
def test_where_nothing_calls_nothing_is_added(wat: str) -> None:
    before = _module(wat)
    spent = _spent(before)
    assert (spent.functions, spent.names, spent.dropped) == (0, (), ())
    assert spent.wasm == bytes(before.source) + encode.custom_section(MARKER, b"1")


def test_no_body_passes_the_limit_of_v8(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _module(WAT)
    longest = max(body.end - body.start for body in before.bodies)
    monkeypatch.setattr(inlining, "BODY_BYTES", longest)
    spent = _spent(before)
    assert spent.functions == 1
    assert max(body.end - body.start for body in decode_module(memoryview(spent.wasm)).bodies[:3]) == longest


def test_too_many_functions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inlining, "FUNCTIONS", 12)
    with pytest.raises(BinaryError, match="the module has 3 functions; V8 takes 12"):
        _spent(_module(WAT))
