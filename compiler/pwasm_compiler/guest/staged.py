"""The folder that a build lays out for its guest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..cpython314 import LIBRARY

APP_MODULE = "pwasm_app"
LATE_MODULES = "pwasm_late_"
"""What the names of generated modules begin with that the snapshot does not keep."""
ABSENT_MODULE = f"{LATE_MODULES}absent"
"""Where the guest finds who imports modules that Python does not have here."""
GUEST_ROOT = "/0"
"""The path of the staged folder in the guest."""
ABSENT_FOLDER = f"{LIBRARY}/pwasm_absent"
"""Where the guest finds the stand-ins for modules that Python does not have here; not on `sys.path`."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file that the module contains; `name` is relative to the folder."""

    name: str
    size: int
    own: bool
    """Whether it is the filter's, not a dependency's."""


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
    data_files: tuple[DataFile, ...] = ()
