"""The facts of a source, found by this Python: the walker runs in the guest, and knows no more than node types."""

from __future__ import annotations

import ast
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pwasm_compiler.guest
from pwasm_compiler.cpython314 import COMPILES_TEXT, MODULES_THAT_COMPILE
from pwasm_compiler.guest.facts import Facts, read_facts


def _walker() -> Any:
    tables: Any = types.ModuleType("pwasm_tables")
    tables.COMPILES_TEXT, tables.MODULES_THAT_COMPILE = COMPILES_TEXT, MODULES_THAT_COMPILE
    sys.modules["pwasm_tables"] = tables
    for name in ("pwasm_conditions", "pwasm_tree"):
        sys.modules[name] = _inside(name)
    return _inside("pwasm_facts")


def _inside(name: str) -> Any:
    """A module of those that run in the guest."""
    path = Path(str(pwasm_compiler.guest.__file__)).parent / "inside" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_FACTS = _walker().facts


def facts_of(text: str) -> Facts:
    """The facts of a source."""
    return read_facts(_FACTS(ast.parse(text)))
