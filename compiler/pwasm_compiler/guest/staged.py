"""The folder that a build lays out and its guest reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

APP_MODULE = "pwasm_app"
GUEST_ROOT = "/0"
"""Where the staged folder lies in the guest."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The folder that the guest sees."""

    folder: Path
    dependencies: tuple[str, ...]
    own: tuple[str, ...]
    """The filter's files and what is made for it, relative to the folder."""
    docstrings: bool = False
    """Whether those of the filter and of its dependencies are kept."""
    compiler_use: str = ""
    """Where it may want the compiler when it runs ("path:line"), or "" (see `pwasm_compiler.build.needs_compiler`)."""
