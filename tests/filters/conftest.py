"""Helpers beside the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def readme(module_of: Callable[[Path], ModuleType]) -> ModuleType:
    """The module readme.py beside this file."""
    return module_of(Path(__file__).with_name("readme.py"))


@pytest.fixture(scope="session")
def serve(module_of: Callable[[Path], ModuleType]) -> ModuleType:
    """The module serve.py beside this file."""
    return module_of(Path(__file__).with_name("serve.py"))
