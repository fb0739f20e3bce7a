"""Data files of a filter and metadata of its dependencies, read inside a VM, which has no files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from pwasm_compiler.build.pipeline import build
from pwasm_compiler.project import load_project

pytestmark = pytest.mark.wasm
Start = Callable[..., HostEmulator]

TABLE = '{"a": 1}\n'
READS = {
    "at_build": TABLE,
    "get_data": TABLE.encode(),
    "resource": TABLE,
    "resource_of_a_package": "inside\n",
    "resource_of_a_folder": "hallo\n",
    "as_file": TABLE,
    "open": TABLE,
    "open_bytes": b"hallo\n",
    "io_open": ["hallo\n"],
    "resolved": TABLE.encode(),
    "exists": [True, True, True, False],
    "kinds": [True, False],
    "size": 9,
    "named": [("table.json", "r"), ("table.json", "rb")],
    "peeked": TABLE.encode()[:2],
    "sought": [(6, TABLE.encode()[-3:], 9)],
    "unbuffered": TABLE.encode()[:3],
    "code": TABLE.encode(),
    "line": TABLE,
    "access": [True, True, False, False],
    "modified": 0,
    "listed": ["i18n", "pkg", "table.json"],
    "iterated": ["de.txt"],
    "globbed": ["de.txt", "inside.txt"],
    "glob": ["de.txt", "inside.txt"],
    "walked": [("i18n", [], ["de.txt"])],
}
FAILS = {
    "descriptor": "OSError: a file in a module has no descriptor, read it with open()",
    "touched": "OSError: Read-only file system",
    "written": "OSError: Read-only file system",
    "missing": "FileNotFoundError: No such file or directory",
    "folder": "IsADirectoryError: Is a directory",
    "elsewhere": "FileNotFoundError: No such file or directory",
    "listed_elsewhere": "FileNotFoundError: No such file or directory",
}


def answer(host: HostEmulator, path: str) -> str:
    stream = host.request("GET", f"/{path}")
    assert stream.local_response is not None, host.logs
    assert stream.local_response.status == 200, host.logs
    return stream.local_response.body.decode()


@pytest.mark.parametrize(("way", "expected"), READS.items(), ids=READS)
def test_a_data_file_can_be_read(start: Start, way: str, expected: object) -> None:
    assert answer(start("data_files"), way) == repr(expected)


@pytest.mark.parametrize(("way", "error"), FAILS.items(), ids=FAILS)
def test_everything_else_fails_as_in_a_read_only_folder(start: Start, way: str, error: str) -> None:
    assert answer(start("data_files"), way) == error


METADATA_FILTER = """
import importlib.metadata as metadata
import pwasm
from pwasm import Action

WAYS = {
    "version": lambda: metadata.version("plugged"),
    "names": lambda: [found.name for found in metadata.distributions()],
    "plugins": lambda: [point.load().NAME for point in metadata.entry_points(group="plugged.plugins")],
    "gone": lambda: metadata.version("gone"),
}

class Reads(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        way = (pwasm.get_http_request_header(":path") or "").strip("/")
        try:
            answer = repr(WAYS[way]())
        except metadata.PackageNotFoundError as error:
            answer = str(error)
        pwasm.send_http_response(200, body=answer)
        return Action.PAUSE

pwasm.set_http_context(Reads)
"""


def test_metadata_and_plugins_of_dependencies(tmp_path: Path, make_wheel: Callable[..., Path]) -> None:
    make_wheel(
        "plugged",
        files={
            "plugged/__init__.py": "",
            "plugged/late.py": "NAME = 'a plugin'",
            "plugged-1.0.dist-info/entry_points.txt": "[plugged.plugins]\nlate = plugged.late\n",
        },
    )
    (tmp_path / "filter.py").write_text(METADATA_FILTER)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["plugged"]')
    module = build(load_project(tmp_path), tmp_path / "main.wasm").path
    host = HostEmulator(plugin=lambda host: WasmPlugin(module, host))
    assert answer(host, "version") == "'1.0'"
    assert answer(host, "names") == "['plugged']"
    assert answer(host, "plugins") == "['a plugin']"
    assert answer(host, "gone") == "No package metadata was found for gone"
