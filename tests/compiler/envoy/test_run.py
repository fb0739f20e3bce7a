"""`pwasm run` with a real Envoy, as a user calls it: its output, and its exit."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from tests.support.command_line import without_progress
from tests.support.paths import HELLO_WORLD

pytestmark = pytest.mark.envoy

PLUGIN = r"""
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "two\nlines \1b[31m")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "CALLBACK") (param i32 i32 i32) (result i32)
    (call $log (i32.const 2) (i32.const 16) (i32.const 15))))
"""

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """`run("main.wasm", …)`: the command, started in an empty folder, on free ports."""
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pwasm_compiler.cli", "run", "--port", "0", "--admin-port", "0", *arguments]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield call
    for process in started:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def request(url: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"), timeout=5)
    try:
        connection.request("GET", "/one")
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


def write_plugin(folder: Path, callback: str = "proxy_on_request_headers") -> None:
    (folder / "main.wasm").write_bytes(wasmtime.wat2wasm(PLUGIN.replace("CALLBACK", callback)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_log_of_a_module(run: Run, tmp_path: Path, number: int) -> None:
    write_plugin(tmp_path)
    process = run("main.wasm")
    url = line(process)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
    assert request(url).status == 200
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} info     main: two", line(process))
    assert line(process) == "lines \\x1b[31m"
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, "")
    assert re.fullmatch(r"admin: http://127\.0\.0\.1:\d+/   press Ctrl-C to stop\nstopped\n", without_progress(err))


def test_a_tcp_module(run: Run, tmp_path: Path) -> None:
    write_plugin(tmp_path, "proxy_on_downstream_data")
    assert line(run("main.wasm")).startswith("tcp://127.0.0.1:")


def test_a_module_without_traffic(run: Run, tmp_path: Path) -> None:
    write_plugin(tmp_path, "proxy_on_http_call_response_of_another_kind")
    assert line(run("main.wasm")) == "no listener: the filter runs without traffic"


def test_what_is_generated_allows_what_the_module_uses(run: Run, tmp_path: Path) -> None:
    write_plugin(tmp_path)
    process = run("main.wasm")
    line(process)
    assert process.stderr is not None
    admin = next(re.search(r"admin: (\S+)", text) for text in process.stderr if text.startswith("admin: "))
    assert admin is not None
    with urllib.request.urlopen(f"{admin[1]}config_dump", timeout=10) as answer:
        dump = answer.read().decode()
    plugin, *_ = [found["config"] for found in objects(json.loads(dump)) if "Wasm" in found.get("@type", "")]
    assert plugin["failure_policy"] == "FAIL_RELOAD"
    found = plugin["vm_config"].get("capability_restriction_config") or plugin["capability_restriction_config"]
    allowed = ["proxy_log", "proxy_on_context_create", "proxy_on_request_headers"]
    assert sorted(found["allowed_capabilities"]) == allowed


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON document."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(item)


def test_envoy_that_dies_is_an_error(run: Run, tmp_path: Path) -> None:
    write_plugin(tmp_path)
    process = run("main.wasm")
    line(process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "error: Envoy exited with signal 9 (SIGKILL)" in err


def test_the_tutorials_first_start(run: Run, tmp_path: Path) -> None:
    shutil.copy(HELLO_WORLD / "envoy-config.yaml", tmp_path)
    process = run("--no-build", "-c", "envoy-config.yaml")
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (1, "")
    assert without_progress(err).startswith("error: Envoy did not start: Envoy exited with exit code 1\n")
    assert "Invalid path: main.wasm" in err
    assert "create main.wasm with: pwasm build" in err


def test_a_module_that_is_none(run: Run, tmp_path: Path) -> None:
    shutil.copy(HELLO_WORLD / "envoy-config.yaml", tmp_path)
    (tmp_path / "main.wasm").write_bytes(b"\0asm\1\0\0\0")
    process = run("--no-build", "-c", "envoy-config.yaml")
    _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert err.endswith("hint: the file is not a Proxy-Wasm module; create one with: pwasm build\n")


@pytest.mark.wasm
def test_hello_world(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "hello_world"
    shutil.copytree(HELLO_WORLD, folder, ignore=shutil.ignore_patterns("main.wasm*", "__pycache__"))
    process = run("hello_world")
    response = request(line(process))
    assert (response.status, response.getheader("x-wasm-custom")) == (200, "FOO")
    assert line(process).endswith("info     hello_world: adding the header")
    built = (folder / "main.wasm").stat().st_mtime_ns
    again = run("hello_world", "-c", str(folder / "envoy-config.yaml"))
    assert request(line(again)).getheader("x-wasm-custom") == "FOO"
    assert (folder / "main.wasm").stat().st_mtime_ns == built


@pytest.mark.wasm
def test_a_new_filter(run: Run, tmp_path: Path) -> None:
    for command in (["new", "fresh"], ["test", "fresh"], ["build", "fresh"]):
        called = subprocess.run([sys.executable, "-m", "pwasm_compiler.cli", *command], cwd=tmp_path, check=False)
        assert called.returncode == 0, command
    process = run("fresh")
    assert request(line(process)).getheader("x-wasm-custom") == "FOO"
    assert line(process).endswith("info     fresh: adding the header")


CONFIGURED = """
from dataclasses import dataclass
import pwasm

@dataclass
class Config:
    name: str

@pwasm.set_http_context
class Named(pwasm.HttpContext):
    config: Config

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_response_header("x-name", self.config.name)
"""


@pytest.mark.wasm
def test_a_configuration_that_is_refused_comes_first(run: Run, tmp_path: Path) -> None:
    """Every command that starts the filter prints its reasons and how to pass a configuration, nothing from Envoy."""
    (tmp_path / "filter.py").write_text(CONFIGURED)
    (tmp_path / "wrong.json").write_text("[3]")
    (tmp_path / "right.yaml").write_text("name: it")
    refused = "error: the filter rejected its configuration\n"
    empty = f"{refused}$: the configuration is empty\n$.name: missing (expected str)\n\nhint: "
    way = "provide one with --plugin-config FILE"
    _, err = run().communicate(timeout=120)
    assert without_progress(err).partition("\n")[0].startswith("main.wasm: ")
    for arguments, expected in (
        ((), f"{empty}{way}; see what it accepts with: pwasm schema .\n"),
        (("main.wasm",), f"{empty}{way}\n"),
        (
            ("--plugin-config", "wrong.json"),
            f"{refused}$: expected object, got array\n\nhint: validate it with: pwasm schema . --",
        ),
    ):
        process = run(*arguments)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (1, "")
        assert without_progress(err).startswith(expected)
        assert "[critical]" not in err
    command = [sys.executable, "-m", "pwasm", "bench", "main.wasm", "--rounds", "1", "--client", "python"]
    measured = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (measured.returncode, without_progress(measured.stderr)) == (1, f"{empty}{way}\n")
    assert request(line(run("--plugin-config", "right.yaml"))).getheader("x-name") == "it"
