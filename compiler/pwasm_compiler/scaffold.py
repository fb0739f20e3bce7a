"""`pwasm new`: a folder from the template in `templates/filter`.

A template file is copied with `{{name}}` replaced; its name loses the suffix `.template`, which keeps it from being
taken for a module, a test or a configuration of pwasm itself.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from pwasm_compiler.cache import new_folder
from pwasm_compiler.errors import ProjectError, UsageError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*")
_SUFFIX = ".template"
_DOT_FILES = {"gitignore": ".gitignore"}


def create(folder: Path) -> tuple[Path, ...]:
    """Make `folder`, named after the new filter; the files in it. All of them are made, or none."""
    if not _NAME.fullmatch(folder.name):
        raise UsageError(
            f"'{folder}' is not a name for a filter",
            hint="use letters, digits, '-' and '_', beginning with a letter, for example: add-header",
        )
    if folder.exists() or folder.is_symlink():
        raise ProjectError(f"{folder} exists already", hint="choose another name, or remove it first")
    if not folder.parent.is_dir():
        raise UsageError(f"there is no folder {folder.parent}", hint="make it first")
    with new_folder(folder) as room:
        for name, text in _templates().items():
            (room / name).write_text(text.replace("{{name}}", folder.name), encoding="utf-8")
    return tuple(folder / name for name in _templates())


def _templates() -> dict[str, str]:
    """Name and text of each file, in the order of their names."""
    folder = files("pwasm_compiler") / "templates" / "filter"
    found = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(_SUFFIX):
            name = file.name.removesuffix(_SUFFIX)
            found[_DOT_FILES.get(name, name)] = file.read_text(encoding="utf-8")
    return found
