"""An index of one's own for pip: a folder with wheels (the fixture `make_wheel`) and sdists (`write_sdist`)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

BACKEND = """\
import os, shutil, subprocess, sys, zipfile
NAME, VERSION, REQUIRES = {name!r}, {version!r}, {requires!r}

def build_wheel(folder, config_settings=None, metadata_directory=None):
    tag = "cp311-cp311-linux_x86_64"  # as bdist_wheel does where an extension is declared, compiled or not
    files = {{NAME + ".py": "sdist = True\\n"}}
{code}
    info = NAME + "-" + VERSION + ".dist-info/"
    requires = "".join("Requires-Dist: " + text + "\\n" for text in REQUIRES)
    files[info + "METADATA"] = "Metadata-Version: 2.1\\nName: " + NAME + "\\nVersion: " + VERSION + "\\n" + requires
    files[info + "WHEEL"] = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: false\\nTag: " + tag + "\\n"
    files[info + "RECORD"] = "".join(name + ",,\\n" for name in [*files, info + "RECORD"])
    wheel = NAME + "-" + VERSION + "-" + tag + ".whl"
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel
"""
PYPROJECT = """\
[build-system]
requires = {build_requires}
build-backend = "backend"
backend-path = ["."]
"""
NATIVE = "cp314-cp314-manylinux_2_17_x86_64"


class Result(NamedTuple):
    resolved: tuple[str, ...]
    into: Path
    said: list[str]


Run = Callable[..., Result]
MakeWheel = Callable[..., Path]
MakeSdist = Callable[..., Path]


def write_sdist(
    folder: Path,
    name: str,
    *,
    version: str = "1.0",
    code: str = "",
    requires: Sequence[str] = (),
    build_requires: Sequence[str] = (),
) -> Path:
    """An sdist with a build backend of its own, which runs `code` with `files`, those of the wheel."""
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    members = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "pyproject.toml": PYPROJECT.format(build_requires=list(build_requires)),
        "backend.py": BACKEND.format(name=name, version=version, requires=list(requires), code=indented),
    }
    sdist = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        for member, text in members.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{member}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return sdist
