"""The filter's dependencies, as pip resolves them for the Python inside the module.

That Python is CPython on WASI: pip is told so, and selects only wheels without native code. What it installs is cached
for one day under a key of the requirements, pip's version and pip's index settings: after that (or after removing
`dependencies` from the cache folder), an unpinned requirement may resolve to a newer version. Requirements that refer
to a path or a URL are resolved every time.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from email.parser import HeaderParser
from importlib.util import find_spec
from pathlib import Path

from pwasm_compiler.cache import Cache
from pwasm_compiler.cpython314 import RELEASE, VERSION
from pwasm_compiler.errors import ProjectError, ToolError
from pwasm_compiler.files import scratch_folder
from pwasm_compiler.project import Project, requirement_name

FRESH_SECONDS = 24 * 60 * 60
NATIVE_SUFFIXES = (".so", ".pyd", ".dylib", ".dll")
_KIND, _NOTE = "dependencies", ".pwasm.json"

_GUEST_TAGS = ("--python-version", VERSION, "--implementation", "py", "--abi", "none", "--platform", "any")
# pip matches platforms literally, so every glibc version that wheels are built for is listed.
_NATIVE_PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (5, 12, 17, 24, 27, 28, 31, 34, 35, 38, 39)]
_NATIVE_TAGS = ["--python-version", VERSION, "--implementation", "cp"]
_NATIVE_TAGS += [part for platform in _NATIVE_PLATFORMS for part in ("--platform", platform)]
_COMMON = ("--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--no-compile", "--no-color")

# With --python-version, pip selects wheels for that Python, but still evaluates environment markers, such as
# `; python_version < "3.14"`, for the Python it runs on. So they are overridden before it starts.
_PIP = f"""
import sys
from pip._vendor.packaging import markers
environment = markers.default_environment() | {{
    "implementation_name": "cpython",
    "implementation_version": "{RELEASE}",
    "os_name": "posix",
    "platform_machine": "wasm32",
    "platform_python_implementation": "CPython",
    "platform_system": "wasi",
    "python_full_version": "{RELEASE}",
    "python_version": "{VERSION}",
    "sys_platform": "wasi",
}}
markers.default_environment = environment.copy
from pip._internal.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
_NO_MATCH = re.compile(
    r"Could not find a version that satisfies the requirement (?P<requirement>\S.*?)"
    r"(?: \(from (?!versions:)(?P<parent>[^)]*)\))?"
    r" \(from versions: (?P<versions>.*)\)"
)
_NO_DISTRIBUTION = "have no matching distributions available for your environment:"
_CAUSES = 6


def resolve(project: Project, into: Path, progress: Callable[[str], None], cache: Cache) -> tuple[str, ...]:
    """Install the dependencies, direct and indirect, into the folder `into`; returns them as `name==version`."""
    if not project.dependencies:
        return ()
    if find_spec("pip") is None:
        raise ToolError(
            "this filter has dependencies, but pip is not installed", hint=f"run: {sys.executable} -m ensurepip"
        )
    key = _key(project.dependencies)
    by_path = any("@" in requirement for requirement in project.dependencies)
    packed = None if by_path else _fresh(cache, key)
    if packed is None:
        with cache.alone(_KIND):
            packed = None if by_path else _fresh(cache, key)
            if packed is None:
                progress("installing " + ", ".join(project.dependencies))
                packed = _pack(project.dependencies)
                cache.write(_KIND, key, packed)
    with _open(packed) as archive:
        archive.extractall(into, [name for name in archive.namelist() if name != _NOTE])
        return tuple(json.loads(archive.read(_NOTE))["resolved"])


def _pack(requirements: Sequence[str]) -> bytes:
    """Everything that pip installs, as a ZIP file with a list of the distributions and the time."""
    with scratch_folder() as scratch:
        packages = scratch / "packages"
        _install(requirements, packages)
        _refuse_native_code(packages)
        _remove_metadata(packages)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(_NOTE, json.dumps({"resolved": _installed(packages), "time": time.time()}))
            for path in sorted(packages.rglob("*")):
                if path.is_file():
                    archive.writestr(path.relative_to(packages).as_posix(), path.read_bytes())
        return file.getvalue()


def _open(packed: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(packed))


def _key(requirements: Sequence[str]) -> str:
    """What the result depends on: the requirements, the package indexes and the version of pip."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    parts = [sorted(requirements), sorted(settings.items()), importlib.metadata.version("pip"), VERSION]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _fresh(cache: Cache, key: str) -> bytes | None:
    """The cached result, unless it is older than a day."""
    packed = cache.read(_KIND, key)
    if packed is None:
        return None
    with _open(packed) as archive:
        written: float = json.loads(archive.read(_NOTE))["time"]
    return packed if time.time() - written < FRESH_SECONDS else None


def _install(requirements: Sequence[str], target: Path) -> None:
    target.mkdir()
    result = _pip("install", "--target", str(target), *_GUEST_TAGS, "--", *requirements)
    if result.returncode != 0:
        raise _explain(result.stdout, requirements)


def _pip(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # -P: the current folder is the filter's, and its modules must not shadow pip's.
    python = [sys.executable, "-P", "-c", _PIP]
    return subprocess.run(
        [*python, command, *_COMMON, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _explain(output: str, requirements: Sequence[str]) -> ProjectError | ToolError:
    """Why pip failed, from its output and, if that only says "none", from further queries with pip."""
    if os.strerror(errno.ENOSPC) in output:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    match = _NO_MATCH.search(output)
    if match is None:
        return _conflict(output, requirements)
    requirement, name = match["requirement"], requirement_name(match["requirement"]) or match["requirement"]
    needed = f" (needed by {match['parent']})" if match["parent"] else ""
    if match["versions"] != "none" and not _has_native_wheel(requirement):
        why = f"Available versions: {match['versions']}."
        return ProjectError(f"no version of '{name}' satisfies '{requirement}'{needed}", why=why)
    if _has_native_wheel(name):
        return _native(name, f"It is distributed as compiled libraries{needed}; the module can run only pure Python.")
    if "Retrying (" in output or "Could not fetch URL" in output:
        return ToolError(f"cannot reach the package index to look up '{name}'{needed}", why=_last_errors(output))
    return _no_wheel(name, needed)


def _conflict(output: str, requirements: Sequence[str]) -> ProjectError:
    """Conflicting requirements, or an indirect one that is only available with native code."""
    causes = [
        line.strip() for line in output.partition("The conflict is caused by:")[2].partition("\n\n")[0].splitlines()
    ]
    for name in output.partition(_NO_DISTRIBUTION)[2].partition("\n\n")[0].split():
        parents = [cause for cause in causes if requirement_name(cause.partition(" depends on ")[2]) == name]
        if parents and _has_native_wheel(name):
            return _native(name, f"It is required because {parents[0]}.")
    why = "\n".join([cause for cause in causes if cause][:_CAUSES]) or _last_errors(output)
    return ProjectError(f"pip could not resolve the dependencies: {', '.join(requirements)}", why=why)


def _no_wheel(name: str, needed: str) -> ProjectError:
    if not _has_any_release(name):
        return ProjectError(f"no package '{name}' found{needed}", why="pip found no version of it.")
    return ProjectError(
        f"'{name}'{needed} has no pure-Python wheel for Python {VERSION} that satisfies the requirement",
        hint="pwasm installs only wheels; build one with `pip wheel` and set PIP_FIND_LINKS to its folder",
    )


def _native(name: str, why: str) -> ProjectError:
    return ProjectError(
        f"'{name}' has native code, which cannot run in the module",
        why=why,
        hint="use a package written in pure Python",
    )


def _has_native_wheel(requirement: str) -> bool:
    """Whether there is a wheel for regular CPython on Linux, given that there is none for the module."""
    with scratch_folder() as nowhere:
        options = ("--dry-run", "--no-deps", "--target", str(nowhere))
        return _pip("install", *options, *_NATIVE_TAGS, "--", requirement).returncode == 0


def _has_any_release(name: str) -> bool:
    command = [sys.executable, "-P", "-m", "pip", "index", "versions", "--no-input", "--", name]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def _last_errors(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith("ERROR: ")] or output.splitlines()[-3:]
    return "\n".join(line.removeprefix("ERROR: ") for line in lines)


def _refuse_native_code(packages: Path) -> None:
    for file in sorted(packages.rglob("*")):
        if file.suffix in NATIVE_SUFFIXES or re.search(r"\.so\.\d", file.name):
            relative = file.relative_to(packages)
            owner = _owner(packages, relative.as_posix()) or relative.parts[0]
            raise _native(owner, f"It contains {relative}.")


def _owner(packages: Path, file: str) -> str | None:
    """The distribution whose RECORD lists a file."""
    for record in packages.glob("*.dist-info/RECORD"):
        if any(line.startswith(f"{file},") for line in record.read_text(encoding="utf-8").splitlines()):
            return _metadata(record.parent)[0]
    return None


def _remove_metadata(packages: Path) -> None:
    """Remove scripts, which nothing in the module can run, and pip's metadata about the installation."""
    shutil.rmtree(packages / "bin", ignore_errors=True)
    for name in ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json"):
        for note in packages.glob(f"*.dist-info/{name}"):
            note.unlink()
    for folder in list(packages.rglob("__pycache__")):
        shutil.rmtree(folder, ignore_errors=True)


def _installed(packages: Path) -> list[str]:
    return sorted("==".join(_metadata(folder)) for folder in packages.glob("*.dist-info"))


def _metadata(dist_info: Path) -> tuple[str, str]:
    headers = HeaderParser().parsestr((dist_info / "METADATA").read_text(encoding="utf-8"), headersonly=True)
    return headers["Name"], headers["Version"]
