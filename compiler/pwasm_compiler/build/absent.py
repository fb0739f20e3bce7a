"""Who imports modules that this Python does not have: `ssl`, `mmap`, `ctypes` …

A library that handles the ImportError itself gets one, because it knows what to do without the module. One that does
not gets a stand-in, which can be imported and not used (guest/inside/absent): mostly it is another half of the library
that has a use for it. The filter's own code gets the error, because nothing that it does with the module can work.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ..cpython314 import ABSENT
from ..guest.staged import ABSENT_FOLDER
from .sources import parse

_NAMES = frozenset({*ABSENT, *(missing for missing, _ in ABSENT.values())})
_MENTIONED = re.compile(rf"\b(?:import|from)\s[^\n]*\b(?:{'|'.join(sorted(_NAMES))})\b")
_CATCHES = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


@dataclass(frozen=True, slots=True)
class AbsentImports:
    """What the guest needs to know (see `pwasm._guest.absent`)."""

    modules: Mapping[str, str]
    """Absent module → the module in C that it needs; "" if the filter has a module of that name."""
    handled: Collection[str]
    """"file:line" of the imports whose ImportError is handled."""
    wanted: Collection[str]
    """What a library imports without handling the error: Python's own library gets it, too, because such a library
    goes on to import `HTTPSHandler` of `urllib.request`."""
    late: Collection[str]
    """The same in functions of libraries."""
    folder: str = ABSENT_FOLDER


def find_absent_imports(texts: Mapping[str, str], own: Collection[str]) -> AbsentImports | None:
    """Scan the sources `texts` (path → text); None if none of them mentions such a module."""
    handled: set[str] = set()
    wanted: set[str] = set()
    late: set[str] = set()
    mentioned = False
    for path, text in texts.items():
        if not _MENTIONED.search(text):
            continue
        mentioned = True
        tree = None if path in own else parse(text)
        for name, line, is_handled, nested in _imports(tree) if tree is not None else ():
            if is_handled:
                handled.add(f"{path}:{line}")
            else:
                (late if nested else wanted).add(name)
    shadowed = {name for name in ABSENT if f"{name}.py" in own or f"{name}/__init__.py" in own}
    if not mentioned:
        return None
    modules = {name: missing for name, (missing, _) in ABSENT.items()} | dict.fromkeys(shadowed, "")
    return AbsentImports(modules, sorted(handled), sorted(wanted), sorted(late))


def _imports(tree: ast.AST) -> Iterator[tuple[str, int, bool, bool]]:
    """(module, line, whether its ImportError is handled, whether it is in a function) of every import of `ABSENT`."""
    pending: list[tuple[ast.AST, bool, bool]] = [(tree, False, False)]
    while pending:
        node, handled, nested = pending.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((name, node.lineno, handled, nested) for name in _names(node) if name in _NAMES)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending += ((child, False, True) for child in ast.iter_child_nodes(node))
        else:
            pending += ((child, handled or tried, nested) for child, tried in _children(node))


def _children(node: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """What runs below `node`, and whether `node` handles an ImportError of it."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        yield from ((child, False) for child in node.orelse)
    elif isinstance(node, ast.Try | ast.TryStar):
        caught = any(_catches(handler) for handler in node.handlers)
        yield from ((child, caught) for child in node.body)
        yield from ((child, False) for child in (*node.handlers, *node.orelse, *node.finalbody))
    else:
        suppresses = isinstance(node, ast.With) and any("suppress" in ast.dump(item) for item in node.items)
        yield from ((child, suppresses) for child in ast.iter_child_nodes(node))


def _names(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name.partition(".")[0]
    elif node.level == 0 and node.module:
        yield node.module.partition(".")[0]


def _catches(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or getattr(kind, "id", getattr(kind, "attr", "")) in _CATCHES for kind in kinds)
