"""Envoys by version, and an upstream that answers with trailers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def envoy_of() -> Callable[[str], Path | None]:
    """`envoy_of("newest")` is None, the driver's own choice; `envoy_of("oldest")` a binary installed on first use."""
    versions = _module("versions")

    def get(which: str) -> Path | None:
        return None if which == "newest" else versions.binary_of(versions.OLDEST)

    return get


@pytest.fixture(scope="session")
def wire() -> ModuleType:
    """The module wire.py beside this file."""
    return _module("wire")


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"pwasm_test_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
