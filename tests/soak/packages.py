"""Generated packages find in a module what they find in CPython: nothing that they import late is silently missing.

`tests/support/generated_packages.py` makes them. Many are built into one module, because a build costs more than they.
"""

from __future__ import annotations

import inspect
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from pwasm_compiler.build.backends import build
from pwasm_compiler.project import load_project
from tests.support import generated_packages
from tests.support.generated_packages import make_packages

from .outcome import Outcome

_IN_A_MODULE = 50
_FILTER = """\
import pwasm
{imports}

{outcomes}

class Calls(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers, end_of_stream):
        for line in outcomes([{entries}]):
            pwasm.log_info(line)


pwasm.set_http_context(Calls)
"""


def run(count: int, seed: int | None = None) -> Outcome:
    """Compare `count` packages, rounded up to whole modules."""
    first = random.SystemRandom().randrange(10**9) if seed is None else seed
    outcome = Outcome("packages", f"generated packages in CPython and in a module, from seed {first}")
    lines = packages = 0
    while packages < count:
        with tempfile.TemporaryDirectory() as folder:
            expected, found = _outcomes(Path(folder), first + packages)
        packages += _IN_A_MODULE
        lines += len(expected)
        outcome.require(len(expected) == len(found), f"{len(found)} outcomes instead of {len(expected)}")
        pairs = zip(expected, found, strict=False)
        outcome.problems += [f"{other} instead of {one}" for one, other in pairs if one != other]
    outcome.figure("packages", packages)
    outcome.figure("outcomes compared", lines)
    return outcome


def _outcomes(folder: Path, seed: int) -> tuple[list[str], list[str]]:
    """What the packages of one module find, in CPython and in the module."""
    names = make_packages(folder, seed, _IN_A_MODULE)
    outcomes = inspect.getsource(generated_packages.outcomes).replace("Iterator[str]", "object")
    imports = "\n".join(f"import {name}.entry" for name in names)
    entries = ", ".join(f"{name}.entry" for name in names)
    (folder / "filter.py").write_text(_FILTER.format(imports=imports, outcomes=outcomes, entries=entries))
    script = f"{imports}\n{outcomes}\nfor line in outcomes([{entries}]):\n    print(line)"
    python = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    artifact = build(load_project(folder), folder / "main.wasm")
    host = HostEmulator(plugin=lambda host: WasmPlugin(artifact.path, host))
    host.request()
    return python.stdout.splitlines(), [text for _, text in host.logs]
