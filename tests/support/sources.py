"""The sources of the three packages, for tests that read them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "pwasm": ROOT / "sdk" / "pwasm",
    "pwasm_compiler": ROOT / "compiler" / "pwasm_compiler",
    "pwasm_shim": ROOT / "runtime-shim" / "pwasm_shim",
}


@functools.cache
def modules() -> dict[str, Path]:
    """Name → file of everything that is imported from the three packages."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported_names(name: str, path: Path, tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """What a module imports, lazily or not: local name, source, and the name in the source ("" for a module)."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                local = alias.asname or alias.name
                yield (local, whole, "") if whole in modules() else (local, source, alias.name)
