"""What is removed from a module, and why that is safe."""

from __future__ import annotations

import dataclasses

import pytest

from pwasm_compiler.component.decode import decode_component
from pwasm_compiler.component.graph import Item, instance_graph
from pwasm_compiler.cpython314 import BUILT_IN
from pwasm_compiler.guest.code_cache import cached_merge
from pwasm_compiler.link.dead_data import without_dead_data
from pwasm_compiler.link.layout import Layout, Placed, lay_out
from pwasm_compiler.link.memory import read_memory
from pwasm_compiler.link.passes.cuts import CPython, built_in_modules, compiler, find_cpython, unused_modules
from pwasm_compiler.link.passes.docs import find_docs
from pwasm_compiler.link.passes.reachable import Reachable
from pwasm_compiler.link.passes.references import ReferenceTable, find_references, libraries
from pwasm_compiler.link.passes.trim import trim
from pwasm_compiler.link.resolve import ABI_MARKER, resolve
from pwasm_compiler.wasm.module import Kind, function_names


@pytest.fixture(scope="module")
def layout(component: bytes) -> Layout:
    """Before anything ran: no built-in module is in use."""
    return lay_out(resolve(instance_graph(decode_component(component)), ABI_MARKER), component)


@pytest.fixture(scope="module")
def cpython(layout: Layout) -> CPython:
    return find_cpython(layout)


@pytest.fixture(scope="module")
def references(layout: Layout) -> ReferenceTable:
    return find_references(layout)


def trimmed(layout: Layout, cuts: dict[Item, object]) -> Reachable:
    shim = layout.plan.shim
    exports = [layout.target(shim.number, item.index) for name, item in shim.exports.items() if "proxy_on" in name]
    return trim(layout, exports, cuts)  # type: ignore[arg-type]


def names(layout: Layout, kept: Reachable) -> set[str]:
    tables = {library.instance.number: library.instance.module for library in libraries(layout)}
    known = {number: function_names(module) for number, module in tables.items()}
    return {
        known[item.instance].get(item.index + len(tables[item.instance].imported(Kind.FUNC)), "")
        for item in kept.functions
    }


def test_keep_knows_the_built_in_modules(layout: Layout, cpython: CPython) -> None:
    assert {name for name, _, _ in built_in_modules(layout, cpython)} == set(BUILT_IN)


@pytest.mark.slow
def test_an_unused_module_goes_with_all_that_only_it_reaches_and_keep_brings_it_back(
    layout: Layout, cpython: CPython
) -> None:
    unused = unused_modules(layout, cpython)
    without = names(layout, trimmed(layout, dict(unused.values())))
    assert {"sqlite3_step", "mpd_qdiv", "XML_ParserCreate_MM", "inflate", "PyInit__sqlite3"}.isdisjoint(without)
    assert {"_PyEval_EvalFrameDefault", "PyErr_Format", "dlmalloc", "_PyPegen_run_parser"} <= without
    kept = unused_modules(layout, cpython, ("_sqlite3",))
    assert kept.keys() == unused.keys() - {"_sqlite3"}
    assert {"sqlite3_step", "PyInit__sqlite3"} <= names(layout, trimmed(layout, dict(kept.values())))


def test_start_up_code_goes_and_the_compiler_when_it_is_cut(layout: Layout, cpython: CPython) -> None:
    kept = names(
        layout, trimmed(layout, {**dict(unused_modules(layout, cpython).values()), **compiler(layout, cpython)})
    )
    gone = {"Py_InitializeFromConfig", "_PyUnicode_InitStaticStrings", "__wasm_apply_data_relocs"}
    assert (gone | {"_PyPegen_run_parser", "_PyAST_Compile", "symtable_visit_stmt", "obj2ast_stmt"}).isdisjoint(kept)


def test_every_slot_of_the_table_stays_filled_with_a_function_of_its_type(layout: Layout, cpython: CPython) -> None:
    """A call that should be impossible meets a stub that raises, never an empty slot or another type."""
    kept = trimmed(layout, dict(unused_modules(layout, cpython).values()))
    for target in layout.slots.values():
        if isinstance(target, Item) and target not in kept.functions:
            module = layout.plan.graph.instances[target.instance].module
            assert kept.stubs[target].type == module.types[module.functions[target.index]]
            assert kept.stubs[target].raiser in kept.functions


def test_code_names_objects_by_their_start(layout: Layout, references: ReferenceTable) -> None:
    """What trimming relies on, checked on the objects whose extent is known: the types that CPython exports."""
    size_of_a_type = 192  # at least: sizeof(PyTypeObject) on wasm32
    checked = 0
    for library in libraries(layout):
        for export in library.instance.module.exports:
            item = layout.plan.graph.export(library.instance, export.name)
            if export.kind is Kind.GLOBAL and export.name.endswith("_Type") and isinstance(item, Item):
                address = library.memory.start + layout.values[item]
                assert references.start_of(address) == address
                assert {references.start_of(address + at) for at in range(size_of_a_type)} == {address}, export.name
                checked += 1
    assert checked > 70


@pytest.mark.slow
def test_what_is_cut_is_part_of_the_key_of_cached_code(layout: Layout, cpython: CPython, tmp_path: object) -> None:
    from pwasm_compiler.cache import Cache

    cache = Cache(tmp_path)  # type: ignore[arg-type]
    shim = layout.plan.shim
    exports = {"proxy_on_tick": layout.target(shim.number, shim.exports["proxy_on_tick"].index)}
    unused = dict(unused_modules(layout, cpython).values())
    small = cached_merge(layout, exports, cache, unused)
    smaller = cached_merge(layout, exports, cache, unused | compiler(layout, cpython))
    assert len(smaller.tail) < len(small.tail)
    assert cached_merge(layout, exports, cache, unused) == small


@pytest.mark.parametrize(
    ("unread", "expected"),
    [
        ([], [(10, b"ab\0cdefg"), (30, b"xy\0z")]),
        ([(13, 16)], [(10, b"ab\0cdefg"), (30, b"xy\0z")]),
        ([(11, 16)], [(10, b"ab\0"), (16, b"fg"), (30, b"xy\0z")]),
        ([(12, 40)], [(10, b"ab\0")]),
        ([(31, 34), (11, 15)], [(10, b"ab\0"), (15, b"efg"), (30, b"xy\0")]),
        ([(0, 11), (18, 31)], [(11, b"b\0cdefg"), (31, b"y\0z")]),
    ],
)
def test_unread_data_goes_but_not_the_end_of_a_string(
    unread: list[tuple[int, int]], expected: list[tuple[int, bytes]]
) -> None:
    data = [Placed(30, memoryview(b"xy\0z")), Placed(10, memoryview(b"ab\0cdefg"))]
    assert [(item.address, bytes(item.data)) for item in without_dead_data(data, unread)] == expected


def test_ranges_that_overlap_go_whole() -> None:
    data = [Placed(10, memoryview(b"a\0bcdefgh"))]
    found = without_dead_data(data, [(10, 17)], [(13, 14), (15, 18)])
    assert [(item.address, bytes(item.data)) for item in found] == [(10, b"a\0"), (18, b"h")]


def test_docstrings_of_c_go_unless_something_names_a_place_in_them(layout: Layout, references: ReferenceTable) -> None:
    found = list(find_docs(layout, references))
    texts = [read_memory(layout, start, end - start) for start, end in found]
    assert sum(map(len, texts)) > 100_000
    assert any(text.startswith(b"Return the number of items in a container.") for text in texts)
    _, end = found[0]
    named = dataclasses.replace(references, starts=tuple(sorted({*references.starts, end - 1})))
    assert found[0] not in list(find_docs(layout, named))
