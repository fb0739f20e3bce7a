"""Which files of a filter's folder belong to the filter: the one place that decides it.

Of a folder with `filter.py`: the modules beside it, the packages with all that is in them, the sources in folders
without `__init__.py` that the code imports from, and of the other files and folders beside it those that the filter's
code names in a string ("countries.csv", "data/…", "*.json", ".json") or that `data` in `[tool.pwasm]` names. What
nobody names stays out: such folders also hold deployments, notes and keys.
Nothing hidden, no tests, caches, environments or build output is ever part of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pwasm_compiler.errors import ProjectError
from pwasm_compiler.files import is_utf8
from pwasm_compiler.links import refuse_link_out
from pwasm_compiler.pyproject import CONFIGURATION

_NEVER = {"__pycache__", "node_modules"}
_NEVER_AT_THE_TOP = {"venv", "build", "dist", "test", CONFIGURATION}
_BUILT = re.compile(r"\.wasm(\.names)?$")
_COMPILED = {".pyc", ".pyo"}


def is_test(name: str) -> bool:
    """Whether a file or folder with this name belongs to the tests rather than the filter."""
    return name in {"conftest.py", "tests"} or name.startswith("test_") or name.endswith("_test.py")


def module_name(path: Path) -> str:
    """The name under which a file or folder would be imported."""
    return path.stem if path.suffix == ".py" else path.name


def files_of_go(root: Path) -> tuple[Path, ...]:
    """Every file that is not hidden, because any may be embedded; the go command decides about links."""
    return tuple(sorted(file for file in _below(root, (), _hidden, lambda _path: None) if not _BUILT.search(file.name)))


def files_of_python(root: Path, data: Sequence[str], check: Callable[[Path], None]) -> tuple[Path, ...]:
    """The files of a folder with `filter.py`; `check` is called with each module and package beside it.

    Raises:
        ProjectError: a link leads out of the folder, or `data` names what is not there.
    """

    def follow(path: Path) -> None:
        refuse_link_out(root, path)

    code: list[Path] = []
    others: list[Path] = []
    for path in sorted(root.iterdir()):
        if _skipped(path.name) or path.name in _NEVER_AT_THE_TOP or _BUILT.search(path.name):
            continue
        if path.suffix == ".py" and not path.is_dir():
            if path.stem.isidentifier() and (path.is_symlink() or path.is_file()):
                follow(path)
                check(path)
                code.append(path)
        elif path.name.isidentifier() and (path / "__init__.py").is_file():
            follow(path)
            check(path)
            code += sorted(_below(path, (), _skipped, follow))
        elif path.suffix not in _COMPILED:
            others.append(path)
    for folder, sources in _namespaces(others, code, follow):
        check(folder)
        code += sources
    return tuple(sorted({*code, *_data_files(others, code, data, follow)}))


def _namespaces(
    others: list[Path], code: list[Path], follow: Callable[[Path], None]
) -> Iterator[tuple[Path, list[Path]]]:
    """The folders without `__init__.py` that are imported (PEP 420), with their sources; `code` grows meanwhile."""
    folders = [path for path in others if path.name.isidentifier() and path.is_dir()]
    found = True
    while found:
        found = False
        text = "\n".join(file.read_text("utf-8", "replace") for file in code if file.suffix == ".py")
        for folder in [one for one in folders if _is_imported(one.name, text)]:
            folders.remove(folder)
            follow(folder)
            sources = [file for file in _below(folder, (), _skipped, follow) if file.suffix == ".py"]
            if sources:
                found = True
                yield folder, sorted(sources)


def _is_imported(name: str, text: str) -> bool:
    """Whether the source `text` may import a folder by this name: in a statement, or by a string, "name.module"."""
    return bool(re.search(rf"(?m)(?:^|[:;])\s*(?:from|import)\s[^#\n]*\b{name}\b|[\"']{name}[.:][\w{{%\"']", text))


def _data_files(
    others: list[Path], code: list[Path], data: Sequence[str], follow: Callable[[Path], None]
) -> Iterator[Path]:
    wanted = _in_setting(others, data)
    rest = [path for path in others if path not in wanted and is_utf8(path.name)]
    if rest:
        text = "\n".join(file.read_text("utf-8", "replace") for file in code if file.suffix == ".py")
        wanted |= {path for path in rest if is_named(path.name, text)}
    for path in sorted(wanted):
        follow(path)
        if path.is_dir():
            yield from _below(path, (), _skipped, follow)
        elif path.is_file():
            yield path


def _in_setting(others: list[Path], data: Sequence[str]) -> set[Path]:
    wanted: set[Path] = set()
    for pattern in data:
        found = [path for path in others if fnmatchcase(path.name, pattern.rstrip("/"))]
        if not found:
            raise ProjectError(
                f"nothing beside filter.py matches '{pattern}' of 'data' in [tool.pwasm]",
                why="It takes names and patterns of files and folders directly beside filter.py. Modules and packages"
                " are in anyway; what is hidden, tests, build output and pyproject.toml never are.",
            )
        wanted.update(found)
    return wanted


def is_named(name: str, text: str) -> bool:
    """Whether a string in the source `text` contains the name of a file or folder, or its ending.

    Searched in the text as it is, because sources may be newer than the Python that runs the build.
    """
    if re.search(rf"[\"'/]{re.escape(name)}[\"'/]", text):
        return True
    ending = Path(name).suffix
    return bool(ending) and bool(re.search(rf"(?:[\"'*}}]|%s){re.escape(ending)}[\"']", text))


def _below(
    folder: Path,
    above: tuple[tuple[int, int], ...],
    skipped: Callable[[str], bool],
    follow: Callable[[Path], None],
) -> Iterator[Path]:
    """Every file below `folder`; links back to one of the folders `above` are not followed."""
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        children = [folder / entry.name for entry in entries if not skipped(entry.name)]
    for child in children:
        follow(child)
        if child.is_dir():
            yield from _below(child, (*above, identity), skipped, follow)
        elif child.is_file() and child.suffix not in _COMPILED:
            yield child


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _NEVER


def _skipped(name: str) -> bool:
    return _hidden(name) or is_test(name)
