"""pwasm's assumptions about CPython and componentize-py hold, and a violation would be noticed."""

from __future__ import annotations

import dataclasses
import re
import runpy
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler import cpython314, cpython314_calls
from pwasm_compiler.cache import Cache
from pwasm_compiler.guest.base import load_base
from pwasm_compiler.link.passes import cuts, docs, guards, references, roles, stack

ROOT = Path(__file__).parents[2]
TOOL: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "check_cpython.py"))
CHECKS: dict[str, Callable[..., Any]] = {check.__name__: check for check in TOOL["CHECKS"]}
pytestmark = pytest.mark.wasm
SHIM_NUMBERS = TOOL["numbers"](TOOL["HEADER"])


@pytest.fixture(scope="module")
def python() -> Any:
    return TOOL["Python"](load_base(), Cache())


def problems(name: str, python: Any) -> list[str]:
    found: list[str] = TOOL["problems"](CHECKS[name], python)
    return found


@pytest.mark.parametrize("name", CHECKS)
def test_it_is_so(name: str, python: Any) -> None:
    assert problems(name, python) == []


# What is wrong → the check that has to find it.
WRONG: list[tuple[str, str, object]] = [
    ("symbols", "LIBPYTHON", "libpython3.15.so"),
    ("symbols", "CONSTRUCT", "_start"),
    ("symbols", "STARTS", ("_initialize", "__wasm_start")),
    ("symbols", "RELOCATORS", ("pwasm_apply_data_relocs_", "__wasm_relocate")),
    ("symbols", "HEAP_BASE", "__heap_start"),
    ("built_in_modules", "BUILT_IN", cpython314.BUILT_IN[1:]),
    ("built_in_modules", "MODULE_DEFINITION", struct.Struct("<16xII")),
    ("frozen_modules", "FROZEN", struct.Struct("<IIiii")),
    ("frozen_modules", "FROZEN_TABLES", cpython314.FROZEN_TABLES[:1]),
    ("versions", "RELEASE", "3.14.1"),
    ("versions", "CACHE_TAG", "cpython-315"),
    ("versions", "EXTENSION_SUFFIX", ".cpython-315-wasm32-wasi.so"),
    ("recursion", "RECURSION_CHECKS", (*cpython314.RECURSION_CHECKS, "_Py_Check")),
    ("module_names", "IMPORTED_AT_START", ("os", "path")),
    ("module_names", "LAZY", {"jason": ("os",)}),
    ("module_names", "ALWAYS_WANTED", ("_suggestion",)),
    ("module_names", "WANTED_BY_TEXT", (("x", ("encodings.idn",)),)),
    ("module_names", "MODULES_THAT_COMPILE", frozenset({"pdbx"})),
    ("module_names", "NEW_IN_STANDARD_LIBRARY", frozenset({"annotationlib"})),
    ("lazy_imports", "LAZY", {"json": ("sqlite3",)}),
    ("lazy_imports", "LAZY", {"base64": ("binascii",)}),
    ("functions_that_compile", "COMPILES_TEXT", frozenset({"namedtuples"})),
]


@pytest.mark.parametrize(("name", "constant", "value"), WRONG, ids=[f"{name}-{what}" for name, what, _ in WRONG])
def test_a_wrong_name_or_layout_is_found(
    name: str, constant: str, value: object, python: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpython314, constant, value)
    assert problems(name, python) != []


@pytest.mark.parametrize(
    ("name", "module", "constant", "value"),
    [
        ("compiler", cuts, "COMPILER", cpython314.COMPILER | {"_PyAST_Build": 0}),
        ("docstrings", docs, "DOCSTRING", re.compile(rb"\0\w+\[[^\0]*\n--\n\n([^\0]+)")),
        ("docstrings", references, "RELOCATORS", ("__wasm_call_ctors",)),
        ("recursion", cpython314_calls, "FAILS", {**cpython314_calls.FAILS, "zip_before": 0}),
        ("recursion", guards, "ALWAYS_GUARDED", cpython314_calls.ALWAYS_GUARDED[1:]),
        ("recursion", guards, "ALWAYS_GUARDED", [*cpython314_calls.ALWAYS_GUARDED, "zip_before"]),
        ("recursion", guards, "BOUNDED", cpython314_calls.BOUNDED[1:]),
        ("recursion", guards, "LIBRARIES_BEGIN", "mpd_flt_traphandler"),
        ("recursion", roles, "TYPE_FUNCTIONS", {}),
        ("recursion", roles, "METHOD_FLAGS", range(0)),
        ("recursion", roles, "SLOTS", {}),
        ("recursion", stack, "LARGE_FRAMES", {"_PyEval_EvalFrame_": 4096}),
        ("recursion", stack, "RAISES_RECURSION_ERROR", "Py_RaiseRecursionError"),
        ("stack_limits", stack, "STACK_SOFT", 0x8000),
    ],
)
def test_what_a_pass_knows_wrongly_is_found(
    name: str, module: Any, constant: str, value: object, python: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, constant, value)
    assert problems(name, dataclasses.replace(python)) != []


def test_a_callback_of_the_compiler_that_is_gone_is_found(python: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpython314, "COMPILER_CALLBACKS", (*cpython314.COMPILER_CALLBACKS, r"_PyPegen2_\w+"))
    assert problems("compiler", python) == [r"_PyPegen2_\w+ matches nothing in the table"]


@pytest.mark.parametrize("constant", SHIM_NUMBERS)
def test_a_wrong_number_of_the_shim_is_found(
    constant: str, python: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = tmp_path / "cpython314.h"
    wrong = SHIM_NUMBERS[constant] * 2 if constant != "ROOM" else 0xFFFFFF
    text, count = re.subn(rf"\b{constant} = [^,}}]+?(?=,| }})", f"{constant} = {wrong}", TOOL["HEADER"].read_text())
    assert count == 1
    header.write_text(text)
    monkeypatch.setitem(CHECKS["layouts_of_objects"].__globals__, "HEADER", header)
    assert problems("layouts_of_objects", python) != []


@pytest.mark.parametrize("constant", ["_ONLY_AST", "_HEAP_TYPE", "_IMMUTABLE", "_OPTIMIZED"])
def test_a_wrong_number_in_the_guest_is_found(constant: str, python: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check = CHECKS["numbers_in_the_guest"]
    numbers = check.__globals__["numbers"]
    monkeypatch.setitem(check.__globals__, "numbers", lambda path: numbers(path) | {constant: 1 << 20})
    assert problems("numbers_in_the_guest", python) != []


def test_no_other_file_says_which_python_it_is() -> None:
    """The version inside a module, not the one that runs pwasm itself."""
    says_it = re.compile(r"\b3\.14\b|cpython-3\d\d|python3\.\d\d")
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in ("compiler", "runtime-shim")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".c", ".h", ".inc") and path.stem != "cpython314" and "templates" not in path.parts
    }
    assert len(texts) > 100
    assert {path: found for path, text in texts.items() if (found := says_it.findall(text))} == {
        "compiler/pwasm_compiler/build/dependencies/inside_pip.py": ["3.14"],  # a comment's example
        "compiler/pwasm_compiler/commands/build.py": ["3.14"],  # the manual of `pwasm build`
    }
