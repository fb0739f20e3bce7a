"""The ABI table of the SDK: the hostcalls and callbacks, each with its types. It is written once, in `pwasm._abi`.

The compiler imports nothing of the SDK, so the file is run by itself; it needs nothing beside it.
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
        """As imports and exports have it."""
        ...

    def core_type(self) -> tuple[str, str]:
        """Parameters and results, as words of WebAssembly: ("i32 i32", "i32")."""
        ...


@dataclass(frozen=True, slots=True)
class AbiTable:
    """What Envoy offers, and what it calls."""

    hostcalls: tuple[AbiFunction, ...]
    callbacks: tuple[AbiFunction, ...]


def abi_table() -> AbiTable:
    """The table of the installed SDK.

    Raises:
        ToolError: it is not there, or is not the table that is known here.
    """
    return read_table(sdk_folder() / _FILE)


def read_table(file: Path) -> AbiTable:
    """The table in `file`; the error is that of `abi_table`."""
    if not file.is_file():
        raise _not_the_table(file, "It is not there.")
    names = runpy.run_path(str(file))
    return AbiTable(_rows(file, names, "HOSTCALLS"), _rows(file, names, "CALLBACKS"))


def _rows(file: Path, names: dict[str, object], name: str) -> tuple[AbiFunction, ...]:
    rows = names.get(name)
    if not isinstance(rows, tuple) or not rows:
        raise _not_the_table(file, f"It has no rows {name}.")
    if not all(isinstance(getattr(row, "name", None), str) and hasattr(row, "core_type") for row in rows):
        raise _not_the_table(file, f"Rows of {name} have no name, or no core type.")
    return rows


def _not_the_table(file: Path, why: str) -> ToolError:
    hint = "the SDK and the compiler have to be one version: install pwasm-sdk again"
    return ToolError(f"cannot read the ABI table of the SDK, {file}", why=why, hint=hint)
