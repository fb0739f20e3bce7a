"""Installed programs, and their versions."""

from __future__ import annotations

import functools
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pwasm_compiler.envoy.binary import find_envoy
from pwasm_compiler.envoy.errors import EnvoyNotFoundError
from pwasm_compiler.errors import ToolError

_SECONDS = 10


@dataclass(frozen=True)
class Program:
    """A program that was found; `version` is empty if it did not report one."""

    path: Path
    version: str


def envoy(explicit: str | None = None) -> Program | None:
    """The Envoy that `pwasm run` would start, if there is one."""
    try:
        return existing_envoy(explicit)
    except ToolError:
        return None


def existing_envoy(explicit: str | None = None) -> Program:
    """The Envoy that `pwasm run` would start.

    Raises:
        ToolError: there is none.
    """
    path = path_of_envoy(explicit)
    return Program(path, _version(path, path.stat().st_mtime_ns))


def path_of_envoy(explicit: str | None = None) -> Path:
    """Where it is, without asking it for its version.

    Raises:
        ToolError: there is none.
    """
    try:
        return find_envoy(explicit)
    except EnvoyNotFoundError as error:
        raise ToolError(error.what, hint=error.hint) from error


@functools.cache
def _version(path: Path, _changed: int) -> str:
    said = output([str(path), "--version"])  # its path, which may contain numbers, "version:", a hash and the version
    return version_in(said.rpartition("version:")[2])


def version_in(text: str) -> str:
    """The first version number in a text: `envoy  version: 2d3e…/1.40.0/Clean/RELEASE/BoringSSL` has 1.40.0."""
    match = re.search(r"(?<![\w.])v?(\d+\.\d+\.\d+)(?!\w)", text)
    return match[1] if match else ""


def output(command: list[str], seconds: float = _SECONDS) -> str:
    """The output of a command; "" if it fails, hangs or does not exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
