"""`pwasm optimize` without an Envoy, and what it says to files that it does not take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wasmtime

from pwasm_compiler.wasm import encode
from tests.support.command_line import Pwasm, caller

WAT = """
(module
  (func (export "proxy_abi_version_0_2_1"))
  (func $small)
  (func (export "proxy_on_tick") (param i32) (call $small) (call $small)))
"""
DANGLING = wasmtime.wat2wasm('(module (func (export "f") (call 0)))').replace(b"\x10\x00\x0b", b"\x10\x01\x0b")
COMPONENT = b"\0asm\x0d\0\x01\0"
TAGS = b"\0asm\1\0\0\0" + encode.raw_section(1, b"\1\x60\0\0") + encode.raw_section(13, b"\1\0\0")


@pytest.fixture
def pwasm(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pwasm:
    (tmp_path / "good.wasm").write_bytes(wasmtime.wat2wasm(WAT))
    return caller(capfd, tmp_path, monkeypatch)


def test_without_measuring(pwasm: Pwasm, tmp_path: Path) -> None:
    shown = pwasm("optimize", "good.wasm", "-o", "new.wasm", "--no-measure")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("new.wasm: 1 function, +")
    report = json.loads(pwasm("optimize", "good.wasm", "-o", "again.wasm", "--no-measure", "--json").out)
    assert (report["functions"], report["measured"]) == (1, None)
    assert (tmp_path / "new.wasm").read_bytes() == (tmp_path / "again.wasm").read_bytes()
    assert "V8 inlines no calls" in pwasm("inspect", "new.wasm").out
    assert "V8 inlines calls" in pwasm("inspect", "good.wasm").out


def test_a_section_that_is_left_out_is_said(pwasm: Pwasm, tmp_path: Path) -> None:
    with (tmp_path / "good.wasm").open("ab") as file:
        file.write(encode.custom_section(".debug_line", b"x"))
    shown = pwasm("optimize", "good.wasm", "-o", "new.wasm", "--no-measure")
    assert "custom section .debug_line is left out" in shown.err


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"", "bad.wasm is empty"),
        (b"no module at all", "not a Wasm binary"),
        (COMPONENT, "this is a component"),
        (TAGS, "tag section"),
        (b"\0asm\1\0\0\0" + encode.custom_section("linking", b""), "linking"),
        (bytes(DANGLING), "bad.wasm is not a valid module"),
        (bytes(wasmtime.wat2wasm("(module (func))")), "no function calls another one"),
    ],
    ids=["empty", "text", "component", "exceptions", "object", "invalid", "no calls"],
)
def test_what_it_does_not_take(pwasm: Pwasm, tmp_path: Path, contents: bytes, said: str) -> None:
    (tmp_path / "bad.wasm").write_bytes(contents)
    shown = pwasm("optimize", "bad.wasm", "-o", "new.wasm")
    assert shown.code == 1
    assert said in shown.err
    assert "bad.wasm" in shown.err
    assert not (tmp_path / "new.wasm").exists()


def test_twice(pwasm: Pwasm, tmp_path: Path) -> None:
    pwasm("optimize", "good.wasm", "-o", "new.wasm", "--no-measure")
    shown = pwasm("optimize", "new.wasm", "-o", "newer.wasm")
    assert shown.code == 1
    assert "already" in shown.err
    assert not (tmp_path / "newer.wasm").exists()


def test_no_file_and_no_place(pwasm: Pwasm, tmp_path: Path) -> None:
    assert pwasm("optimize", "nowhere.wasm", "-o", "new.wasm").code != 0
    assert pwasm("optimize", "good.wasm", "-o", "nowhere/new.wasm").code != 0
    assert pwasm("optimize", "good.wasm").code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.wasm"]
