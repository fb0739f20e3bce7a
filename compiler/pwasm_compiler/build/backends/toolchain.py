"""Where a compiler is, and whether its version is usable."""

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
    """The arguments that follow `build -o FILE`."""
    environment: Mapping[str, str]
    """Environment variables that override the user's."""
    how_to_get: str
    distribution: str = ""
    """The Python distribution that contains it, tried if none on PATH is usable."""
    defaults: Mapping[str, str] | None = None
    """Environment variables that are set unless the user has set them."""

    @property
    def wanted(self) -> str:
        """Name and oldest version, for messages."""
        return f"{self.name} {_dotted(self.oldest)} or later" if self.oldest > (0, 0) else self.name

    def command(self, program: Path, output: Path) -> list[str]:
        """The command line that builds the package in the current folder into `output`."""
        return [str(program), "build", "-o", str(output), *self.flags]

    def variables(self) -> dict[str, str]:
        """The environment to run it in: the user's (modules, proxies, caches), plus the settings to build for Wasm."""
        return {**(self.defaults or {}), **os.environ, **self.environment}


@dataclass(frozen=True)
class Toolchain:
    """A compiler that was found; `version` as it reports it, for example "1.26.8"."""

    compiler: Compiler
    program: Path
    version: str
    passed_over: str = ""
    """Why programs that precede this one were passed over."""

    def __str__(self) -> str:
        return f"{self.compiler.name} {self.version}"


@dataclass(frozen=True)
class Unusable:
    """No usable compiler, and why: the problem with each candidate, in words that follow "because"."""

    compiler: Compiler
    why: str


def find(compiler: Compiler, folder: Path) -> Toolchain | Unusable:
    """The first program on PATH or in the Python environment whose version is usable.

    The version is queried in `folder`: version managers, and Go itself, answer depending on the folder.
    """
    refused: list[str] = []
    for program in _candidates(compiler):
        found = _look_at(compiler, program, folder)
        if isinstance(found, Toolchain):
            return replace(found, passed_over=" and ".join(refused))
        refused.append(found)
    return Unusable(compiler, " and ".join(refused) or f"{compiler.name} is not on PATH")


def _candidates(compiler: Compiler) -> Iterator[Path]:
    on_path = shutil.which(compiler.name)
    if on_path:
        yield Path(on_path).absolute()
    if compiler.distribution:
        try:
            files = importlib.metadata.files(compiler.distribution) or ()
        except importlib.metadata.PackageNotFoundError:
            return
        # The binary itself, not the installed script, which is a Python wrapper.
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
        return f"`{program} version` timed out"
    except OSError as error:
        return f"{program} failed to start ({error.strerror})"
    match = _VERSION.search(done.stdout)
    if done.returncode != 0 or match is None:
        said = " ".join((done.stderr.strip() or done.stdout.strip() or "nothing").split())[:200]
        return f"`{program} version` reported no version, but: {said}"
    version = f"{match[1]}.{match[2]}{match[3]}"
    if (int(match[1]), int(match[2])) < compiler.oldest:
        return f"{program} is version {version}, older than {_dotted(compiler.oldest)}"
    return Toolchain(compiler, program, version)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
