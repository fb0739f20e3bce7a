"""What functions import when they run is in the module, whatever Python builds it; what cannot be is said."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from pwasm.testing.worlds.host import HostWorld
from pwasm.testing.worlds.world import Setup
from pwasm_compiler.build.backends import build
from pwasm_compiler.project import load_project, source_files

pytestmark = pytest.mark.wasm

FILTER = """\
import pwasm
{top}


class Late(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers, end_of_stream):
{body}
        pwasm.log_info(str(found))


pwasm.set_http_context(Late)
"""


def outcome(folder: Path, body: str, top: str = "", **files: str) -> tuple[list[str], tuple[str, ...]]:
    """What a request logs, and the warnings of the build."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/", 1) + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    (folder / "filter.py").write_text(FILTER.format(top=top, body=lines))
    artifact = build(load_project(folder), folder / "main.wasm")
    host = HostEmulator(plugin=lambda host: WasmPlugin(artifact.path, host))
    assert host.request().status == 200
    return [text for _, text in host.logs], artifact.warnings


def test_a_source_that_is_newer_than_the_python_that_builds(tmp_path: Path) -> None:
    top = "type Name = str\n\ndef nested(a):\n    return f'{f\"{a}\"}'"
    assert outcome(tmp_path, "import csv\nfound = csv.__name__", top) == (["csv"], ())


def test_a_world_of_a_source_that_this_python_cannot_read(tmp_path: Path) -> None:
    buffers = "import pwasm\n\n\nclass Reads(pwasm.HttpContext):\n    buffer_request_body = True\n\n\n"
    (tmp_path / "filter.py").write_text(f"{buffers}type Name = str\npwasm.set_http_context(Reads)\n")
    world = HostWorld(Setup(), tmp_path, "wasm")
    assert world.request("POST", body=b"abc").status == 200
    assert world.host.allow_on_headers_stop_iteration


@pytest.mark.parametrize(
    ("top", "body", "found"),
    [
        ("import xml.dom.minidom", "found = xml.dom.minidom.parseString('<a/>').documentElement.tagName", "a"),
        ("import xml.sax", "found = xml.sax.parseString(b'<a/>', xml.sax.ContentHandler())", "None"),
        ("from email.mime.text import MIMEText", "found = MIMEText('x').as_string().splitlines()[-1]", "x"),
        ("import importlib", "found = importlib.import_module('graphlib').__name__", "graphlib"),
        ("", "n = 3\nfound = 10 ** (n * 3000) // 7 ** (n * 1000) % 1000", str(10**9000 // 7**3000 % 1000)),
        ("import math", "found = math.isqrt(7 ** int('9000')) % 1000", str(math.isqrt(7**9000) % 1000)),
        ("import ast", "found = ast.unparse(ast.parse('x  =  1'))", "x = 1"),
    ],
    ids=["minidom", "sax", "message", "import_module", "division", "isqrt", "unparse"],
)
def test_what_the_standard_library_imports_when_it_is_called(tmp_path: Path, top: str, body: str, found: str) -> None:
    assert outcome(tmp_path, body, top) == ([found], ())


def test_a_module_that_exits_when_it_is_imported(tmp_path: Path) -> None:
    tool = "def tool():\n    from command import main\n    return main\n"
    logs, warnings = outcome(
        tmp_path, "found = pkg.NAME", "import pkg", pkg=f"NAME = 'a'\n{tool}", command="import sys\nsys.exit(1)\n"
    )
    assert logs == ["a"]
    assert warnings == ("pkg.py:3 imports command when it runs, which will fail: SystemExit: 1",)


def test_a_name_that_is_computed_is_said(tmp_path: Path) -> None:
    top = "import importlib\n\ndef load(name):\n    return importlib.import_module(name.lower())"
    _, warnings = outcome(tmp_path, "found = 1", top)
    (warning,) = warnings
    assert warning.startswith("filter.py:5 imports a module by a computed name")


@pytest.mark.parametrize(
    "imported",
    [
        "__import__('region_%s' % code, globals(), locals(), fromlist=['NAME'], level=1)",
        "importlib.import_module('pkg.region_{}'.format(code))",
    ],
)
def test_a_name_that_is_formatted_of_what_the_source_lists(tmp_path: Path, imported: str) -> None:
    package = f"import importlib\nCODES = ['DE', 'FR']\ndef load(code):\n    return {imported}.NAME\n"
    files = {"pkg____init__": package, "pkg__region_DE": "NAME = 'de'\n", "pkg__region_FR": "NAME = 'fr'\n"}
    assert outcome(tmp_path, "found = pkg.load('FR')", "import pkg", **files) == (["fr"], ())


def test_a_folder_without_init(tmp_path: Path) -> None:
    files = {
        "models__user": "from other import thing\nNAME = thing.NAME\n",
        "other__thing": "NAME = 'x'\n",
        "unused__a": "",
    }
    assert outcome(tmp_path, "from models.user import NAME\nfound = NAME", **files) == (["x"], ())
    names = {file.relative_to(tmp_path).as_posix() for file in source_files(load_project(tmp_path))}
    assert names == {"filter.py", "models/user.py", "other/thing.py"}


def test_docstrings_stay_where_they_are_read(tmp_path: Path) -> None:
    top = "import rules"
    rules = "def rule():\n    '''{\"type\": 1}'''\n\ndef read():\n    return rule.__doc__\n"
    assert outcome(tmp_path, "found = rules.read()", top, rules=rules) == (['{"type": 1}'], ())
