"""Type checkers accept what authors write, and find their mistakes.

mypy and pyright, the latter in both of its usual modes, look at the examples of README and docs, the template of
`pwasm new` and every example, with the SDK as it is installed. `make check` runs this; mypy has the examples in
pyproject.toml.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pwasm import testing

pytestmark = pytest.mark.programs

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "compiler" / "pwasm_compiler" / "templates" / "filter"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = [
    block for page in PAGES for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
]
# Those that are no files of their own: what stands above them, and the headers they leave out.
EMULATOR_EXAMPLE = "host = HostEmulator("
ABOVE = """from pwasm import HttpContext
from pwasm.testing import {names}


class MyFilter(HttpContext):
    pass


"""
HEADERS = '[(":method", "GET")]'

# Lines that end in `# wrong` must be refused, and no others.
MISTAKES = """
from dataclasses import dataclass

import pwasm
from pwasm import Action, HttpContext, PluginContext, TcpContext, VMContext


@dataclass
class Config:
    limit: int = 1


class Vm(VMContext):
    started = 0


class Plugin(PluginContext):
    config: Config
    vm: Vm

    def on_tick(self) -> None:
        self.vm.started += self.config.limit
        self.vm.stopped()  # wrong
        self.config.limits()  # wrong


class Http(HttpContext):
    plugin: Plugin
    on_error = "fail_open"
    buffer_request_body = 1  # wrong

    def on_http_request_headers(self, num_headers: int) -> Action:  # wrong
        self.plugin.config.limit.upper()  # wrong
        return Action.CONTINUE

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> str:  # wrong
        return self.request.body  # wrong

    async def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return Action.PAUSE


class WithoutPlugin(HttpContext):
    config: Config

    def on_http_stream_done(self) -> None:
        print(self.config.limit + 1, self.plugin.configuration.decode())
        self.plugin.of_nobody()  # wrong


class Tcp(TcpContext):
    plugin: Plugin

    def on_new_connection(self) -> None:
        self.plugin.config.limits()  # wrong


pwasm.set_http_context(Plugin)  # wrong
"""


def snippets() -> list[str]:
    """The examples of README and docs as files."""
    return [completed(text) if text.startswith(EMULATOR_EXAMPLE) else text for text in SHOWN]


def completed(text: str) -> str:
    """An example around an emulator, with the imports and the filter that it leaves out."""
    names = sorted(name for name in testing.__all__ if re.search(rf"\b{name}\b", text))
    return ABOVE.format(names=", ".join(names)) + text.replace("[...]", HEADERS)


def filled(name: str) -> str:
    """A file of the template as `pwasm new` writes it."""
    return (TEMPLATE / f"{name}.template").read_text(encoding="utf-8").replace("{{name}}", "my_filter")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the examples, each in its own folder as in an author's project."""
    folder = tmp_path_factory.mktemp("types")
    for number, text in enumerate(snippets()):
        (folder / f"readme_{number}").mkdir()
        (folder / f"readme_{number}" / f"snippet_{number}.py").write_text(text, encoding="utf-8")
    (folder / "template").mkdir()
    for name in ("filter.py", "test_filter.py"):
        (folder / "template" / name).write_text(filled(name), encoding="utf-8")
    for path in sorted((ROOT / "filters").glob("*/*.py")):
        (folder / path.parent.name).mkdir(exist_ok=True)
        shutil.copy(path, folder / path.parent.name)
    return folder


def pyright(folder: Path, mode: str) -> list[tuple[str, int, str]]:
    """File, line and text of what pyright finds in the folders below `folder`."""
    roots = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    settings = {
        "include": roots,
        "executionEnvironments": [{"root": root} for root in roots],
        "typeCheckingMode": mode,
        "pythonVersion": "3.11",
    }
    (folder / f"{mode}.json").write_text(json.dumps(settings))
    ran = subprocess.run(
        [sys.executable, "-m", "pyright", "-p", f"{mode}.json", "--pythonpath", sys.executable, "--outputjson"],
        cwd=folder,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},  # else it asks PyPI for newer versions
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(ran.stdout)
    assert said["summary"]["filesAnalyzed"] >= len(roots), ran.stdout
    return [
        (str(Path(found["file"]).relative_to(folder)), found["range"]["start"]["line"] + 1, found["message"])
        for found in said["generalDiagnostics"]
    ]


def mypy(folder: Path, *files: str) -> str:
    """mypy's output for files in `folder`."""
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache" / "authors"), *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("mode", ["standard", "strict"])
def test_pyright_accepts_what_we_show(folder: Path, mode: str) -> None:
    assert pyright(folder, mode) == []


def test_mypy_accepts_what_we_show(folder: Path) -> None:
    files = [*folder.glob("readme_*/*.py"), *folder.glob("template/*.py")]
    assert mypy(folder, *map(str, files)).startswith("Success: "), mypy(folder, *map(str, files))


@pytest.mark.parametrize("checker", ["mypy", "standard", "strict"])
def test_what_is_wrong_is_refused(tmp_path: Path, checker: str) -> None:
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "mistakes.py").write_text(MISTAKES)
    if checker == "mypy":
        lines = {int(line) for line in re.findall(r"^[^:]*:(\d+): error", mypy(tmp_path, "wrong/mistakes.py"), re.M)}
    else:
        lines = {line for _, line, _ in pyright(tmp_path, checker)}
    assert lines == {number for number, line in enumerate(MISTAKES.split("\n"), 1) if line.endswith("# wrong")}
