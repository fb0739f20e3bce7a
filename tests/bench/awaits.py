"""The cost of an await in a VM, compared with the callback form of the same filter: `python tests/bench/awaits.py`.

The measuring is done inside the VM (tests/projects/await_cost), in Envoy's V8: a request is answered with the figures.
"""

from __future__ import annotations

import ast
import tempfile
import urllib.request
from pathlib import Path

from pwasm_compiler.build.pipeline import build
from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy
from pwasm_compiler.project import load_project

PROJECT = Path(__file__).parents[1] / "projects" / "await_cost"
REPEATS = 5


def figures(module: Path) -> dict[str, float]:
    """Nanoseconds of a cycle in each form, the quickest of several requests."""
    with Envoy(bootstrap([HttpListener([WasmFilter(module)])])) as envoy:
        answers = [urllib.request.urlopen(envoy.url, timeout=120).read() for _ in range(REPEATS)]
    found = [ast.literal_eval(answer.decode()) for answer in answers]
    return {name: min(one[name] for one in found) for name in found[0]}


def report(found: dict[str, float]) -> str:
    """The figures as text."""
    lines = [f"{name:12} {nanoseconds / 1000:8.2f} µs" for name, nanoseconds in found.items()]
    for more, what, limit in (
        (found["never_waits"] - found["plain"], "async def that never waits, more than a plain one", 0.5),
        (found["await"] - found["callback"], "await, more than the callback form", 2.0),
    ):
        lines.append(f"{what}: {more / 1000:.2f} µs (aim: {limit})")
    return "\n".join(lines)


def main() -> None:
    """Build, measure, print."""
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "main.wasm"
        build(load_project(PROJECT), module)
        print(report(figures(module)))


if __name__ == "__main__":
    main()
