"""The reference filter built by a real TinyGo. No registry has one, so without it on PATH this is NOT RUN."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pwasm_compiler.backends import build
from pwasm_compiler.inspect import report
from pwasm_compiler.project import load_project

pytestmark = [pytest.mark.wasm, pytest.mark.tinygo]

GO_REFERENCE = Path(__file__).parents[2] / "filters" / "go_reference"


@pytest.mark.skipif(shutil.which("tinygo") is None, reason="no tinygo on PATH")
def test_the_reference_filter(tmp_path: Path) -> None:
    artifact = build(load_project(GO_REFERENCE, "tinygo"), tmp_path / "main.wasm")
    assert artifact.backend == "tinygo"
    assert report(artifact.path)["accepted"] is True
