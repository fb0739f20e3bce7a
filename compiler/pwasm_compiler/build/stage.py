"""Lay out a clean folder with exactly what goes into the module: the SDK, the filter, its dependencies.

The build's guest can read all of it, and the hash seed is a digest of it, so it must contain nothing else: no `.env`,
no `.git`, no tests.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

from ..cache import Cache
from ..errors import ProjectError
from ..files import check_readable, is_utf8, shown
from ..guest.staged import ABSENT_MODULE, APP_MODULE, GUEST_ROOT, DataFile, Staged
from ..project import Project, source_files
from . import dependencies
from .data_files import find_data_files, imported_by_resources, warnings_of
from .metadata import prepare_metadata
from .wanted_by_text import wanted_by_text

_NOT_IN_GUEST = {"testing", "pytest_plugin.py", "__main__.py", "_protocols.py"}

_APP = f"""\
from {ABSENT_MODULE} import absent
from pwasm._guest.freeze import begin

begin(
    {{entry!r}},
    root={GUEST_ROOT!r},
    sources={{sources!r}},
    data_files={{data_files!r}},
    include={{include!r}},
    absent=absent,
)
"""


def ignore(_message: str) -> None:
    """A progress callback that does nothing."""


def stage(project: Project, folder: Path, cache: Cache, progress: Callable[[str], None] = ignore) -> Staged:
    """Fill the empty `folder` for `project`; `progress` is called when pip has to install something.

    Raises:
        ProjectError: the filter's files or dependencies are unusable.
    """
    installed = dependencies.resolve(project, folder, progress, cache)
    _copy_sdk(folder / "pwasm")
    own = _copy_filter(project, folder)
    texts = _texts(folder)
    _refuse_null_bytes({name: texts[name] for name in own if name in texts})
    metadata = prepare_metadata(folder, texts)
    data_files = find_data_files(folder, frozenset(own), metadata.files)
    _write_app(project, folder, own, data_files)
    return Staged(
        folder,
        installed,
        (*own, f"{APP_MODULE}.py"),
        project.docstrings,
        # `files("tzdata.zoneinfo.Europe")` imports the package by name
        (*wanted_by_text(texts, own), *imported_by_resources(folder, data_files), *metadata.modules),
        tuple(warnings_of(folder, data_files)),
        data_files,
    )


def content_digest(folder: Path) -> bytes:
    """SHA-256 of the names and contents of all files in `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            contents = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()}\0{len(contents)}\0".encode())
            digest.update(contents)
    return digest.digest()


def sdk_folder() -> Path:
    """The SDK as files: it runs in the guest; the compiler never imports it."""
    spec = importlib.util.find_spec("pwasm")
    if spec is None or spec.origin is None:
        raise ProjectError("the SDK (package pwasm) is not installed", hint="pip install pwasm-sdk")
    return Path(spec.origin).parent


def sdk_files() -> dict[Path, Path]:
    """The part of the SDK that goes into every module: names relative to the package, and the files."""
    source = sdk_folder()
    missing = _NOT_IN_GUEST - {file.name for file in source.iterdir()}
    if missing:
        raise RuntimeError(f"cannot exclude from modules what the SDK does not contain: {', '.join(sorted(missing))}")
    names = (file.relative_to(source) for file in sorted(source.rglob("*.py")))
    return {name: source / name for name in names if name.parts[0] not in _NOT_IN_GUEST}


def _copy_sdk(target: Path) -> None:
    for name, file in sdk_files().items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(file.read_bytes())


def _copy_filter(project: Project, folder: Path) -> tuple[str, ...]:
    """Copy the filter's files; returns their names relative to `folder`."""
    names = []
    for source in source_files(project):
        check_readable(source)
        if not is_utf8(source.name):
            raise ProjectError(f"the file name {shown(source)} is not valid UTF-8", hint="rename it")
        name = source.relative_to(project.root)
        target = folder / name
        if target.exists():
            raise ProjectError(
                f"{name} conflicts with a file of the SDK or of a dependency", hint="rename it in your filter"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        names.append(name.as_posix())
    return tuple(names)


def _refuse_null_bytes(sources: dict[str, str]) -> None:
    """Python's own message does not include the file."""
    for name, text in sources.items():
        before, found, _ = text.partition("\0")
        if found:
            where = f"{name}, line {before.count(chr(10)) + 1}"
            raise ProjectError(f"{where}: source code cannot contain null bytes", hint="save it as UTF-8 text")


def _write_app(project: Project, folder: Path, own: tuple[str, ...], data_files: tuple[DataFile, ...]) -> None:
    text = _APP.format(
        entry=project.entry.stem,
        sources=[name for name in own if name.endswith(".py")],
        data_files=[file.name for file in data_files],
        include=list(project.include),
    )
    (folder / f"{APP_MODULE}.py").write_text(text, encoding="utf-8")


def _texts(folder: Path) -> dict[str, str]:
    """The sources of the filter and of its dependencies, by their name relative to `folder`."""
    texts = {}
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if not name.startswith("pwasm/"):
            texts[name] = path.read_text(encoding="utf-8", errors="replace")
    return texts
