"""Where things are in the checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PROJECTS = TESTS / "projects"
GOLDEN = TESTS / "golden"
FILTERS = ROOT / "filters"
HELLO_WORLD = FILTERS / "hello_world"
GO_REFERENCE = FILTERS / "go_reference"
