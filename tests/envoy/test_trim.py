"""A trimmed module in a real Envoy: the standard library works, and what was left out is an exception."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pwasm.testing.envoy import Envoy
from pwasm.testing.envoy_config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.inspect import report

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
def envoy(built: Callable[[str], Path]) -> Iterator[Envoy]:
    plugin = WasmFilter(built("standard_library"), name="standard_library")
    with Envoy(bootstrap([HttpListener([plugin])])) as running:
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


@pytest.mark.parametrize(("path", "error"), FAILS.items(), ids=FAILS)
def test_what_was_left_out_raises_and_the_vm_lives(envoy: Envoy, path: str, error: str) -> None:
    known = len(failures(envoy))
    assert answer(envoy, path)[0] == 500
    envoy.wait_for_log(FAILED, count=known + 1)
    assert answer(envoy, "/class") == (200, "2")
    (record,) = failures(envoy)[known:]
    assert re.search(error, record), record


FAILED = "Runner.on_http_request_headers failed"


def failures(envoy: Envoy) -> list[str]:
    return [record.message for record in envoy.log if FAILED in record.message]


def test_the_module_says_what_was_left_out(built: Callable[[str], Path]) -> None:
    removed = report(built("standard_library"))["removed"]
    assert {"eval", "_sqlite3", "_asyncio", "_codecs_jp"} <= set(removed)
    assert {"_json", "_datetime", "_decimal", "pyexpat", "_zoneinfo", "_csv", "_sre"}.isdisjoint(removed)
