"""The reference filter in Go and its Python counterpart in real Envoys: same responses, same logs."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm_compiler.envoy.config import DIRECT_RESPONSE_BODY, HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy
from tests.support.paths import FILTERS

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

TWINS = ["hello_world", "go_reference"]
REQUESTS = 50


def test_the_suite_is_one() -> None:
    one, other = (FILTERS / name / f"{name}.suite.yaml" for name in TWINS)
    assert one.resolve() == other.resolve()


@pytest.mark.parametrize("name", TWINS)
def test_the_shared_suite(name: str) -> None:
    """As its author runs it, in wasmtime and in Envoy."""
    folder = FILTERS / name
    command = [sys.executable, "-m", "pwasm_compiler.cli", "test", str(folder), f"{name}.suite.yaml"]
    done = subprocess.run(
        [*command, "--tier=wasm,envoy", "-v", "--color=no"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = [line for line in done.stdout.splitlines() if " PASSED" in line]
    assert {line.partition(" PASSED")[0].rpartition("[")[2] for line in passed} == {"wasm]", "envoy]"}
    assert "SKIPPED" not in done.stdout


@pytest.mark.parametrize("which", ["newest", "oldest"])
@pytest.mark.parametrize("name", TWINS)
def test_the_header(
    built: Callable[[str], Path], envoy_of: Callable[[str], Path | None], name: str, which: str
) -> None:
    listener = HttpListener([WasmFilter(built(str(FILTERS / name)), name=name)])
    with Envoy(bootstrap([listener]), executable=envoy_of(which)) as envoy:
        for number in range(REQUESTS):
            with urllib.request.urlopen(f"{envoy.url}/{number}", timeout=10) as response:
                assert response.headers.get_all("x-wasm-custom") == ["FOO"]
                assert response.read().decode() == DIRECT_RESPONSE_BODY
        envoy.wait_for_log("adding the header", count=REQUESTS)
        envoy.check_alive()
    assert {(record.level, record.text) for record in envoy.filter_log} == {("info", "adding the header")}
