"""Build hook of the wheel: compile the runtime shim to a Wasm dynamic library.

The `ziglang` wheel is the whole toolchain, and a build requirement only. The library is then linked into CPython
(`build_base.py`), and a filter author gets the result as package data. Run as a script this does the same in place,
for a checkout.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent / "pwasm_shim"
LIBRARY = PACKAGE / "_pwasm_shim.wasm"
_COMPILE = ["cc", "--target=wasm32-wasi", "-std=c17", "-O2", "-g0", "-fPIC", "-Wall", "-Wextra", "-Werror", "-c"]
_EXCHANGED = (b"pwasm_apply_data_relocs_", b"__wasm_apply_data_relocs")
"""Two names of the same length, so that exchanging them moves nothing."""
_LINK = ["wasm-ld", "-shared", "--experimental-pic", "--unresolved-symbols=import-dynamic", "--strip-all"]


def build() -> Path:
    """Compile and link the C sources; returns the library."""
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for source in sorted((PACKAGE / "src").glob("*.c")):
            output = Path(folder, source.stem + ".o")
            _zig(*_COMPILE, source, "-o", output)
            objects.append(output)
        linked = Path(folder, LIBRARY.name)
        _zig(*_LINK, *objects, "-o", linked)
        put(LIBRARY, _exchanged(linked.read_bytes()))
    return LIBRARY


def put(path: Path, contents: bytes) -> None:
    """Write a file that is there whole or not at all: another installation of this checkout may read it meanwhile."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(contents)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _exchanged(library: bytes) -> bytes:
    """`library` with the two exports in `_EXCHANGED` exchanged (see src/build.c): nobody may define the linker's own.

    Raises:
        ValueError: they are not there exactly once.
    """
    ours, theirs = _EXCHANGED
    if library.count(ours) != 1 or library.count(theirs) != 1:
        raise ValueError(f"the library must export {ours!r} and {theirs!r} once each")
    head, first, rest = re.split(b"(" + ours + b"|" + theirs + b")", library, maxsplit=1)
    return head + (theirs if first == ours else ours) + rest.replace(theirs if first == ours else ours, first)


def _build_base() -> Path:
    sys.path.insert(0, str(Path(__file__).parent))  # hatchling loads this file by its path
    from build_base import build as build_base

    return build_base()


def _zig(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "ziglang", *map(str, arguments)], check=True)


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # as a script, in an environment that only has ziglang
    pass
else:

    class ShimBuildHook(BuildHookInterface):  # type: ignore[misc,type-arg]
        """Compiles the shim before a wheel (or an editable install) is made; an sdist carries the sources."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            if self.target_name == "wheel":
                build()
                _build_base()


if __name__ == "__main__":
    print(build())
    print(_build_base())
