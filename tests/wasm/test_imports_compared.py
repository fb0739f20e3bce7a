"""`pwasm test` says which imports CPython resolves and the built module does not, although the filter handles that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pwasm.testing.worlds.imports import is_there

pytestmark = pytest.mark.wasm

FILTER = """\
import importlib

import pwasm


class Names(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers, end_of_stream):
        try:
            importlib.import_module(pwasm.get_http_request_header("x-module"))
            found = "yes"
        except ImportError:
            found = "no"
        pwasm.send_http_response(200, body=found)


pwasm.set_http_context(Names)
"""
TESTS = """\
import pytest


@pytest.mark.parametrize("name", ["wave", "wave.no", "nothing", "nothing.at_all", "collections.abc"])
def test_name(pwasm_world, name):
    assert pwasm_world.request(headers=[("x-module", name)]).status == 200


def test_again(pwasm_world):
    pwasm_world.request(headers=[("x-module", "wave")])
"""


def run(folder: Path, *options: str) -> tuple[int, list[str]]:
    command = [sys.executable, "-m", "pwasm_compiler.cli", "test", str(folder), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout.splitlines()


def test_imports_that_differ_are_listed(tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text(FILTER)
    (tmp_path / "test_filter.py").write_text(TESTS)
    code, lines = run(tmp_path, "--imports")
    assert code == 1
    assert any("imports that this Python has" in line for line in lines)
    assert "wave: test_filter.py::test_name[wasm-wave] and 2 more" in lines
    assert [line for line in lines if line.startswith(("nothing", "collections", "wave.no: "))] == []
    code, lines = run(tmp_path, "--tier", "wasm")
    assert code == 0
    assert any(line.startswith("wave: ") for line in lines)
    code, lines = run(tmp_path, "--imports", "-k", "nothing or collections")
    assert code == 0
    assert not any("imports that" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("json", True),
        ("sys", True),
        ("os.path", True),
        ("json.decoder", True),
        ("xml.dom.minidom", True),
        ("json.nothing", False),
        ("string.nothing", False),
        ("nothing", False),
        ("nothing.json", False),
    ],
)
def test_what_this_python_has(name: str, *, there: bool) -> None:
    assert is_there(name) is there
