"""What the snapshot omits, and what a filter can use nevertheless."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from pwasm_compiler.build.backends import build
from pwasm_compiler.inspect import report
from pwasm_compiler.project import load_project
from tests.support.paths import FILTERS

pytestmark = pytest.mark.wasm

FILTER = '''\
"""Of a module."""

import inspect
import json

import pwasm
from pwasm import Action, HttpContext


def breaks(value: int) -> None:
    """Of a function."""
    assert value < 1, "too much"


class Only:
    """Of a class that has nothing else."""


class Runner(HttpContext):
    """Of a class."""

    def on_http_request_headers(self, num_headers, end_of_stream):
        """Of a method."""
        "neither is this"
        if pwasm.get_http_request_header(":path") == "/assert":
            breaks(value=1)
        doc = "__doc" + "__"  # a source that says it reads docstrings keeps them
        mine = [globals()[doc]] + [getattr(one, doc) for one in (breaks, Only, Runner, self.on_http_request_headers)]
        others = [getattr(one, doc) for one in (json, json.loads, pwasm, HttpContext, len)]
        if pwasm.get_http_request_header(":path") == "/signature":
            mine, others = [len.__text_signature__], [str(inspect.signature(json.dumps).parameters["indent"])]
        pwasm.send_http_response(200, [], repr((mine, others)).encode())
        return Action.PAUSE


pwasm.set_http_context(Runner)
'''
IMPORTED_BY_NOBODY = {
    "ast",
    "dataclasses",
    "dis",
    "inspect",
    "pwasm._names",
    "pwasm._names.functions",
    "pwasm._names.spelling",
    "pwasm._names.words",
    "site",
    "typing",
    "unicodedata",
    "zipimport",
}

Make = Callable[[str], HostEmulator]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`make(settings)`: a host with FILTER in it, built with these lines of [tool.pwasm], once for the same."""
    modules: dict[str, Path] = {}

    def run(settings: str) -> HostEmulator:
        if settings not in modules:
            folder = tmp_path_factory.mktemp("snapshot")
            (folder / "filter.py").write_text(FILTER)
            (folder / "pyproject.toml").write_text(f"[tool.pwasm]\n{settings}\n")
            modules[settings] = build(load_project(folder), folder / "main.wasm").path
        return HostEmulator(plugin=lambda host: WasmPlugin(modules[settings], host))

    return run


def docs(host: HostEmulator, path: str = "/") -> tuple[list[str | None], list[str | None]]:
    response = host.request("GET", path).local_response
    assert response is not None
    assert response.status == 200
    found: tuple[list[str | None], list[str | None]] = ast.literal_eval(response.body.decode())
    return found


def test_no_docstrings(make: Make) -> None:
    mine, others = docs(make(""))
    assert mine == [None] * 5
    assert others == [None] * 5


def test_signatures_stay(make: Make) -> None:
    assert docs(make(""), "/signature") == (["($module, obj, /)"], ["indent=None"])


def test_docstrings_of_the_filter_can_be_kept(make: Make) -> None:
    mine, others = docs(make("docstrings = true"))
    assert mine == [
        "Of a module.",
        "Of a function.",
        "Of a class that has nothing else.",
        "Of a class.",
        "Of a method.",
    ]
    assert others == [None] * 5


def test_an_assert_is_checked_and_its_traceback_has_the_source_lines(make: Make) -> None:
    host = make("")
    response = host.request("GET", "/assert").local_response
    assert response is not None
    assert response.status == 500
    (record,) = [text for _, text in host.logs if "Traceback" in text]
    assert '  |   File "filter.py", line 12, in breaks\n' in record
    assert '  |     assert value < 1, "too much"\n' in record
    assert record.endswith("AssertionError: too much")


def test_what_only_the_build_needs_is_not_imported(built: Callable[[str], Path]) -> None:
    filters = FILTERS
    found = report(built(str(filters / "hello_world")))
    assert IMPORTED_BY_NOBODY.isdisjoint(found["modules"])
