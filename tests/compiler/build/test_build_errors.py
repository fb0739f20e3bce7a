"""Filters that cannot be built: one clear message each, the user's own traceback, no output file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm_compiler.build.pipeline import build
from pwasm_compiler.errors import PwasmError
from pwasm_compiler.project import load_project

pytestmark = pytest.mark.wasm

GOOD = "import pwasm\n\npwasm.set_http_context(pwasm.HttpContext)\n"
IMPORT, CLASS, SET = "import pwasm\n", "\n\nclass Mine(pwasm.HttpContext):\n", "\n\npwasm.set_http_context(Mine)\n"

# Enough for all that comes before the loop, with what `warm` has put in the cache.
SHORT = "[tool.pwasm]\nbuild-timeout = 8\n"
# name → (filter.py, pyproject.toml)
BROKEN = {
    "syntax error": ("import pwasm\n\ndef broken(:\n    pass\n", ""),
    "exception while imported": (GOOD + "\n\ndef configure():\n    return 1 / 0\n\n\nconfigure()\n", ""),
    "exception in a helper": (GOOD + "\nimport helper\n", ""),
    "sys.exit while imported": ("import sys\n\nprint('bye')\nsys.exit(3)\n", ""),
    "missing module": (GOOD + "import requests\n", ""),
    "missing module in a callback": (
        GOOD.replace("pwasm.HttpContext)", "Late)").replace(
            "\n\n",
            "\n\n\nclass Late(pwasm.HttpContext):\n    def on_http_request_headers(self, num_headers, end_of_stream):\n"
            "        import yamll\n\n\n",
        ),
        "",
    ),
    "missing name in a function": (GOOD + "\n\ndef f():\n    from json import lods\n\n\nCALL = f\n", ""),
    "missing module of the SDK": (GOOD + "from pwasm import does_not_exist\n", ""),
    "native extension": (GOOD + "import ssl\n", ""),
    "no class registered": ("import pwasm\n", ""),
    "two classes of a kind": (
        GOOD + "\n\nclass Second(pwasm.HttpContext):\n    pass\n\n\npwasm.set_http_context(Second)\n",
        "",
    ),
    "misspelt callback": (
        IMPORT + CLASS + "    async def on_http_request_header(self, num_headers, end_of_stream): ...\n" + SET,
        "",
    ),
    "misspelt settings": (
        IMPORT + CLASS + '    on_eror = "fail_open"\n    buffer_requst_body: bool = True\n' + SET,
        "",
    ),
    "callback without a parameter": (
        IMPORT + CLASS + "    def on_http_request_headers(self, num_headers): ...\n" + SET,
        "",
    ),
    "misspelt callback of a class that a factory makes": (
        IMPORT
        + CLASS
        + "    def on_tick(self): ...\n\n\ndef make():\n    return Mine()\n\n\npwasm.set_http_context(make)\n",
        "",
    ),
    "misspelt setting in another module": (IMPORT + "import contexts\n" + SET.replace("Mine", "contexts.Mine"), ""),
    "not a class": ("import pwasm\n\npwasm.set_http_context(42)\n", ""),
    "more memory than it may have": (GOOD + "\nTABLE = bytearray(40_000_000)\n", "[tool.pwasm]\nmemory = 32\n"),
    "endless loop": ("while True:\n    pass\n", SHORT),
    "endless loop after a print": ("print('so far')\nwhile True:\n    pass\n", SHORT),
    "hostcall while imported": (GOOD + "\nREGION = pwasm.get_property(['node', 'id'])\n", ""),
    "write while imported": (GOOD + "\nwith open(__file__ + '.txt', 'w') as file:\n    file.write('x')\n", ""),
    "read of a missing file": ("TABLE = open('/etc/hostname').read()\n", ""),
    "recursion in C": ("nested = []\nfor _ in range(200_000):\n    nested = [nested]\nrepr(nested)\n", ""),
    "recursion in Python": ("def again():\n    return again()\n\n\nagain()\n", ""),
    "os._exit while imported": ("import os\n\nprint('bye')\nos._exit(3)\n", ""),
    "sleep while imported": ("import time\n\ntime.sleep(5)\n", ""),
    "too much memory": ("TABLE = [bytes(1 << 20) for _ in range(3000)]\n", ""),
    "exception in the standard library": (GOOD + "\nimport json\n\njson.loads('{')\n", ""),
    "missing module in include": (GOOD, '[tool.pwasm]\ninclude = ["module_that_is_not_there"]\n'),
    "not UTF-8": ("import pwasm\n\nname = 'gr\udcf6\udcdfe'\n", ""),
}


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The standard library's bytecode is in the cache."""
    folder = tmp_path_factory.mktemp("warm")
    (folder / "filter.py").write_text(GOOD)
    build(load_project(folder), folder / "main.wasm")


@pytest.mark.parametrize("name", BROKEN)
def test_a_filter_that_cannot_be_built(name: str, tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    text, settings = BROKEN[name]
    (tmp_path / "filter.py").write_text(text, encoding="utf-8", errors="surrogateescape")
    (tmp_path / "helper.py").write_text("def help_me():\n    return {}['nothing']\n\n\nhelp_me()\n")
    (tmp_path / "contexts.py").write_text(IMPORT + CLASS + "    max_bdy_bytes = 1\n")
    if settings:
        (tmp_path / "pyproject.toml").write_text(settings)
    with pytest.raises(PwasmError) as caught:
        build(load_project(tmp_path), tmp_path / "main.wasm")
    assert list(tmp_path.glob("*main.wasm*")) == []
    shown = str(caught.value)
    assert "rust" not in shown.lower()
    assert "/0/" not in shown
    assert "pwasm_app" not in shown
    shown = re.sub(r"line repeated \d+", "line repeated N", shown)
    golden(f"build_errors/{name.replace(' ', '_')}.txt", re.sub(re.escape(str(tmp_path)), "FOLDER", shown) + "\n")


def test_each_build_shows_the_warnings_of_the_compiler(tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text(GOOD + "PATTERN = '\\d'\n")
    for _ in range(2):
        prints = build(load_project(tmp_path), tmp_path / "main.wasm").prints
        assert prints.startswith('filter.py:4: SyntaxWarning: "\\d" is an invalid escape sequence')
        assert prints.count("SyntaxWarning") == 1


def test_prints_at_import_and_what_is_imported_later_are_reported(tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text(
        GOOD
        + "print('hello from the build')\n\n\n"
        + "def later():\n    import nothing_of_the_kind\n    'x'.encode('no-codec')\n"
    )
    artifact = build(load_project(tmp_path), tmp_path / "main.wasm")
    assert artifact.prints == "hello from the build\n"
    assert [warning.partition(":")[0] for warning in artifact.warnings] == ["filter.py", "filter.py"]
    assert (
        "filter.py:8 imports nothing_of_the_kind when it runs, which will fail: ModuleNotFoundError: "
        in artifact.warnings[0]
    )
    assert "filter.py:9 uses the unknown encoding 'no-codec'" in artifact.warnings[1]


@pytest.mark.parametrize("output", ["missing/main.wasm", "folder"])
def test_an_output_that_cannot_be_written_is_said_before_the_build(tmp_path: Path, output: str) -> None:
    (tmp_path / "filter.py").write_text(GOOD)
    (tmp_path / "folder").mkdir()
    stages: list[str] = []
    with pytest.raises(PwasmError, match="cannot write"):
        build(load_project(tmp_path), tmp_path / output, progress=stages.append)
    assert stages == []
