"""Where a compiler is, and whether its version will do."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

_VERSION = re.compile(r"\b(?:tinygo version |go version (?:devel )?go)(\d+)\.(\d+)((?:\.\d+)?[-\w.]*)")
_VERSION_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Compiler:
    """A compiler for Go filters, as pwasm calls it."""

    name: str
    """The program, and the name of the backend."""
    oldest: tuple[int, int]
    flags: tuple[str, ...]
    """What stands between `build -o FILE` and the end of the command line."""
    environment: Mapping[str, str]
    """Variables that are set for it, over those of the user."""
    how_to_get: str
    distribution: str = ""
    """The Python distribution that carries it, looked into when PATH has none that will do."""
    defaults: Mapping[str, str] | None = None
    """Variables that are set for it unless the user has set them."""

    @property
    def wanted(self) -> str:
        """Name and oldest version, as a person writes them."""
        return f"{self.name} {_dotted(self.oldest)} or later" if self.oldest > (0, 0) else self.name

    def command(self, program: Path, output: Path) -> list[str]:
        """The command line that builds the package in the current folder into `output`."""
        return [str(program), "build", "-o", str(output), *self.flags]

    def variables(self) -> dict[str, str]:
        """The environment to run it in: the user's (modules, proxies, caches), and what makes it build for Wasm."""
        return {**(self.defaults or {}), **os.environ, **self.environment}


@dataclass(frozen=True)
class Toolchain:
    """A compiler that was found; `version` as it says it, for example "1.26.8"."""

    compiler: Compiler
    program: Path
    version: str
    passed_over: str = ""
    """Why a program that comes before this one was not taken."""

    def __str__(self) -> str:
        return f"{self.compiler.name} {self.version}"


@dataclass(frozen=True)
class Unusable:
    """No such compiler, and why: what is wrong at each place that was looked at, in words that follow "because"."""

    compiler: Compiler
    why: str


def find(compiler: Compiler, folder: Path) -> Toolchain | Unusable:
    """The first of the programs on PATH and in the Python environment whose version will do.

    The version is asked for in `folder`: version managers, and Go itself, answer by the folder they are in.
    """
    refused: list[str] = []
    for program in _candidates(compiler):
        found = _look_at(compiler, program, folder)
        if isinstance(found, Toolchain):
            return replace(found, passed_over=" and ".join(refused))
        refused.append(found)
    return Unusable(compiler, " and ".join(refused) or f"no {compiler.name} is on PATH")


def _candidates(compiler: Compiler) -> Iterator[Path]:
    on_path = shutil.which(compiler.name)
    if on_path:
        yield Path(on_path).absolute()
    if compiler.distribution:
        try:
            files = importlib.metadata.files(compiler.distribution) or ()
        except importlib.metadata.PackageNotFoundError:
            return
        # The program itself, not the script that the installer makes: that one starts a Python first.
        for file in files:
            if file.parts[-3:] == ("go", "bin", compiler.name):
                yield Path(os.fspath(file.locate())).absolute()


def _look_at(compiler: Compiler, program: Path, folder: Path) -> Toolchain | str:
    """The toolchain, or what is wrong with it."""
    try:
        done = subprocess.run(
            [str(program), "version"],
            cwd=folder,
            env=compiler.variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"`{program} version` does not end"
    except OSError as error:
        return f"{program} cannot be run ({error.strerror})"
    match = _VERSION.search(done.stdout)
    if done.returncode != 0 or match is None:
        said = " ".join((done.stderr.strip() or done.stdout.strip() or "nothing").split())[:200]
        return f"`{program} version` does not say a version, but: {said}"
    version = f"{match[1]}.{match[2]}{match[3]}"
    if (int(match[1]), int(match[2])) < compiler.oldest:
        return f"{program} is {version}, older than {_dotted(compiler.oldest)}"
    return Toolchain(compiler, program, version)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
