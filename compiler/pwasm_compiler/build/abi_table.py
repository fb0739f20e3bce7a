"""The SDK's ABI table: the hostcalls and callbacks with their types, defined once, in `pwasm._abi`.

The compiler does not import the SDK, so it executes that file by itself; the file depends on nothing else.
"""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import ToolError
from .stage import sdk_folder

_FILE = "_abi.py"


class AbiFunction(Protocol):
    """A row of the table."""

    @property
    def name(self) -> str:
        """The name in imports and exports."""
        ...

    def core_type(self) -> tuple[str, str]:
        """Parameters and results, as WebAssembly type names: ("i32 i32", "i32")."""
        ...


@dataclass(frozen=True, slots=True)
class AbiTable:
    """What Envoy provides, and what it calls."""

    hostcalls: tuple[AbiFunction, ...]
    callbacks: tuple[AbiFunction, ...]


def abi_table() -> AbiTable:
    """The table of the installed SDK.

    Raises:
        ToolError: it is missing, or not in the expected format.
    """
    return read_table(sdk_folder() / _FILE)


def read_table(file: Path) -> AbiTable:
    """The table in `file`; the same error as `abi_table`."""
    if not file.is_file():
        raise _not_the_table(file, "The file does not exist.")
    names = runpy.run_path(str(file))
    return AbiTable(_rows(file, names, "HOSTCALLS"), _rows(file, names, "CALLBACKS"))


def _rows(file: Path, names: dict[str, object], name: str) -> tuple[AbiFunction, ...]:
    rows = names.get(name)
    if not isinstance(rows, tuple) or not rows:
        raise _not_the_table(file, f"It does not define {name}.")
    if not all(isinstance(getattr(row, "name", None), str) and hasattr(row, "core_type") for row in rows):
        raise _not_the_table(file, f"Rows of {name} have no name or no core type.")
    return rows


def _not_the_table(file: Path, why: str) -> ToolError:
    hint = "the SDK and the compiler must be the same version: reinstall pwasm-sdk"
    return ToolError(f"cannot read the SDK's ABI table, {file}", why=why, hint=hint)
