"""Fixtures for resolving dependencies: from a folder that the tests fill, in a cache of their own."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.build.dependencies import resolve
from pwasm_compiler.cache import Cache
from pwasm_compiler.project import Project
from tests.support.local_index import MakeSdist, MakeWheel, Result, Run, write_sdist


@pytest.fixture(autouse=True)
def _own_cache(empty_cache: Path) -> None:
    """No test sees what another one has resolved."""


@pytest.fixture
def make_sdist(tmp_path: Path, make_wheel: MakeWheel) -> MakeSdist:
    """`make_sdist(name, code=…)`: an sdist beside the wheels."""
    return functools.partial(write_sdist, tmp_path / "wheels")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Resolve requirements for a filter with these settings."""

    def resolved(*requirements: str, **settings: Any) -> Result:
        project = Project(
            tmp_path, tmp_path / "filter.py", "x", tmp_path / "main.wasm", dependencies=requirements, **settings
        )
        into, said = tmp_path / f"into-{time.monotonic_ns()}", list[str]()
        return Result(resolve(project, into, said.append, Cache()), into, said)

    return resolved
