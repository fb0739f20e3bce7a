"""The folder that a build lays out for its guest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

APP_MODULE = "pwasm_app"
GUEST_ROOT = "/0"
"""The path of the staged folder in the guest."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The folder that the guest sees."""

    folder: Path
    dependencies: tuple[str, ...]
    own: tuple[str, ...]
    """The filter's files and those generated for it, relative to the folder."""
    docstrings: bool = False
    """Whether the docstrings of the filter and its dependencies are kept."""
    late: tuple[str, ...] = ()
    """Modules to import although nothing that reads the sources' facts finds them."""
    warnings: tuple[str, ...] = ()
    """What its sources show to be wrong."""
    awaited_body: str = ""
    """The first body callback that may wait ("path:line: Class.method"), or ""."""
