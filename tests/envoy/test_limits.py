"""The limits in docs/reliability.md: an endless loop and the watchdog; the effect of a trap under each policy."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime
import yaml

from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy
from tests.support.paths import ROOT

DOCUMENT = ROOT / "docs" / "reliability.md"
HEADERS = 98
"""With `host` and `connection` a hundred: the most that Envoy takes."""
LOOPS = """
import re
from pwasm import Action, HttpContext, set_http_context, set_time_budget

class Loops(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        re.match(r"(?:(?:a|b)*c?)*$", "ab" * 200000 + "d")
        return Action.CONTINUE

set_http_context(Loops)
set_time_budget(0)
"""
TRAPS = """(module
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "x-filtered")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) unreachable)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 16) (i32.const 10) (i32.const 16) (i32.const 1)))
    (i32.const 0)))"""

TABLE = """
import pwasm

TABLE = [{"id": number, "tags": {f"t{number}"}} for number in range(120_000)]

class Answers(pwasm.HttpContext):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        right = all(record == {"id": number, "tags": {f"t{number}"}} for number, record in enumerate(TABLE))
        pwasm.add_http_response_header("x-filtered", f"{len(TABLE)} {right}")

pwasm.set_http_context(Answers)
"""


def watchdog() -> dict[str, Any]:
    """The configuration that the document gives."""
    (text,) = re.findall(r"```yaml\n(watchdogs:.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.mark.envoy
@pytest.mark.wasm
def test_the_watchdog_ends_an_envoy_with_an_endless_loop(tmp_path: Path) -> None:
    from pwasm_compiler.build.backends import build
    from pwasm_compiler.project import load_project

    (tmp_path / "filter.py").write_text(LOOPS, encoding="utf-8")
    build(load_project(tmp_path), tmp_path / "main.wasm")
    config = bootstrap([HttpListener([WasmFilter(tmp_path / "main.wasm", name="loops")])])
    with Envoy({**config, **watchdog()}, ready_timeout=300) as envoy:
        with contextlib.suppress(OSError, http.client.HTTPException):
            urllib.request.urlopen(envoy.url, timeout=1).close()
        assert envoy.wait(120) == -signal.SIGABRT
    assert any("Watchdog AbortAction terminating thread" in record.raw for record in envoy.log)


@pytest.mark.envoy
@pytest.mark.wasm
@pytest.mark.parametrize("version", ["newest", "oldest"])
def test_a_table_of_120_000_records_loads(version: str, tmp_path: Path, envoy_of: Callable[[str], Path | None]) -> None:
    """Cut at every run of zeros, its memory has 277,794 data segments, of which V8 takes 100,000."""
    from pwasm_compiler.build.backends import build
    from pwasm_compiler.project import load_project

    (tmp_path / "filter.py").write_text(TABLE, encoding="utf-8")
    build(load_project(tmp_path), tmp_path / "main.wasm")
    config = bootstrap([HttpListener([WasmFilter(tmp_path / "main.wasm")])])
    with Envoy(config, executable=envoy_of(version), ready_timeout=300) as envoy:
        assert ask(envoy) == (200, "120000 True")


@pytest.mark.envoy
@pytest.mark.parametrize(
    ("policy", "later"),
    [("FAIL_CLOSED", (503, None)), ("FAIL_OPEN", (200, None)), ("FAIL_RELOAD", (200, "x"))],
)
def test_what_a_policy_means_after_a_trap(tmp_path: Path, policy: str, later: tuple[int, str | None]) -> None:
    """FAIL_OPEN disables the filter for all traffic: anyone who can make it trap can do so."""
    (tmp_path / "main.wasm").write_bytes(wasmtime.wat2wasm(TRAPS))
    plugin = WasmFilter(tmp_path / "main.wasm", failure_policy=policy, reload_backoff_seconds=0.002)
    with Envoy(bootstrap([HttpListener([plugin])])) as envoy:
        assert ask(envoy) == (200, "x")
        assert ask(envoy, b"a body") == (503, None)
        assert [ask(envoy) for _ in range(3)] == [later] * 3


@pytest.mark.envoy
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([f"x-{number}: 1" for number in range(HEADERS)], 200),
        ([f"x-{number}: 1" for number in range(HEADERS + 1)], 431),
        (["x-one: " + "a" * 59 * 1024], 200),
        (["x-one: " + "a" * 61 * 1024], 431),
    ],
)
def test_headers_of_a_request(lines: list[str], status: int) -> None:
    request = "\r\n".join(["GET / HTTP/1.1", "host: a", *lines, "connection: close", "", ""])
    with (
        Envoy(bootstrap([HttpListener()])) as envoy,
        socket.create_connection(envoy.listeners()["http"], timeout=10) as client,
    ):
        client.sendall(request.encode())
        assert int(client.recv(1000)[9:12]) == status


@pytest.mark.envoy
def test_a_base_interval_of_1_ms_kills_envoy(tmp_path: Path) -> None:
    """Envoy 1.40 divides by half of it. Once Envoy survives, the warning in the document must go."""
    (tmp_path / "main.wasm").write_bytes(wasmtime.wat2wasm(TRAPS))
    plugin = WasmFilter(tmp_path / "main.wasm", reload_backoff_seconds=0.001)
    with Envoy(bootstrap([HttpListener([plugin])])) as envoy:
        assert ask(envoy, b"a body") == (503, None)
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(envoy)
        assert envoy.wait(30) == -signal.SIGFPE


def ask(envoy: Envoy, body: bytes | None = None) -> tuple[int, str | None]:
    """Status, and the header that the filter adds."""
    try:
        with urllib.request.urlopen(envoy.url, body, timeout=10) as answer:
            return answer.status, answer.headers["x-filtered"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["x-filtered"]
