"""Python inside a VM of a real Envoy: the same table as under wasmtime, and not one trap."""

from __future__ import annotations

import re
import runpy
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pwasm.testing.envoy import Envoy
from pwasm.testing.envoy_config import HttpListener, WasmFilter, bootstrap

pytestmark = pytest.mark.envoy
CASES = runpy.run_path(str(Path(__file__).parents[1] / "guest_python_cases.py"))
WORKS, FAILS = CASES["WORKS"], CASES["FAILS"]


@pytest.fixture(scope="module")
def envoy(built: Callable[[str], Path]) -> Iterator[Envoy]:
    given, from_host = CASES["ENVIRONMENT"], CASES["FROM_THE_HOST"]
    plugin = WasmFilter(
        built("guest_python"),
        name="guest",
        environment={name: value for name, value in given.items() if name not in from_host},
        host_environment=from_host,
    )
    of_envoy = {name: given[name] for name in from_host if name in given}
    with Envoy(bootstrap([HttpListener([plugin])]), environment=of_envoy) as running:
        yield running
        running.check_alive()
        assert {name: value for name, value in running.stats("wasm.").items() if "vm_reload" in name and value} == {}
        assert [record.message for record in running.log if "failed: Uncaught" in record.message] == []


def answer(envoy: Envoy, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{envoy.url}{path}", timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(("path", "expected"), WORKS.items(), ids=WORKS)
def test_works(envoy: Envoy, path: str, expected: str) -> None:
    assert answer(envoy, path) == (200, expected)


FAILED = "Runner.on_http_request_headers failed"


@pytest.mark.parametrize(("path", "error"), FAILS.items(), ids=FAILS)
def test_fails_with_one_record_and_the_vm_lives(envoy: Envoy, path: str, error: str) -> None:
    known = len(failures(envoy))
    assert answer(envoy, path)[0] == 500
    envoy.wait_for_log(FAILED, count=known + 1)
    assert answer(envoy, "/time") == (200, "True")
    (record,) = failures(envoy)[known:]
    assert re.search(error, record), record


def failures(envoy: Envoy) -> list[str]:
    return [record.message for record in envoy.log if FAILED in record.message]


def test_print_makes_one_record_for_each_line(envoy: Envoy) -> None:
    before = len(envoy.log)
    assert answer(envoy, "/print")[0] == 200
    envoy.wait_for_log("unfinished")
    lines = [(record.level, record.message) for record in envoy.log[before:] if record.from_filter]
    found = {(level, message.rpartition(": ")[2]) for level, message in lines}
    assert {
        ("info", "one line"),
        ("info", "two"),
        ("info", "lines"),
        ("info", "unfinished"),
        ("error", "to stderr"),
    } <= found


@pytest.mark.parametrize("path", ["/random", "/uuid"])
def test_randomness_differs_from_call_to_call(envoy: Envoy, path: str) -> None:
    assert len({answer(envoy, path) for _ in range(5)}) == 5
