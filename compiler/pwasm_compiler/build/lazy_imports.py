"""Imports that a filter may only execute at run time, found by reading its sources: a VM has no files to import from.

Four kinds: imports inside functions, standard library modules that others import lazily, codecs named in the source,
and imports that CPython performs for certain words in the source. A module missing from the snapshot would raise
ModuleNotFoundError in production.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..cpython314 import ALWAYS_WANTED, LAZY, WANTED_BY_TEXT
from .sources import parse, walk

_CODEC_CALLS = {"encode": 0, "decode": 0, "bytes": 1, "str": 1, "bytearray": 1, "lookup": 0, "TextIOWrapper": 1}


@dataclass(frozen=True, slots=True)
class LazyImports:
    """Module or codec → "file:line" where it is named; "" if only the standard library imports it."""

    modules: dict[str, str] = field(default_factory=dict)
    encodings: dict[str, str] = field(default_factory=dict)


def find_lazy_imports(sources: Mapping[str, str], own: frozenset[str]) -> LazyImports:
    """Scan `sources` (path → text).

    Locations are recorded only for the filter's `own` files: a dependency that falls back when an optional import fails
    is not the author's concern.
    """
    found = LazyImports(modules=dict.fromkeys(ALWAYS_WANTED, ""))
    imported: set[str] = set()
    for path, text in sources.items():
        for name in _wanted_by_text(text, path in own):
            found.modules.setdefault(name, "")
        tree = parse(text)
        if tree is None:
            continue  # the import in the guest reports it, in the guest's words
        for name, line, nested in _imports(tree):
            imported.add(name)
            if nested:
                found.modules.setdefault(name, f"{path}:{line}" if path in own else "")
        if path in own:
            for name, line in _encodings(tree):
                found.encodings.setdefault(name, f"{path}:{line}")
    for name in sorted(imported):
        for lazy in LAZY.get(name, ()):
            found.modules.setdefault(lazy, "")
    return found


def _wanted_by_text(text: str, own: bool) -> Iterator[str]:
    for pattern, modules in WANTED_BY_TEXT:
        if re.search(pattern, text):
            yield from modules
    if own and not text.isascii():
        yield "unicodedata"  # `traceback` measures lines that are not in ASCII


def _imports(tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    """(module, line, inside a function) of every absolute import."""
    for node, nested in walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, nested
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, node.lineno, nested


def _encodings(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(codec, line) of every string used as a codec: `.encode("…")`, `str(b, "…")`, `encoding="…"`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        position = _CODEC_CALLS.get(called)
        candidates = [keyword.value for keyword in node.keywords if keyword.arg == "encoding"]
        if position is not None and len(node.args) > position:
            candidates.append(node.args[position])
        for value in candidates:
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                yield value.value, value.lineno
