"""Compile `/0/source`, whose options and name are in `/0/name`, to a file with the code (PEP 552, unchecked).

In front of it are its facts (see `pwasm_facts`), and their size in 4 bytes.

Options: `d` removes docstrings, `a` what only type checkers read: annotations and overloads of functions, and the
bodies of protocols.
`assert` stays, so this is not what `-OO` does. Node types are compared by name, so the module `ast` is not needed.
"""

from __future__ import annotations

import _frozen_importlib_external
import marshal

import _pwasm_shim  # type: ignore[import-not-found]
from pwasm_facts import facts  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ONLY_AST = 0x400
_WITH_DOCSTRING = ("Module", "ClassDef", "FunctionDef", "AsyncFunctionDef")
_FUNCTIONS = ("FunctionDef", "AsyncFunctionDef")


def without(tree: Any, docstrings: bool, annotations: bool) -> Any:
    """`tree`, changed in place."""
    pending = [tree]
    while pending:
        node = pending.pop()
        kind = type(node).__name__
        if docstrings and kind in _WITH_DOCSTRING:
            _drop_docstring(node)
        if annotations:
            if kind in _FUNCTIONS:
                node.returns = None
            elif kind == "arg":
                node.annotation = None
            if kind in ("Module", "ClassDef"):
                _drop_overloads(node)
            if kind == "ClassDef" and any(_is_protocol(base) for base in node.bases):
                node.body[:] = [_pass_at(node)]
        for name in node._fields:
            value = getattr(node, name, None)
            for child in value if type(value) is list else (value,):
                if hasattr(child, "_fields"):
                    pending.append(child)
    return tree


def _drop_docstring(node: Any) -> None:
    while node.body and type(node.body[0]).__name__ == "Expr" and type(getattr(node.body[0].value, "value", 0)) is str:
        first = node.body.pop(0)
    if not node.body and type(node).__name__ != "Module":
        node.body.append(_pass_at(first))


def _drop_overloads(node: Any) -> None:
    """Whether it is an overload: the last definition is the one that runs, and it has no such decorator."""
    node.body[:] = [
        item
        for item in node.body
        if not any(getattr(found, "id", "") == "overload" for found in getattr(item, "decorator_list", ()))
    ]


def _is_protocol(base: Any) -> bool:
    return getattr(getattr(base, "value", base), "id", "") == "Protocol"


def _pass_at(node: Any) -> Any:
    (statement,) = compile("pass", "", "exec", _ONLY_AST).body
    for name in ("lineno", "col_offset", "end_lineno", "end_col_offset"):
        setattr(statement, name, getattr(node, name))
    return statement


with open("/0/name", "rb") as file:  # noqa: PTH123
    options, _, name = file.read().decode().partition(" ")
with open("/0/source", "rb") as file:  # noqa: PTH123
    source = file.read()
result = b""  # importing it will report the error
try:
    tree = compile(source, name, "exec", _ONLY_AST, dont_inherit=True)
except Exception:
    tree = None
if tree is not None:
    found = facts(tree).encode("utf-8", "backslashreplace")
    without(tree, "d" in options, "a" in options)
    try:
        code = compile(tree, name, "exec", dont_inherit=True)
    except Exception:
        found = b""
    else:
        result = len(found).to_bytes(4, "little") + found
        result += _frozen_importlib_external.MAGIC_NUMBER + bytes((1, 0, 0, 0)) + bytes(8) + marshal.dumps(code)
_pwasm_shim.set_build_record(result)
