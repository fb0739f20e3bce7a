"""What `[tool.pwasm] keep` may name: what trimming would otherwise remove (`link.passes.trim`)."""

from __future__ import annotations

from .cpython314 import BUILT_IN

COMPILER = "eval"
"""CPython's compiler: `eval`, `exec` and `compile` of text, and what depends on it, such as `namedtuple`."""


def kept_name(name: str) -> str | None:
    """`COMPILER` or the built-in module that `name` refers to, with or without its underscore; None if unknown."""
    if name in (COMPILER, *BUILT_IN):
        return name
    return f"_{name}" if f"_{name}" in BUILT_IN else None
