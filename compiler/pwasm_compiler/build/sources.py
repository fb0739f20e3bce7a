"""The sources of a filter as trees: which nodes run at build, and which only when the filter runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def parse(text: str) -> ast.Module | None:
    """The tree of `text`; None where this Python, which may be older than the guest's, cannot read it."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def walk(tree: ast.Module) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, and whether it is inside a function: what is not has run when the memory is frozen."""
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, nested = pending.pop()
        yield node, nested
        inside = nested or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        pending += ((child, inside) for child in ast.iter_child_nodes(node))
