"""Lets tests of several filters run in one pytest process: each of them imports the filter next to it.

Every filter is called `filter.py`, and its tests are often called `test_filter.py`, but Python has only one module of a
given name. So while a filter's tests are collected or run, its folder is first on the path, and modules and
registration are its own. Those of other filters are set aside, and restored for their tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from pwasm._stream.current import current
from pwasm._stream.registration import Registration

_here: Path | None = None
"""The folder whose tests are being collected or run; None for tests that are not next to a filter."""
_aside: dict[Path | None, tuple[dict[str, ModuleType], Registration]] = {}
_added = ""
"""The first entry of the path, if we added it."""


def enter(folder: Path | None) -> None:
    """Switch to the tests in this filter's folder.

    At the first time some of its modules may already be imported: pytest imports a conftest.py before its hook runs.
    """
    global _here
    if folder == _here:
        return
    registered, current.registration = current.registration, Registration()
    if folder not in _aside and any(_is_of(module, folder) for module in list(sys.modules.values())):
        registered, current.registration = current.registration, registered
    _aside[_here] = dict(_taken_out(_here, folder)), registered
    if folder in _aside:
        modules, current.registration = _aside.pop(folder)
        sys.modules.update(modules)
    _here = folder
    _put_first("" if folder is None else str(folder))


def visit(folder: Path) -> None:
    """Assign the modules that the folder has just imported to it, and stay in the current folder."""
    before = _here
    enter(folder)
    enter(before)


def _put_first(folder: str) -> None:
    global _added
    if _added in sys.path:
        sys.path.remove(_added)
    if folder not in sys.path[:1]:
        _added = folder
        sys.path[:0] = [folder] if folder else []


def _taken_out(old: Path | None, new: Path | None) -> Iterator[tuple[str, ModuleType]]:
    """Remove the modules of the old folder, and all other modules with a name that the new folder defines."""
    names = set() if new is None else _names_in(new)
    leaving = [
        name
        for name, module in list(sys.modules.items())
        if (old is not None and _is_of(module, old)) or (name.partition(".")[0] in names and not _is_of(module, new))
    ]
    for name in leaving:  # listed before the first is removed: namespace packages look up their parent
        yield name, sys.modules.pop(name)


def _names_in(folder: Path) -> set[str]:
    """The modules and packages there, except names of the standard library, and conftest.py, which pytest handles."""
    found = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    return found - sys.stdlib_module_names - {"conftest"}


def _is_of(module: ModuleType, folder: Path | None) -> bool:
    """Whether a module is the filter's own, rather than installed below its folder."""
    places = [getattr(module, "__file__", None), *folders_of(module)]
    place = next((place for place in places if isinstance(place, str)), "")
    if folder is None or not place.startswith(str(folder)) or not Path(place).is_relative_to(folder):
        return False
    return "site-packages" not in Path(place).parts and Path(place).stem != "conftest"


def folders_of(module: ModuleType) -> list[object]:
    """The folders of a package; none for a namespace package whose parent is no longer in `sys.modules`."""
    try:
        return list(getattr(module, "__path__", ()))
    except KeyError:
        return []
