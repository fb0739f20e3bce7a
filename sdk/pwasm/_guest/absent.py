"""Decides who may import modules that Python does not have here; see `pwasm_compiler.guest.absent`, which explains it.

Used while the snapshot is taken, and gone afterwards: a VM only imports what is there already.
"""

from __future__ import annotations

import sys
from importlib.machinery import FileFinder, ModuleSpec, PathFinder, SourceFileLoader

from .._typing import Any

_STAND_INS = "pwasm_absent"


class Finder:
    """Asked before all others."""

    def __init__(self, root: str, sources: frozenset[str], absent: dict[str, Any]) -> None:
        self._root, self._sources = root.rstrip("/"), sources
        self._modules: dict[str, str] = absent["modules"]
        self._handled = frozenset(absent["handled"])
        self._wanted, self._late = frozenset(absent["wanted"]), frozenset(absent["late"])
        self._folder: str = absent["folder"]
        self._missing = frozenset(filter(None, self._modules.values()))
        self._files = FileFinder(self._folder, (SourceFileLoader, [".py"]))

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """The stand-in for a module in C; None for what the other finders know.

        Raises:
            ModuleNotFoundError: whoever imports it shall do without.
        """
        if name == _STAND_INS:
            return FileFinder(self._folder.rpartition("/")[0], (SourceFileLoader, [".py"])).find_spec(name)
        if path is not None or not (name in self._missing or name in self._modules):
            return None
        if self._modules.get(name) == "":
            return PathFinder.find_spec(name, [self._root])
        file, line = _importer()
        if not self._is_allowed(name, file, line):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return self._files.find_spec(name) if name in self._missing else None

    def _is_allowed(self, name: str, file: str, line: int) -> bool:
        if file.startswith(f"{self._root}/pwasm/"):
            return name in self._late
        if file.startswith(("/", "<")):  # Python's own: `ssl` imports `_ssl`, and others do without
            if name in self._wanted:
                return True
            module = file.rpartition("/")[2].removesuffix(".py")
            return name in (self._modules.get(module), self._modules.get(file.split("/")[-2] if "/" in file else ""))
        return file not in self._sources and f"{file}:{line}" not in self._handled


def install(root: str, sources: frozenset[str], absent: dict[str, Any]) -> None:
    """Ask a `Finder` first, until `remove` is called."""
    sys.meta_path.insert(0, Finder(root, sources, absent))


def remove() -> None:
    """Forget the finder and this module."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    package, _, name = __name__.rpartition(".")
    delattr(sys.modules[package], name)
    del sys.modules[__name__]


def _importer() -> tuple[str, int]:
    """File and line of the import statement, or of the call of `importlib.import_module`."""
    frame = sys._getframe(2)
    while frame.f_back is not None and _is_of_the_import_system(frame.f_code.co_filename):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno or 0


def _is_of_the_import_system(file: str) -> bool:
    return file.startswith("<frozen importlib") or file.endswith("/importlib/__init__.py")
