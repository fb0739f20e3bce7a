"""Which files of the staged folder are kept in the module as they are, and what the author should know about them."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from pathlib import Path, PurePosixPath

from ..files import shown
from ..guest.staged import DataFile

MUCH = 1 << 20
"""Bytes above which a build warns: Envoy holds a module about five times over, and each VM has a copy."""
_FOR_TOOLS = (".pyi", "py.typed", ".pyx", ".pxd", ".c", ".h")
"""Ends of files that only type checkers and compilers read. In packages of dependencies they are no data: a stub would
have its package imported, and what that contains in every VM (phonenumbers: 60 MiB of places that nobody asked for)."""
_SHOWN = 5
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY(?: BLOCK)?-----")


def find_data_files(folder: Path, own: Set[str], metadata: Set[str] = frozenset()) -> tuple[DataFile, ...]:
    """The filter's `own` files that are not modules, and what is in the packages of dependencies.

    Not the loose files of dependencies, nor their metadata other than `metadata`.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        wanted = name in own or name in metadata or (_is_in_package(name) and not name.endswith(_FOR_TOOLS))
        if wanted and path.is_file() and path.suffix != ".py":
            found.append(DataFile(name, path.stat().st_size, name in own))
    return tuple(found)


def imported_by_resources(folder: Path, data_files: Sequence[DataFile]) -> list[str]:
    """What `importlib.resources.files` imports to find them: packages that contain data files directly.

    Of the filter also folders without `__init__.py`, as far as they can be imported.
    """
    found = []
    for inside, own in sorted({(PurePosixPath(file.name).parent, file.own) for file in data_files}):
        regular = (folder / inside / "__init__.py").is_file()
        if regular or (own and inside.parts and all(part.isidentifier() for part in inside.parts)):
            found += [".".join(inside.parts), *([] if regular else ["importlib.readers"])]
    return found


def warnings_of(folder: Path, data_files: Sequence[DataFile]) -> list[str]:
    """Private keys in the filter's own files, and much data."""
    found = [
        f"{shown(file.name)} contains a private key, which everyone who has the module can read"
        for file in data_files
        if file.own and _PRIVATE_KEY.search((folder / file.name).read_bytes())
    ]
    total = sum(file.size for file in data_files)
    if total > MUCH:
        largest = max(data_files, key=lambda file: file.size)
        found.append(
            f"the data files take {size_words(total)} of the module and of every VM's memory;"
            f" the largest is {shown(largest.name)} ({size_words(largest.size)})"
        )
    return found


def note_of(data_files: Sequence[DataFile]) -> str:
    """What is said about the filter's own data files, or "" if it has none."""
    own = [file for file in data_files if file.own]
    if not own:
        return ""
    names = ", ".join(shown(file.name) for file in own[:_SHOWN]) + (", …" if len(own) > _SHOWN else "")
    count = f"{len(own)} data file{'s' * (len(own) != 1)}"
    return f"{count} of the filter in the module ({size_words(sum(file.size for file in own))}): {names}"


def size_words(size: int) -> str:
    """A size for people."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def _is_in_package(name: str) -> bool:
    top, below, _ = name.partition("/")
    return bool(below) and not (top.endswith((".dist-info", ".data")) or top in ("pwasm", "bin", "__pycache__"))
