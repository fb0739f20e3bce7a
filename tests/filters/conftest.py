"""Helpers beside the tests (test modules are not a package), and the filters' modules, built at most once."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _module(name: str) -> ModuleType:
    full_name = f"pwasm_test_filters_{name}"
    if full_name in sys.modules:
        return sys.modules[full_name]
    spec = importlib.util.spec_from_file_location(full_name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[full_name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def readme() -> ModuleType:
    """The module readme.py beside this file."""
    return _module("readme")


@pytest.fixture(scope="session")
def serve() -> ModuleType:
    """The module serve.py beside this file."""
    return _module("serve")
