"""A real component, built once a session by the pipeline's own first stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from pwasm_compiler import tools
from pwasm_compiler.project import load_project
from pwasm_compiler.stage import APP_MODULE, stage

FILTER = """\
import pwasm


class Nothing(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers, end_of_stream):
        return pwasm.Action.CONTINUE


pwasm.set_http_context(Nothing)
"""


@pytest.fixture(scope="session")
def component(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What componentize-py makes of a minimal filter."""
    root: Path = tmp_path_factory.mktemp("component")
    (root / "filter.py").write_text(FILTER)
    folder = root / "stage"
    folder.mkdir()
    stage(load_project(root), folder)
    tools.componentize(folder, APP_MODULE, root / "component.wasm", 120)
    return (root / "component.wasm").read_bytes()
