"""pip as a program: the Python it resolves for, and what the code that it runs may see.

Three Pythons are asked for. The *module's* is CPython on WASI, where no wheel with native code runs. A *usual* machine
is CPython on Linux with glibc; only the wheels are its, the environment markers stay the module's, so that two
resolutions differ for one reason alone: native code. *This* one builds sdists.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pwasm_compiler.cpython314 import RELEASE, VERSION
from pwasm_compiler.errors import ProjectError, ToolError
from pwasm_compiler.files import scratch_folder

MARKERS = {
    "implementation_name": "cpython",
    "implementation_version": RELEASE,
    "os_name": "posix",
    "platform_machine": "wasm32",
    "platform_python_implementation": "CPython",
    "platform_system": "wasi",
    "python_full_version": RELEASE,
    "python_version": VERSION,
    "sys_platform": "wasi",
}
# pip matches platforms literally, so every glibc version that wheels are built for is listed.
_GLIBC_MINORS = (5, 12, 17, 24, 27, 28, 31, 34, 35, 38, 39)
_COMMON = ("--disable-pip-version-check", "--no-input", "--no-color", "--only-binary=:all:")
_PYTHON = ("--python-version", VERSION, "--implementation", "cp")
_SCRIPT = str(Path(__file__).with_name("inside_pip.py"))
_OTHER_HASH = "DO NOT MATCH THE HASHES"
_NOWHERE = "http://127.0.0.1:9"
_NO_COMPILER = "pwasm-builds-without-a-compiler"
_BUILD_ENVIRONMENT = {
    **dict.fromkeys(("CC", "CXX", "CPP", "LD", "LDSHARED", "LDCXXSHARED", "AR", "FC", "F77", "RUSTC"), _NO_COMPILER),
    # setuptools looks for Visual C++ in the registry unless told that the caller has prepared an environment.
    **dict.fromkeys(("DISTUTILS_USE_SDK", "MSSdk"), "1"),
    # For those who ask: where there is no `unshare`, this is all that keeps a backend off the network.
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), _NOWHERE),
    "PIP_NO_INDEX": "1",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "315532800",  # 1 January 1980, the first day that a ZIP file can express
}
_TOOLS = ("git",)
"""Programs that stay on the PATH of backends: a version may be read from a checkout."""


@dataclass(frozen=True, slots=True)
class Target:
    """A Python that pip is told to work for."""

    options: tuple[str, ...]
    markers: Mapping[str, str]
    prefer_pure: str = ""
    """The version of Python whose pure wheels come first, or ""."""


MODULE = Target((*_PYTHON, "--abi", "none", "--platform", "any"), MARKERS)
USUAL = Target(
    (*_PYTHON, *(part for minor in _GLIBC_MINORS for part in ("--platform", f"manylinux_2_{minor}_x86_64"))),
    MARKERS,
    VERSION,
)
THIS = Target((), {})


def pip(
    target: Target,
    command: str,
    *arguments: str,
    build_environment: Mapping[str, str] | None = None,
    refused: Sequence[str] = (),
    sdists: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command of pip; its standard output and error are one text.

    Args:
        build_environment: more of what build backends see.
        refused: build requirements for which pip shall give up at once.
        sdists: a file to write: name → versions of the sdists that pip has seen and not considered.
    """
    with scratch_folder() as scratch:
        settings = {
            "markers": target.markers,
            "prefer_pure": target.prefer_pure,
            "sdists": str(sdists or ""),
            "backend": {
                "environment": {**_BUILD_ENVIRONMENT, "HOME": str(scratch), **(build_environment or {})},
                "path": str(_tools(scratch / "bin")),
                "prefix": _without_network(),
                "refused": list(refused),
            },
        }
        return subprocess.run(
            # -P: the current folder is the filter's, and its modules must not shadow pip's.
            [sys.executable, "-P", _SCRIPT, json.dumps(settings), command, *_COMMON, *target.options, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )


def has_releases(name: str) -> bool:
    """Whether the index knows any version of a distribution, with wheels or without."""
    command = [sys.executable, "-P", "-m", "pip", "index", "versions", "--no-input", "--", name]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def _tools(folder: Path) -> Path:
    folder.mkdir()
    for name in _TOOLS:
        program = shutil.which(name)
        if program is not None and os.name == "posix":
            (folder / name).symlink_to(program)
    return folder


@functools.cache
def _without_network() -> Sequence[str]:
    """What is written before a command so that it has no network: Linux, where users may make namespaces."""
    program = shutil.which("unshare") if sys.platform == "linux" else None
    if program is None:
        return ()
    prefix = (program, "--map-current-user", "--net", "--")
    tried = subprocess.run([*prefix, sys.executable, "-c", ""], capture_output=True, check=False)
    return prefix if tried.returncode == 0 else ()


class Requirements:
    """A file of exact requirements, as pip reads it; with hashes if each has one, for pip wants all or none."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._pins: list[tuple[str, str]] = []

    def add(self, name: str, version: str, url: str = "", sha256: str = "") -> None:
        """Add what is at `url`, or what the index has under a name and version."""
        self._pins.append((f"{name} @ {url}" if url else f"{name}=={version}", sha256))

    @property
    def option(self) -> tuple[str, ...]:
        """The file is written; these are the arguments that name it."""
        hashed = all(sha256 for _, sha256 in self._pins)
        lines = [f"{what} --hash=sha256:{sha256}" if hashed else what for what, sha256 in self._pins]
        self._file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return (*(["--require-hashes"] if hashed and lines else []), "-r", str(self._file))


def failure(output: str, what: str) -> None:
    """Raise what has nothing to do with requirements: a full disk, an index out of reach, an archive that changed."""
    if os.strerror(errno.ENOSPC) in output:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if "Retrying (" in output or "Could not fetch URL" in output:
        raise ToolError(f"cannot reach the package index to look up '{what}'", why=last_errors(output))
    _, found, hashes = output.partition(_OTHER_HASH)
    if found:
        why = hashes.partition("\n")[2].partition("\n\n")[0].strip()
        raise ProjectError("an archive is not the one with the recorded SHA-256", why=why)


def last_errors(output: str) -> str:
    """The errors in pip's output, or how it ends."""
    lines = [line for line in output.splitlines() if line.startswith("ERROR: ")] or output.splitlines()[-3:]
    return "\n".join(line.removeprefix("ERROR: ") for line in lines)
