"""Whether a filter may need CPython's compiler at run time: found by reading its sources and its dependencies'.

Module-level code has run, with the compiler available, before the memory is frozen. What matters is inside functions:
`eval`, `exec` and `compile`, and standard library functions that call them on behalf of their caller. A use that this
misses ends in an exception that names the setting, not in a dead VM.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from ..cpython314 import COMPILES_TEXT, MODULES_THAT_COMPILE
from .sources import parse, walk

_BUILT_IN = frozenset({"compile", "eval", "exec"})
"""As a plain name; as an attribute (unlike `re.compile`) only of the module `builtins`."""
_MODULES = {"ast": frozenset({"parse"}), "builtins": _BUILT_IN}
_WORD = re.compile(rf"(?<!\bre\.)\b({'|'.join(sorted(_BUILT_IN | COMPILES_TEXT | MODULES_THAT_COMPILE))})\b")


def first_use_of_compiler(sources: Mapping[str, str]) -> str:
    """Return "path:line" of the first place in `sources` (path → text) that may compile text at run time, or ""."""
    for path, text in sources.items():
        tree = parse(text)
        for line in sorted(_places(tree) if tree is not None else _words(text)):
            return f"{path}:{line}"
    return ""


def _words(text: str) -> Iterator[int]:
    """Lines of a text that the host's Python cannot parse: it may be older than the guest's."""
    for number, line in enumerate(text.splitlines(), 1):
        if _WORD.search(line):
            yield number


def _places(tree: ast.Module) -> Iterator[int]:
    for node, nested in walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            if _imports_it(node, nested):
                yield node.lineno
        elif nested and isinstance(node, ast.expr) and _names_it(node):
            yield node.lineno


def _names_it(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id in _BUILT_IN or node.id in COMPILES_TEXT
    if isinstance(node, ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        return node.attr in COMPILES_TEXT or node.attr in _MODULES.get(owner, ())
    return False


def _imports_it(node: ast.Import | ast.ImportFrom, nested: bool) -> bool:
    """An import of a module that compiles, or of one of the names, renamed or inside a function."""
    if isinstance(node, ast.Import):
        return any(alias.name in MODULES_THAT_COMPILE for alias in node.names)
    if node.module in MODULES_THAT_COMPILE:
        return True
    wanted = _MODULES.get(node.module or "", frozenset()) | COMPILES_TEXT
    return any(alias.name in wanted and (nested or alias.asname is not None) for alias in node.names)
