"""Whether this Python has a module, without importing it or its package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder

_DONE_WITHOUT = frozenset({"ast"})
"""What CPython imports for the carets below lines of tracebacks, and does without."""


def is_missed(name: str) -> bool:
    """Whether `import name` would find the module here, and a built module does something else without it."""
    return name not in _DONE_WITHOUT and is_there(name)


def is_there(name: str) -> bool:
    """Whether `import name` would find the module in the folders of `sys.path`."""
    places: Sequence[str] | None = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        spec = _find(".".join(parts[:end]), places)
        if spec is None:
            return False
        places = spec.submodule_search_locations
        if places is None:
            return end == len(parts) or name in sys.modules  # `os.path` is a module, although `os` is no package
    return True


def _find(name: str, places: Sequence[str] | None) -> ModuleSpec | None:
    if places is None:
        built_in = BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name)
        if built_in is not None:
            return built_in
    return PathFinder.find_spec(name, places)
