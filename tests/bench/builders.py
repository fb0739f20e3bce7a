"""Building the peers that are built, with the time it takes: the first build, with empty caches, and the next ones.

Each build is a process of its own. A next build is one after an edit of the filter's source.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pwasm_compiler.build.backends.go import GO
from pwasm_compiler.build.backends.toolchain import Compiler, Unusable, find

from .problems import BenchError, NotMeasuredError
from .scenarios import Scenario

ROOT = Path(__file__).parents[2]
_PACKAGES = ("sdk", "compiler", "runtime-shim")
_TIMEOUT_SECONDS = 600
_LAST_CHARACTERS = 2000


@dataclass(frozen=True)
class BuildTimes:
    """Seconds; `stages` are those of the first pwasm build, when nothing is cached.

    `dependency` is that of a build after the filter got another dependency, without the download.
    """

    first: float
    next: tuple[float, ...]
    stages: Mapping[str, float] = field(default_factory=dict)
    dependency: float | None = None


@dataclass(frozen=True)
class Edit:
    """A developer's edit between two builds: another log message, so the module differs."""

    file: Path
    message: str

    def apply(self, number: int) -> None:
        """Make the edit; each number makes a different one."""
        text = self.file.read_text(encoding="utf-8")
        edited = re.sub(f'"{self.message}[^"]*"', f'"{self.message}, edit {number}"', text, count=1)
        if edited == text:
            raise BenchError(f"{self.file.name} does not log {self.message!r}, so it cannot be edited")
        self.file.write_text(edited, encoding="utf-8")


def build_go(
    compiler: Compiler, source: Path, scenario: Scenario, scratch: Path, next_builds: int
) -> tuple[Path, BuildTimes, str]:
    """Build the scenario's package in the Go module `source` with `compiler`; also says which version that was.

    The modules it needs are downloaded beforehand, outside the measured time.
    """
    found = find(compiler, source)
    if isinstance(found, Unusable):
        raise NotMeasuredError(found.why)
    go = find(GO, source)
    if isinstance(go, Unusable):
        raise NotMeasuredError(go.why)
    folder, output = scratch / "go", scratch / "go.wasm"
    shutil.copytree(source, folder)
    caches = {"GOCACHE": str(scratch / "go-cache"), "XDG_CACHE_HOME": str(scratch / "cache")}
    environment = {**compiler.variables(), **caches}
    run([str(go.program), "mod", "download"], folder, environment)
    command = [*compiler.command(found.program, output), f"./{scenario.name}"]
    edit = Edit(folder / scenario.name / "main.go", scenario.message)
    times, _ = _timed(lambda: run(command, folder, environment), edit, output, next_builds)
    return output, times, str(found)


def build_pwasm(source: Path, scenario: Scenario, scratch: Path, next_builds: int) -> tuple[Path, BuildTimes]:
    """Build the scenario's Python filter below `source`; what pwasm caches goes to a folder that is empty at first."""
    folder, output = scratch / "python", scratch / "python.wasm"
    shutil.copytree(source / scenario.name, folder, ignore=shutil.ignore_patterns("__pycache__", "main.wasm*"))
    command = [sys.executable, str(Path(__file__).with_name("build_once.py")), str(folder), str(output)]
    environment = {"PWASM_CACHE_DIR": str(scratch / "pwasm-cache")}
    edit = Edit(folder / "filter.py", scenario.message)
    times, printed = _timed(lambda: run(command, folder, environment), edit, output, next_builds)
    add_dependency(folder, _wheel(scratch / "wheels"))
    dependency, _ = _seconds(lambda: run([*command[:-1], str(scratch / "other.wasm")], folder, environment))
    return output, BuildTimes(times.first, times.next, json.loads(printed), dependency)


def build_at(commit: str, source: Path, scenario: Scenario, scratch: Path) -> Path:
    """The scenario's module as pwasm made it at `commit`, an ancestor of this checkout.

    Its shim is compiled with the ziglang that is installed, and linked by the componentize-py that is installed.
    """
    tree, folder, output = scratch / "tree", scratch / "before", scratch / "before.wasm"
    tree.mkdir()
    try:
        run(["git", "archive", "--output", str(tree / "tree.tar"), commit, *_PACKAGES], ROOT)
    except (BenchError, OSError) as error:
        raise NotMeasuredError(f"git has no commit {commit}") from error
    run(["tar", "xf", "tree.tar"], tree)
    run([sys.executable, "runtime-shim/build_shim.py"], tree)
    shutil.copytree(source / scenario.name, folder, ignore=shutil.ignore_patterns("__pycache__", "main.wasm*"))
    path = os.pathsep.join(str(tree / name) for name in _PACKAGES)
    command = [sys.executable, "-m", "pwasm_compiler.cli", "build", str(folder), "-o", str(output)]
    run(command, folder, {"PYTHONPATH": path, "PWASM_CACHE_DIR": str(scratch / "cache-before")})
    return output


def add_dependency(folder: Path, wheel: Path) -> None:
    """Let the filter in `folder` depend on the package in `wheel`, and import it."""
    requirement = f"{wheel.name.partition('-')[0]} @ {wheel.as_uri()}"
    (folder / "pyproject.toml").write_text(f'[project]\nname = "bench"\ndependencies = ["{requirement}"]\n', "utf-8")
    file = folder / "filter.py"
    file.write_text(f"{file.read_text(encoding='utf-8')}\n\nimport added\n", encoding="utf-8")


def _wheel(folder: Path) -> Path:
    """A package of 50 modules with 100 functions each, generated locally so that no network is measured."""
    folder.mkdir()
    body = "".join(f"def function_{number}(a, b={number}):\n    return a + b\n\n\n" for number in range(100))
    files = {f"added/part_{number}.py": body for number in range(50)}
    files["added/__init__.py"] = "".join(f"from . import part_{number}\n" for number in range(50))
    files["added-1.0.dist-info/METADATA"] = "Metadata-Version: 2.1\nName: added\nVersion: 1.0\n"
    files["added-1.0.dist-info/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files["added-1.0.dist-info/RECORD"] = "".join(f"{name},,\n" for name in files)
    wheel = folder / "added-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


def _timed(build: Callable[[], str], edit: Edit, output: Path, next_builds: int) -> tuple[BuildTimes, str]:
    """The times, and what the first build printed; `output` stays that of the first build."""
    first, printed = _seconds(build)
    module = output.read_bytes()
    following = []
    for number in range(next_builds):
        edit.apply(number)
        following.append(_seconds(build)[0])
        if output.read_bytes() == module:
            raise BenchError("a build after an edit made the same module as before")
    output.write_bytes(module)
    return BuildTimes(first, tuple(following)), printed


def _seconds(build: Callable[[], str]) -> tuple[float, str]:
    start = time.perf_counter()
    printed = build()
    return time.perf_counter() - start, printed


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """The standard output of a command; if it fails, a BenchError with the end of its output."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{Path(command[0]).name} took longer than {_TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-_LAST_CHARACTERS:]
        raise BenchError(f"{Path(command[0]).name} ended with exit code {done.returncode}: {said}")
    return done.stdout
