"""pytest in a separate process, for tests of its output about failures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
_PLUGINS = ["-p", "no:cacheprovider", "-p", "no:pwasm", "-p", "pwasm.pytest_plugin"]


@pytest.fixture(scope="session")
def run_pytest() -> Run:
    """`run_pytest(folder, *arguments, **environment)`: what pytest says about the tests in a folder."""

    def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (folder / "pytest.ini").touch()  # its own root, or this repository's configuration would hold
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *_PLUGINS, *arguments],
            cwd=folder,
            # Ours is named above; the others are slow to load, and not what is tested.
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run
