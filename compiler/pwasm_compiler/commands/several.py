"""Commands that take several paths: a failure for one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pwasm_compiler.console import print_error
from pwasm_compiler.errors import PwasmError
from pwasm_compiler.files import shown

_T = TypeVar("_T")


def _print(path: Path, error: PwasmError) -> None:
    where = f"{shown(path)}: "
    what = error.what if error.what.startswith(where) else where + error.what
    print_error(what, error.why, error.hint)


def for_each(
    paths: Sequence[Path], do: Callable[[Path], _T], failed: Callable[[Path, PwasmError], None] = _print
) -> tuple[list[_T], int]:
    """The result for each path, and the highest exit code of those that failed, 0 if none did.

    Raises:
        PwasmError: the only path failed; with several, `failed` is called, by default to print the error with its path.
    """
    results, code = [], 0
    for path in paths:
        try:
            results.append(do(path))
        except PwasmError as error:
            if len(paths) == 1:
                raise
            failed(path, error)
            code = max(code, error.exit_code)
    return results, code
