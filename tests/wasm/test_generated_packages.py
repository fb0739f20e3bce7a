"""Generated packages find in a module what they find in CPython: nothing that they import late is silently missing."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from pwasm_compiler.build.backends import build
from pwasm_compiler.project import load_project
from tests.support import generated_packages
from tests.support.generated_packages import make_packages

pytestmark = pytest.mark.wasm

SEED, COUNT = 20_261_130, 50
FILTER = """\
import pwasm
{imports}

{outcomes}

class Calls(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers, end_of_stream):
        for line in outcomes([{entries}]):
            pwasm.log_info(line)


pwasm.set_http_context(Calls)
"""


def compare(folder: Path, seed: int, count: int) -> list[tuple[str, str]]:
    """Build `count` packages into one module; returns what differs, and whether the build has said so."""
    names = make_packages(folder, seed, count)
    outcomes = inspect.getsource(generated_packages.outcomes).replace("Iterator[str]", "object")
    imports = "\n".join(f"import {name}.entry" for name in names)
    entries = ", ".join(f"{name}.entry" for name in names)
    (folder / "filter.py").write_text(FILTER.format(imports=imports, outcomes=outcomes, entries=entries))
    script = f"{imports}\n{outcomes}\nfor line in outcomes([{entries}]):\n    print(line)"
    run = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    artifact = build(load_project(folder), folder / "main.wasm")
    host = HostEmulator(plugin=lambda host: WasmPlugin(artifact.path, host))
    host.request()
    expected, found = run.stdout.splitlines(), [text for _, text in host.logs]
    return [(one, other) for one, other in zip(expected, found, strict=True) if one != other]


def test_they_find_what_they_find_in_python(tmp_path: Path) -> None:
    assert compare(tmp_path, SEED, COUNT) == []
