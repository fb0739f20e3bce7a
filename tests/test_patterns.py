"""No regular expression uses features that early patch releases of CPython got wrong.

Possessive quantifiers and atomic groups came with 3.11, and match wrongly before 3.11.5 (gh-106052, gh-100061,
gh-101955).
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pwasm
import pwasm_compiler
import pwasm_shim
from tests.support.paths import ROOT

FORBIDDEN = {"POSSESSIVE_REPEAT", "ATOMIC_GROUP"}
parser: Any = importlib.import_module("re._parser")


def uses(pattern: str | bytes, flags: int = 0) -> set[str]:
    """Which of the forbidden a pattern has, however it was put together."""
    found: set[str] = set()
    pending: list[Any] = [parser.parse(pattern, flags)]
    while pending:
        item = pending.pop()
        if isinstance(item, parser.SubPattern):
            pending += item.data
        elif isinstance(item, (list, tuple)):
            pending += item
        else:
            found |= {str(item)} & FORBIDDEN
    return found


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"a*+", {"POSSESSIVE_REPEAT"}),
        (r"x(?:[^\"]|\\.)*+y", {"POSSESSIVE_REPEAT"}),
        (rb"[\x80-\xff]{0,9}+[\x00-\x7f]", {"POSSESSIVE_REPEAT"}),
        (r"(?>a|b)c", {"ATOMIC_GROUP"}),
        (r"[+*]+\++", set()),
    ],
)
def test_the_look_is_not_blind(pattern: str | bytes, found: set[str]) -> None:
    assert uses(pattern) == found


def _modules() -> Iterator[ModuleType]:
    for package in (pwasm, pwasm_compiler, pwasm_shim):
        for item in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            try:
                yield importlib.import_module(item.name)
            except ModuleNotFoundError as error:
                assert error.name in ("_pwasm_shim", "pwasm_absent"), f"{item.name} runs in the guest only"  # noqa: PT017


def test_no_pattern_of_a_module() -> None:
    """Patterns that are put together when a module is imported."""
    patterns = {
        f"{module.__name__}.{name}": value
        for module in _modules()
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern)
    }
    assert "pwasm_compiler.wasm.instructions._RUN_THEN_CONSTANT" in patterns
    assert {name: found for name, value in patterns.items() if (found := uses(value.pattern, value.flags))} == {}


def _literals(file: Path) -> Iterator[tuple[int, str | bytes]]:
    """The patterns that are written where `re` is called."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            where, first = node.func.value, node.args[0]
            if isinstance(where, ast.Name) and where.id == "re" and isinstance(first, ast.Constant):
                assert isinstance(first.value, (str, bytes))
                yield node.lineno, first.value


def test_no_pattern_in_a_call() -> None:
    wrong, seen = [], 0
    for folder in ("sdk", "compiler", "runtime-shim", "filters"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for line, pattern in _literals(file):
                seen += 1
                wrong += [f"{file.relative_to(ROOT)}:{line}"] if uses(pattern) else []
    assert (wrong, seen > 30) == ([], True)
