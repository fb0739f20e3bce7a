"""Filters built by a real TinyGo. Neither PyPI, npm nor Debian has one, so without it on PATH this is NOT RUN."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from pwasm_compiler.build.backends import build
from pwasm_compiler.build.backends.tinygo import TINYGO
from pwasm_compiler.build.backends.toolchain import Unusable, find
from pwasm_compiler.inspect import report
from pwasm_compiler.project import load_project
from tests.support.paths import GO_REFERENCE, PROJECTS

pytestmark = [pytest.mark.wasm, pytest.mark.tinygo]

TUTORIAL = PROJECTS / "go_tutorial"


def check(module: Path) -> None:
    assert report(module)["accepted"] is True
    host = HostEmulator(plugin=lambda host: WasmPlugin(module, host))
    assert host.request("GET", "/one").headers["x-wasm-custom"] == "FOO"


@pytest.mark.skipif(isinstance(find(TINYGO, Path.cwd()), Unusable), reason="no tinygo 0.34 or later on PATH")
def test_the_official_sdk(tmp_path: Path) -> None:
    artifact = build(load_project(GO_REFERENCE, "tinygo"), tmp_path / "main.wasm")
    assert artifact.backend == "tinygo"
    check(artifact.path)


@pytest.mark.skipif(shutil.which("tinygo") is None, reason="no tinygo on PATH")
def test_the_tetratelabs_sdk(tmp_path: Path) -> None:
    artifact = build(load_project(TUTORIAL), tmp_path / "main.wasm")
    assert artifact.backend == "tinygo"
    check(artifact.path)
