"""A build records what its classes declare about holding headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pwasm_compiler.build.pipeline import build
from pwasm_compiler.envoy.module import read_module
from pwasm_compiler.project import load_project

FILTER = """\
import pwasm

@pwasm.set_http_context
class Check(pwasm.HttpContext):
    buffer_request_body = True

class Route(pwasm.HttpContext):
    holds_request_headers = True

pwasm.set_http_context(Route, root_id="route")
"""


@pytest.mark.wasm
def test_the_module_has_what_the_classes_declare(component: bytes, tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text(FILTER)
    module = read_module(build(load_project(tmp_path), tmp_path / "main.wasm").path)
    assert module.hold_headers == {"": "wanted", "route": "required"}
