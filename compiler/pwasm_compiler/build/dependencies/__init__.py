"""The filter's dependencies, as pip resolves them for the Python inside the module.

That Python is CPython on WASI, which runs no native code. A module gets the versions that a usual machine would get
(`versions`), as pure wheels or built from sdists (`sources`, `sdist`), or exactly those of a lock file (`lock`).

What is installed is cached for one day under a key of the requirements, pip's version and pip's index settings: after
that (or after removing `dependencies` from the cache folder), an unpinned requirement may resolve to a newer version.
Requirements that refer to a path or a URL are resolved every time. What a lock lists stays cached.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from pwasm_compiler.cache import Cache
from pwasm_compiler.cpython314 import VERSION
from pwasm_compiler.errors import ToolError
from pwasm_compiler.files import scratch_folder
from pwasm_compiler.project import Project

from .distribution import Distribution, installed
from .lock import check_lock, read_lock, write_lock
from .sources import install, remove_metadata
from .versions import older_plan, plan

FRESH_SECONDS = 24 * 60 * 60
_KIND, _NOTE = "dependencies", ".pwasm.json"
FORMAT = 2
"""Part of the key: another number when the same inputs lead to something else."""


def resolve(project: Project, into: Path, progress: Callable[[str], None], cache: Cache) -> tuple[str, ...]:
    """Install the dependencies, direct and indirect, into the folder `into`; returns them as `name==version`."""
    locked = read_lock(project.lock) if project.lock and not project.write_lock else None
    if not project.dependencies and not locked:
        if project.lock and project.write_lock:
            write_lock(project.lock, ())
        return ()
    if find_spec("pip") is None:
        raise ToolError(
            "this filter has dependencies, but pip is not installed", hint=f"run: {sys.executable} -m ensurepip"
        )
    with _open(_packed(project, locked, progress, cache)) as archive:
        archive.extractall(into, [name for name in archive.namelist() if name != _NOTE])
        return tuple(json.loads(archive.read(_NOTE))["resolved"])


def _packed(
    project: Project, locked: Sequence[Distribution] | None, progress: Callable[[str], None], cache: Cache
) -> bytes:
    """From the cache, or installed."""
    key = _key(project, locked)
    seconds = FRESH_SECONDS if locked is None else None
    cacheable = locked is not None or not any("@" in requirement for requirement in project.dependencies)
    usable = cacheable and not project.write_lock
    packed = _fresh(cache, key, seconds) if usable else None
    if packed is None:
        with cache.alone(_KIND):
            packed = _fresh(cache, key, seconds) if usable else None
            if packed is None:
                progress("installing " + ", ".join(project.dependencies))
                packed = _pack(project, locked, progress, cache)
                cache.write(_KIND, key, packed)
    return packed


def _pack(
    project: Project, locked: Sequence[Distribution] | None, progress: Callable[[str], None], cache: Cache
) -> bytes:
    """Everything that pip installs, as a ZIP file with a list of the distributions and the time."""
    with scratch_folder() as scratch:
        packages = scratch / "packages"
        found = _install(project, locked, packages, progress, cache)
        remove_metadata(packages)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            resolved = [f"{one.name}=={one.version}" for one in found]
            archive.writestr(_NOTE, json.dumps({"resolved": resolved, "time": time.time()}))
            for path in sorted(packages.rglob("*")):
                if path.is_file():
                    archive.writestr(path.relative_to(packages).as_posix(), path.read_bytes())
        return file.getvalue()


def _install(
    project: Project,
    locked: Sequence[Distribution] | None,
    packages: Path,
    progress: Callable[[str], None],
    cache: Cache,
) -> tuple[Distribution, ...]:
    """Fill the folder `packages`, and write the lock if that was asked for."""
    requirements, sdists = project.dependencies, project.sdist
    planned = plan(requirements, sdists) if locked is None else locked

    def older() -> tuple[Distribution, ...]:
        return older_plan(requirements, sdists) if locked is None else ()

    taken = install(planned, packages, requirements, cache, older, progress)
    found = installed(packages)
    if locked is not None and project.lock:
        check_lock(project.lock, requirements, found)
    elif project.lock and project.write_lock:
        write_lock(project.lock, taken)
    return found


def locked_hashes(project: Project) -> dict[str, str]:
    """The SHA-256 of the archive of each distribution, by `name==version`; empty without a lock."""
    if project.lock is None:
        return {}
    return {f"{one.name}=={one.version}": one.sha256 for one in read_lock(project.lock)}


def _open(packed: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(packed))


def _key(project: Project, locked: Sequence[Distribution] | None) -> str:
    """What the result depends on: the requirements, the lock, the package indexes and the version of pip."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    parts = [
        sorted(project.dependencies),
        sorted(project.sdist),
        None if locked is None else [[one.name, one.version, one.url, one.sha256] for one in locked],
        sorted(settings.items()),
        importlib.metadata.version("pip"),
        VERSION,
        FORMAT,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _fresh(cache: Cache, key: str, seconds: float | None) -> bytes | None:
    """The cached result, unless it is older than that."""
    packed = cache.read(_KIND, key)
    if packed is None or seconds is None:
        return packed
    with _open(packed) as archive:
        written: float = json.loads(archive.read(_NOTE))["time"]
    return packed if time.time() - written < seconds else None
