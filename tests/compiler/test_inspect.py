"""`pwasm inspect`: what a module contains, whether Envoy would load it, and clear errors for other files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import wasmtime

from pwasm_compiler.build.module_record import ModuleRecord
from pwasm_compiler.errors import DecodeError, PwasmError
from pwasm_compiler.files import printable
from pwasm_compiler.inspect import render, report
from pwasm_compiler.wasm.encode import custom_section

GOOD = """(module
  (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1 4)
  (func (export "proxy_abi_version_0_2_0"))
  (func (export "malloc") (param i32) (result i32) i32.const 0)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 0))"""


def module(folder: Path, text: str) -> Path:
    path = folder / "main.wasm"
    path.write_bytes(wasmtime.wat2wasm(text))
    return path


def test_describes_a_module_of_another_sdk(tmp_path: Path) -> None:
    found = report(module(tmp_path, GOOD))
    assert found["accepted"] is True
    assert found["abi"] == "0_2_0"
    assert found["callbacks"] == ["proxy_on_request_headers"]
    assert found["hostcalls"] == ["proxy_log"]
    assert found["capabilities"] == ["proxy_log", "proxy_on_request_headers"]
    assert "all 2 of these, see capability_restriction_config" in render(found)
    assert found["memory"] == {"initial_bytes": 65536, "maximum_bytes": 262144}
    assert found["sdk"] is None
    assert found["oldest_envoy"] == "1.25"
    assert "would load it, since version 1.25" in render(found)


def test_says_since_when_envoy_would_load_it(tmp_path: Path) -> None:
    newer = '(import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))'
    found = report(module(tmp_path, GOOD.replace("(memory", f"{newer} (memory", 1)))
    assert (found["accepted"], found["oldest_envoy"]) == (True, "1.33")
    assert "would load it, since version 1.33" in render(found)


@pytest.mark.wasm
def test_describes_a_module_of_ours(component: bytes, tmp_path: Path) -> None:
    from pwasm_compiler.build.pipeline import build
    from pwasm_compiler.project import load_project

    (tmp_path / "filter.py").write_text(
        "import json\nimport pwasm\n@pwasm.set_http_context\nclass Log(pwasm.HttpContext):\n"
        "    def on_http_stream_done(self): pass\n"
    )
    artifact = build(load_project(tmp_path), tmp_path / "main.wasm")
    found = report(artifact.path)
    assert found["accepted"] is True
    assert found["abi"] == "0_2_1"
    assert found["python"].startswith("3.14")
    assert found["written"] == artifact.written == {"Log": ["on_http_stream_done"]}
    assert "  filter       Log: on_http_stream_done\n" in render(found)
    assert {"json", "pwasm", "filter"} <= set(found["modules"])
    assert found["wasi"] == ["clock_time_get", "environ_get", "environ_sizes_get", "random_get"]
    assert found["memory"]["maximum_bytes"] == 256 << 20
    assert set(found["exports"]) == {
        "memory",
        "malloc",
        "proxy_on_memory_allocate",
        "proxy_abi_version_0_2_1",
        *artifact.callbacks,
    }
    assert found["callbacks"] == sorted(artifact.callbacks)
    assert (tmp_path / "main.wasm.names").read_text().splitlines()[0].startswith("proxy_")


@pytest.mark.wasm
def test_says_what_was_left_out_and_keep_brings_it_back(component: bytes, tmp_path: Path) -> None:
    from pwasm_compiler.build.pipeline import build
    from pwasm_compiler.project import load_project

    source = "import json\nimport pwasm\npwasm.set_http_context(pwasm.HttpContext)\n"
    (tmp_path / "filter.py").write_text(source)
    small = report(build(load_project(tmp_path), tmp_path / "main.wasm").path)
    assert {"eval", "_sqlite3", "_decimal"} <= set(small["removed"])
    assert "_json" not in small["removed"]
    assert re.search(r"left out +eval .*_sqlite3", render(small), re.DOTALL)
    (tmp_path / "pyproject.toml").write_text('[tool.pwasm]\nkeep = ["eval", "sqlite3"]\n')
    large = report(build(load_project(tmp_path), tmp_path / "main.wasm").path)
    assert set(small["removed"]) - set(large["removed"]) == {"eval", "_sqlite3"}
    assert large["size"] > small["size"] + (1 << 20)
    (tmp_path / "pyproject.toml").unlink()
    (tmp_path / "filter.py").write_text(f"{source}\ndef run(text):\n    return eval(text)\n")
    assert "eval" not in report(build(load_project(tmp_path), tmp_path / "main.wasm").path)["removed"]


REFUSED = {
    "no ABI marker": (GOOD.replace("proxy_abi_version_0_2_0", "other"), "not a Proxy-Wasm module"),
    "unknown ABI": (GOOD.replace("0_2_0", "0_3_0"), "not an ABI version that Envoy supports"),
    "no malloc": (GOOD.replace('(export "malloc")', ""), "no export malloc"),
    "no memory": (GOOD.replace('(export "memory")', ""), "the memory is not exported"),
    "unknown import": (GOOD.replace('"proxy_log"', '"proxy_dance"'), "import env.proxy_dance, which Envoy does not"),
    "wrong import type": (
        GOOD.replace("(param i32 i32 i32) (result i32)))", "(param i32) (result i32)))", 1),
        "has type",
    ),
    "wrong callback type": (
        GOOD.replace("(param i32 i32 i32) (result i32) i32.const 0", "(param i32) (result i32) i32.const 0"),
        "export proxy_on_request_headers has type (i32) → (i32), Envoy expects (i32 i32 i32) → (i32)",
    ),
    "start function": (GOOD[:-1] + "(func $s) (start $s))", "start section"),
    "memory too large": (GOOD.replace("1 4", "20000"), "20000 pages"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_says_why_envoy_would_refuse(tmp_path: Path, text: str, reason: str) -> None:
    found = report(module(tmp_path, text))
    assert (found["accepted"], found["oldest_envoy"]) == (False, None)
    assert reason in " ".join(problem["message"] for problem in found["problems"])
    assert reason.partition("(")[0] in render(found)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", r"is empty \(at offset 0x0\)"),
        (b"\0as", r"bytes expected, .* \(at offset 0x0\)"),
        (b"hello, I am text\n", r"magic number is missing \(at offset 0x0\)"),
        (b"\0asm\x0d\0\x01\0", r"this is a component, not a core module \(at offset 0x4\)"),
        (b"\0asm\x01\0\0\0\x01\x80", r"unexpected end \(at offset 0xa\)"),
    ],
    ids=["empty", "truncated", "text", "component", "cut in a size"],
)
def test_what_is_no_module_is_one_clear_error(tmp_path: Path, contents: bytes, message: str) -> None:
    path = tmp_path / "x.wasm"
    path.write_bytes(contents)
    with pytest.raises(DecodeError, match=message) as caught:
        report(path)
    assert str(path) in str(caught.value)


def test_every_truncation_of_a_module_is_an_error(tmp_path: Path) -> None:
    whole = wasmtime.wat2wasm(GOOD)
    path = tmp_path / "x.wasm"
    for length in range(8, len(whole)):
        path.write_bytes(whole[:length])
        try:
            assert report(path)["accepted"] is False
        except DecodeError as error:
            assert error.offset is not None  # noqa: PT017  a cut between sections decodes


def test_a_folder_and_a_missing_file_say_so(tmp_path: Path) -> None:
    with pytest.raises(PwasmError, match="is a folder"):
        report(tmp_path)
    with pytest.raises(PwasmError, match="no such file or directory"):
        report(tmp_path / "nothing.wasm")


PRODUCERS = b"\x02\x08language\x01\x02Go\x061.26.8\x0cprocessed-by\x02\x02Go\x061.26.8\x01\x1b\x00"


@pytest.mark.parametrize(
    ("section", "producers"),
    [
        (PRODUCERS, ["Go 1.26.8", "\x1b"]),
        (b"\x00", []),
        (b"", []),
        (PRODUCERS[:21], ["Go 1.26.8"]),
        (b"\xff\xff\xff\xff\x0f", []),
        (b"\x01\x01\xff", []),
    ],
)
def test_says_what_it_was_made_with(tmp_path: Path, section: bytes, producers: list[str]) -> None:
    path = module(tmp_path, GOOD)
    path.write_bytes(path.read_bytes() + custom_section("producers", section))
    found = report(path)
    assert (found["accepted"], found["producers"]) == (True, producers)
    assert "\x1b" not in render(found), "JSON has its own escapes; text for people has these"
    shown = ", ".join(map(printable, producers))
    assert (f"  built by     {shown}" in render(found)) == bool(producers)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\xff",
        b"[",
        b"[" * 10_000,
        b"5",
        b"{'modules': 5}",
        b"{'modules': [5]}",
        b"{'sdk': 5}",
        rb"{'modules': ['\x1b[31m']}",
        b"{'written': 5}",
        b"{'written': {'A': 5}}",
        b"{'written': {'A': [5]}}",
        b"{'written': {5: []}}",
        b"{'hashes': 5}",
        rb"{'hashes': {'a': '\x1b[31m'}}",
        b"{1: 2}",
    ],
)
def test_a_forged_record_is_ignored(tmp_path: Path, record: bytes) -> None:
    path = module(tmp_path, GOOD)
    path.write_bytes(path.read_bytes() + custom_section("pwasm", record))
    found = report(path)
    assert (found["accepted"], found["sdk"], found["modules"]) == (True, None, [])
    assert "built by" not in render(found)


def test_dependencies_of_a_lock_have_their_hashes(tmp_path: Path) -> None:
    path = module(tmp_path, GOOD)
    names = ("app==1.0", "lib==2.0")
    hashes = {"app==1.0": "ab", "lib==2.0": "cd"}
    record = ModuleRecord(sdk="1", python="3", dependencies=names, hash_seed=1, hashes=hashes)
    path.write_bytes(path.read_bytes() + record.section())
    found = report(path)
    assert found["dependencies"] == ["app==1.0", "lib==2.0"]
    assert found["dependency_hashes"] == hashes
    assert "  dependencies app==1.0 sha256:ab\n               lib==2.0 sha256:cd\n" in render(found)
