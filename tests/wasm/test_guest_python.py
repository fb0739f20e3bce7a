"""Python inside a VM: what works, and how the rest fails. Nothing may trap."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from pwasm import LogLevel
from pwasm.testing import HostEmulator
from tests.support.guest_python_cases import ENVIRONMENT, FAILS, WORKS

pytestmark = pytest.mark.wasm
Start = Callable[..., HostEmulator]


@pytest.fixture
def host(start: Start) -> HostEmulator:
    return start("guest_python", environment=ENVIRONMENT)


def answer(host: HostEmulator, path: str) -> str:
    stream = host.request("GET", path)
    assert stream.local_response is not None, host.logs
    assert stream.local_response.status == 200, host.logs
    return stream.local_response.body.decode()


@pytest.mark.parametrize(("path", "expected"), WORKS.items(), ids=WORKS)
def test_works(host: HostEmulator, path: str, expected: str) -> None:
    assert answer(host, path) == expected


@pytest.mark.parametrize(("path", "error"), FAILS.items(), ids=FAILS)
def test_fails_with_one_record_and_the_vm_lives(host: HostEmulator, path: str, error: str) -> None:
    stream = host.request("GET", path)
    assert stream.local_response is not None
    assert stream.local_response.status == 500
    records = [text for level, text in host.logs if level >= LogLevel.ERROR]
    assert len(records) == 1, records
    assert re.search(error, records[0]), records[0]
    assert answer(host, "/time") == "True"


def test_a_traceback_shows_file_line_and_source(host: HostEmulator) -> None:
    host.request("GET", "/source")
    (record,) = host.logs_at(LogLevel.ERROR)
    assert re.search(r'File "filter.py", line \d+, in <lambda>\n[ |]+"/source": lambda: 1 // 0,', record), record
    assert "/0/" not in record


def test_a_chained_traceback_can_be_formatted(host: HostEmulator) -> None:
    text = answer(host, "/chained")
    assert "KeyError" in text
    assert "direct cause" in text


def test_what_is_raised_in_del_is_only_logged(host: HostEmulator) -> None:
    assert answer(host, "/del") == "'dropped'"
    assert any("in __del__" in text for _, text in host.logs)


def test_print_makes_one_record_for_each_line(host: HostEmulator) -> None:
    assert answer(host, "/print") == "'printed'"
    records = [(level, text) for level, text in host.logs if level in (LogLevel.INFO, LogLevel.ERROR)]
    assert sorted(records) == [
        (LogLevel.INFO, "lines"),
        (LogLevel.INFO, "one line"),
        (LogLevel.INFO, "two"),
        (LogLevel.INFO, "unfinished"),
        (LogLevel.ERROR, "to stderr"),
    ]


@pytest.mark.parametrize("path", ["/random", "/uuid", "/unseeded"])
def test_randomness_is_fresh_in_every_vm(start: Start, path: str) -> None:
    values = {answer(start("guest_python"), path) for _ in range(4)}
    assert len(values) == 4


def test_a_generator_with_a_seed_keeps_it(start: Start) -> None:
    expected = repr((random.Random(42).random(), "random"))
    assert [answer(start("guest_python"), "/seeded") for _ in range(2)] == [expected, expected]


def test_nothing_of_the_build_machine_is_in_the_environment(start: Start) -> None:
    assert answer(start("guest_python"), "/environ") == "[]"


def test_dependencies_and_their_data_files_are_there(start: Start) -> None:
    stream = start("with_dependencies").request("GET", "/")
    assert stream.local_response is not None
    assert stream.local_response.body == b'when = "2026-07-01T12:00:00+02:00"\n'
