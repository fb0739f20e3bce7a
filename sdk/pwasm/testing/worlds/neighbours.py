"""Tests of several filters in one run of pytest: each finds the filter beside it.

Every filter is called `filter.py`, and its tests perhaps `test_filter.py`; Python has one module of a name. So while a
filter's tests are collected or run, its folder comes first on the path, and the modules and the registration are its
own. Those of the others are put aside, and come back with their tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from pwasm._stream.current import current
from pwasm._stream.registration import Registration

_here: Path | None = None
"""The folder whose tests are collected or run; None for tests that are beside no filter."""
_aside: dict[Path | None, tuple[dict[str, ModuleType], Registration]] = {}
_added = ""
"""What is first on the path because of us."""


def enter(folder: Path | None) -> None:
    """What follows is about the tests in this filter's folder.

    What is there at the first time is its own already: pytest imports a conftest.py before it says so.
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
    """Let the folder have what it has imported, and stay where we are."""
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
    """Remove the modules of the old folder, and whatever else has the name of one that the new folder has."""
    names = set() if new is None else _names_in(new)
    leaving = [
        name
        for name, module in list(sys.modules.items())
        if (old is not None and _is_of(module, old)) or (name.partition(".")[0] in names and not _is_of(module, new))
    ]
    for name in leaving:  # all are known before the first goes: where a namespace package is, its parent says
        yield name, sys.modules.pop(name)


def _names_in(folder: Path) -> set[str]:
    """Modules and packages there; the standard library's names are its own, and pytest looks after conftest.py."""
    found = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    return found - sys.stdlib_module_names - {"conftest"}


def _is_of(module: ModuleType, folder: Path | None) -> bool:
    """Whether it is the filter's own, and not installed below the folder."""
    places = [getattr(module, "__file__", None), *_folders_of(module)]
    place = next((place for place in places if isinstance(place, str)), "")
    if folder is None or not place.startswith(str(folder)) or not Path(place).is_relative_to(folder):
        return False
    return "site-packages" not in Path(place).parts and Path(place).stem != "conftest"


def _folders_of(module: ModuleType) -> list[object]:
    """Of a package; none of a namespace package whose parent somebody has taken out of `sys.modules`."""
    try:
        return list(getattr(module, "__path__", ()))
    except KeyError:
        return []
