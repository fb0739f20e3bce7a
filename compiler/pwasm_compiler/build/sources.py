"""The sources of a filter as syntax trees: which nodes run at build time, and which only at run time."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def parse(text: str) -> ast.Module | None:
    """The tree of `text`; None if this Python, which may be older than the guest's, cannot parse it."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def walk(tree: ast.Module) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, and whether it is inside a function: code that is not runs before the memory is frozen."""
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, nested = pending.pop()
        yield node, nested
        inside = nested or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        pending += ((child, inside) for child in ast.iter_child_nodes(node))
