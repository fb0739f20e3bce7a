"""A trimmed module in a real Envoy: the standard library works, and removed parts raise exceptions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pwasm_compiler.envoy.config import WasmFilter
from pwasm_compiler.inspect import report
from tests.support.runner import Runner, running

pytestmark = pytest.mark.envoy

WORKS = {
    "/json": "{'a': [1, 2.5, None, 'ü']}",
    "/re": "'a<1><None><22>'",
    "/re_new": "['b', 'b']",
    "/dates": "['2026-03-29T12:00:00', datetime.timedelta(seconds=7200), 10, 'CEST']",
    "/digests": "['1cb251ec', '372ea08c', '982d9e3e', '987b43db', '00651593', '6afa9046']",
    "/base64": "b'\\xff\\xef'",
    "/url": "{'a': ['ü', '2']}",
    "/points": "[Point(x=1, y=0), Point(x=1, y=2), {'x': 1, 'y': 0}, True]",
    "/decimals": "[Decimal('0.14286'), Decimal('1.4142'), '1,234.50']",
    "/uuid": "[UUID('4cd605e7-afa2-5360-b5b9-c5e9fb5c76f4'), 4]",
    "/logs": "['INFO one of 2']",
    "/tables": "[{'a': '1', 'b \"c\"': '2,3'}]",
    "/trees": "['1', ['t', None], b'<a x=\"1\"><b>t</b><b /></a>']",
    "/class": "2",
    "/removed_name": "['_asyncio']",
    "/exec_code": "None",
}
NO_COMPILER = r"pwasm\.CompilerLeftOutError: this module has no Python compiler.*keep = \[\"eval\"\]"
FAILS = {
    "/removed": r"ModuleNotFoundError: No module named '_sqlite3': nothing imported it at build.*\[tool\.pwasm\] keep",
    "/eval": NO_COMPILER,
    "/exec": NO_COMPILER,
    "/compile": NO_COMPILER,
    "/parse": NO_COMPILER,
}


@pytest.fixture(scope="module")
def runner(built: Callable[[str], Path]) -> Iterator[Runner]:
    with running(WasmFilter(built("standard_library"), name="standard_library")) as found:
        yield found


@pytest.mark.parametrize(("path", "expected"), WORKS.items(), ids=WORKS)
def test_works(runner: Runner, path: str, expected: str) -> None:
    assert runner.answer(path) == (200, expected)


@pytest.mark.parametrize(("path", "error"), FAILS.items(), ids=FAILS)
def test_what_was_left_out_raises_and_the_vm_lives(runner: Runner, path: str, error: str) -> None:
    record = runner.failure(path, then="/class")
    assert re.search(error, record), record
    assert runner.answer("/class") == (200, "2")


def test_the_module_says_what_was_left_out(built: Callable[[str], Path]) -> None:
    removed = report(built("standard_library"))["removed"]
    assert {"eval", "_sqlite3", "_asyncio", "_codecs_jp"} <= set(removed)
    assert {"_json", "_datetime", "_decimal", "pyexpat", "_zoneinfo", "_csv", "_sre"}.isdisjoint(removed)
