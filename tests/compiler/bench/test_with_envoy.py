"""`pwasm bench` with real Envoys. Its figures are not checked here, only what it reports about a filter."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from pwasm_compiler.bench.instrument import with_trap
from pwasm_compiler.wasm.module import I32, FuncType
from tests.support.command_line import without_progress
from tests.support.paths import HELLO_WORLD

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

PWASM = [sys.executable, "-m", "pwasm_compiler.cli"]
SHORT = ("--rounds", "2", "--seconds", "1", "--client", "python")

# As small as a filter can be. With a body it reads a header's value, "201" or so, and answers with that itself.
SMALL = """
(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "x-answer")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.eqz (call $get (i32.const 0) (i32.const 16) (i32.const 8) (i32.const 0) (i32.const 4)))
      (then
        (drop (call $send (i32.const 401) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
          (i32.const 0) (i32.const -1)))
        (return (i32.const 1))))
    (i32.const 0)))
"""
TCP = """
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_new_connection") (param i32) (result i32) (i32.const 0)))
"""


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*PWASM, "bench", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    done.stderr = without_progress(done.stderr)
    return done


def report_of(folder: Path, *arguments: str) -> dict[str, Any]:
    done = bench(folder, *SHORT, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With small.wasm, trapping.wasm and tcp.wasm."""
    folder = tmp_path_factory.mktemp("modules")
    small = bytes(wasmtime.wat2wasm(SMALL))
    (folder / "small.wasm").write_bytes(small)
    trap = with_trap(small, "proxy_on_response_headers", FuncType(bytes([I32] * 3), bytes([I32])))
    (folder / "trapping.wasm").write_bytes(trap)
    (folder / "tcp.wasm").write_bytes(wasmtime.wat2wasm(TCP))
    return folder


def test_any_module_is_measured(folder: Path) -> None:
    found = report_of(folder, "small.wasm", "--target", "/a?b", "-H", "x-other: 1")
    assert (found["filter"], found["request"], found["client"]) == ("small", "GET /a?b", "python")
    assert found["status"] == {"without": 200, "with": 200}
    assert (found["other_answers"], found["problems"]) == (0, [])
    assert found["requests"] > 10
    assert found["microseconds"]["added"] is None  # a slow client saturates nothing
    assert found["cpu_microseconds"]["with_filter"]["median"] > 0
    assert found["memory_megabytes"]["added"]["median"] > 1
    assert found["load_seconds"]["without"]["median"] > 0
    (callback,) = found["callbacks"]
    assert callback["name"] == "proxy_on_request_headers"
    assert 0.9 < callback["calls_per_request"] < 1.1
    assert 0 < callback["microseconds"] < 10_000
    assert 0 < found["clock_microseconds"] < 100


def test_a_filter_that_answers_itself_is_reported(folder: Path) -> None:
    body = folder / "body.bin"
    body.write_bytes(b"a body \xff")
    arguments = ("small.wasm", "-H", "x-answer: yes", "--body", str(body), "--requests", "50")
    found = report_of(folder, *arguments)
    assert (found["request"], found["status"]) == ("POST /", {"without": 200, "with": 401})
    assert found["requests"] == found["other_answers"] == 100
    shown = bench(folder, *arguments, "--rounds", "1")
    assert "POST / was answered with 200 without the filter, 401 with it\n" in shown.stdout
    assert "note: 50 of 50 requests were answered with a status outside 200 to 399\n" in shown.stdout


def test_a_filter_that_traps_is_reported(folder: Path) -> None:
    found = report_of(folder, "trapping.wasm")
    assert found["status"]["with"] == 503
    assert found["other_answers"] == found["requests"]
    (problem,) = found["problems"]
    assert problem.startswith("the filter's VM trapped under load")


def test_a_python_filter_is_built_and_measured(tmp_path: Path) -> None:
    source = (HELLO_WORLD / "filter.py").read_text(encoding="utf-8")
    (tmp_path / "filter.py").write_text(source, encoding="utf-8")
    found = report_of(tmp_path, "--rounds", "1")
    assert (tmp_path / "main.wasm").is_file()
    assert found["module_megabytes"] == pytest.approx((tmp_path / "main.wasm").stat().st_size / 1e6)
    assert found["status"] == {"without": 200, "with": 200}
    callbacks = {callback["name"]: callback["calls_per_request"] for callback in found["callbacks"]}
    assert 0.9 < callbacks["proxy_on_response_headers"] < 1.1
    assert -32 < found["memory_per_worker"] < 64  # megabytes; a single round may be all noise


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("tcp.wasm", 1, "error: tcp is not an HTTP filter\nIt is a TCP filter, but pwasm bench sends HTTP requests.\n"),
        ("small.wasm --envoy no-such-envoy", 1, "error: no-such-envoy is not an executable program"),
        ("small.wasm --client wrk --requests 5", 1, "error: wrk is not on PATH"),
        ("nowhere.wasm", 2, "error: nowhere.wasm: no such file or directory"),
        ("small.wasm --upstream a", 2, "error: invalid upstream 'a'"),
        ("small.wasm --upstream 127.0.0.1:1 --requests 5 --seconds 1", 0, ""),
        ("small.wasm --body nowhere", 2, "error: nowhere: no such file or directory"),
        ("small.wasm --plugin-config nowhere", 2, "error: nowhere: no such file or directory"),
        ("small.wasm --target x", 2, "error: invalid request target 'x'"),
        ("small.wasm -H x", 2, "error: invalid header 'x'"),
        ("small.wasm -X G@T", 2, "error: invalid method 'G@T'"),
        ("small.wasm --seconds 0", 2, "error: invalid value '0' for --seconds"),
    ],
)
def test_bad_input(
    folder: Path, arguments: str, code: int, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = bench(folder, *arguments.split(), "--rounds", "1")
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert bool(done.stdout) == (code == 0)


def test_an_envoy_that_refuses_the_filter_is_shown(folder: Path) -> None:
    broken = folder / "broken.wasm"
    refuses = '(func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 0))'
    module = SMALL.replace('(func (export "proxy_abi', f'{refuses} (func (export "proxy_abi')
    broken.write_bytes(wasmtime.wat2wasm(module))
    done = bench(folder, "broken.wasm", *SHORT)
    assert done.returncode == 1
    assert done.stderr.startswith("error: Envoy exited with exit code 1\n")
    assert "hint: if the filter needs a configuration, provide it with --plugin-config FILE" in done.stderr


def test_an_envoy_that_ends_under_load_is_said(folder: Path) -> None:
    """The report says that it exited, not what the client encountered as a consequence."""
    command = [*PWASM, "bench", "small.wasm", "--rounds", "99", "--seconds", "1", "--client", "python"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + 120
        while len(running := children.read_text(encoding="ascii").split()) < 3:  # two Envoys and the client
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(int(running[1]), signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert without_progress(err).startswith("error: Envoy exited with signal 9 (SIGKILL)\n")
    assert not {"Traceback", "ExceptionGroup"} & set(re.findall(r"\w+", err))


def test_wrk_is_used_where_it_is(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrk = tmp_path / "wrk"
    said = "  9 requests in 1.00s\nRequests/sec: 9.0\n     50%  1.00us\n     99%  2.00us\n"
    wrk.write_text(f"#!/bin/sh\ncat <<'END'\n{said}END\n", encoding="utf-8")
    wrk.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    done = bench(folder, "small.wasm", "--rounds", "1", "--seconds", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["client"], found["requests"]) == ("wrk", 9)
    assert found["microseconds"]["added"]["median"] == 0
