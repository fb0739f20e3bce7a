"""Python inside a VM of a real Envoy: the same table as under wasmtime, and not one trap."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pwasm_compiler.envoy.config import WasmFilter
from tests.support.guest_python_cases import ENVIRONMENT, FAILS, FROM_THE_HOST, WORKS
from tests.support.runner import Runner, running

pytestmark = pytest.mark.envoy


@pytest.fixture(scope="module")
def runner(built: Callable[[str], Path]) -> Iterator[Runner]:
    given, from_host = ENVIRONMENT, FROM_THE_HOST
    plugin = WasmFilter(
        built("guest_python"),
        name="guest",
        environment={name: value for name, value in given.items() if name not in from_host},
        host_environment=from_host,
    )
    of_envoy = {name: given[name] for name in from_host if name in given}
    with running(plugin, environment=of_envoy) as found:
        yield found


@pytest.mark.parametrize(("path", "expected"), WORKS.items(), ids=WORKS)
def test_works(runner: Runner, path: str, expected: str) -> None:
    assert runner.answer(path) == (200, expected)


@pytest.mark.parametrize(("path", "error"), FAILS.items(), ids=FAILS)
def test_fails_with_one_record_and_the_vm_lives(runner: Runner, path: str, error: str) -> None:
    record = runner.failure(path, then="/time")
    assert re.search(error, record), record
    assert runner.answer("/time") == (200, "True")


def test_print_makes_one_record_for_each_line(runner: Runner) -> None:
    envoy = runner.envoy
    before = len(envoy.log)
    assert runner.answer("/print")[0] == 200
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
def test_randomness_differs_from_call_to_call(runner: Runner, path: str) -> None:
    assert len({runner.answer(path) for _ in range(5)}) == 5
