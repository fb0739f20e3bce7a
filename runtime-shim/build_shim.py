"""Build hook of the wheel: compile the runtime shim to a Wasm dynamic library.

The `ziglang` wheel is the complete toolchain, and needed only for this build. The library is then linked into CPython
(`build_base.py`), and filter authors get the result as package data. Run as a script, this does the same in place, for
a checkout.
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
"""Two names of the same length, so that swapping them does not move anything."""
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
    """Write a file atomically, since another installation of this checkout may be reading it."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(contents)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _exchanged(library: bytes) -> bytes:
    """`library` with the exports in `_EXCHANGED` swapped (see src/build.c): sources cannot define the linker's own.

    Raises:
        ValueError: one of them does not occur exactly once.
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
except ImportError:  # run as a script, in an environment with nothing but ziglang
    pass
else:

    class ShimBuildHook(BuildHookInterface):  # type: ignore[misc,type-arg]
        """Compiles the shim before a wheel (or an editable install) is built; an sdist contains the sources."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            if self.target_name == "wheel":
                build()
                _build_base()


if __name__ == "__main__":
    print(build())
    print(_build_base())
