"""Modules and data files of a filter, kept in memory, since a VM has no files.

While the snapshot is taken, the staged folder is importable through `BundleLoader`. It compiles every module under its
name relative to the folder (tracebacks show `filter.py`, not a path of the build), keeps the lines of the filter's own
sources for tracebacks, and keeps data files so that `importlib.resources`, `pkgutil.get_data` and what opens them by
path (`bundle_files`) find them at run time.
"""

from __future__ import annotations

import _imp
import linecache
import sys
from collections.abc import Callable
from importlib.machinery import FileFinder, SourceFileLoader
from types import CodeType

from .._typing import Any

files: dict[str, bytes] = {}
"""Data files by absolute path in the staged folder."""

_root = ""
_sources: frozenset[str] = frozenset()
watch: Callable[[CodeType], None] | None = None
"""Called with the code of each of the filter's own modules before it runs."""


def install(root: str, sources: frozenset[str]) -> None:
    """Import from `root` through this file; `sources` are the filter's own files, relative to `root`."""
    global _root, _sources
    _root, _sources = root.rstrip("/") + "/", sources
    sys.path_hooks.insert(0, FileFinder.path_hook((BundleLoader, [".py"])))
    sys.path_importer_cache.clear()


def is_own(file: str) -> bool:
    """Whether `file`, as code objects have it, is one of the filter's own."""
    return file in _sources


def keep_data_files(paths: list[str]) -> None:
    """Read `paths`, relative to the staged folder, into memory."""
    if paths:  # the modules that `importlib.resources.files` imports when it is called
        __import__("importlib.resources._adapters")
        __import__("importlib.resources.abc")
    for path in paths:
        with open(_root + path, "rb") as file:  # noqa: PTH123  pathlib would have to be frozen too
            files[_root + path] = file.read()
    if paths:
        from . import bundle_files

        bundle_files.install(_root.rstrip("/"), files)


class BundleLoader(SourceFileLoader):
    """Loads modules from the staged folder at build time, and data from memory at run time."""

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        name = path.removeprefix(_root)
        if name in _sources:
            text = self.get_data(path).decode("utf-8", "replace")
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        code: CodeType | None = super().get_code(fullname)
        if code is not None:  # loading compiled code has set its file name to the absolute path
            _imp._fix_co_filename(code, name)  # type: ignore[attr-defined]
            if watch is not None and name in _sources:
                watch(code)
        return code

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        """Called only for a source that cannot be compiled: the build has compiled all others."""
        code: CodeType = compile(data, str(path).removeprefix(_root), "exec", dont_inherit=True, optimize=_optimize)
        return code

    def get_data(self, path: str) -> bytes:
        found = files.get(path)
        return super().get_data(path) if found is None else found

    def get_resource_reader(self, name: str | None = None) -> Any:
        from importlib.resources.abc import TraversableResources
        from pathlib import Path

        folder = Path(self.get_filename(name)).parent

        class Reader(TraversableResources):
            def files(self) -> Any:
                return folder

        return Reader()
