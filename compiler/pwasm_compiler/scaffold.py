"""`pwasm new`: a folder from the template in `templates/filter`, or a copy of one of the example filters.

A template file is copied with `{{name}}` replaced, and loses the suffix `.template`, which prevents it from being taken
for a module, test or configuration of pwasm itself. The examples are the folders in `filters`; in a wheel they are next
to this module.
"""

from __future__ import annotations

import difflib
import re
from importlib.resources import files
from pathlib import Path

from pwasm_compiler.cache import new_folder
from pwasm_compiler.errors import ProjectError, UsageError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*")
_SUFFIX = ".template"
_DOT_FILES = {"gitignore": ".gitignore"}
_IN_THE_WHEEL = Path(__file__).parent / "filters"
_IN_A_CHECKOUT = Path(__file__).parents[2] / "filters"
_EXAMPLE_FILES = ("*.py", "*.yaml", "*.md", "*.toml", "*.json")


def create(folder: Path, example: str | None = None) -> tuple[Path, ...]:
    """Create `folder`, named after the new filter, atomically; returns its files.

    Args:
        folder: must not exist yet.
        example: the filter to copy; None for the template.
    """
    if not _NAME.fullmatch(folder.name):
        raise UsageError(
            f"'{folder}' is not a valid filter name",
            hint="use letters, digits, '-' and '_', starting with a letter, for example: add-header",
        )
    contents = _template(folder.name) if example is None else _copy(example, folder.name)
    if folder.exists() or folder.is_symlink():
        raise ProjectError(f"{folder} already exists", hint="choose another name, or remove it first")
    if not folder.parent.is_dir():
        raise UsageError(f"{folder.parent}: no such directory", hint="create it first")
    with new_folder(folder) as room:
        for name, text in contents.items():
            (room / name).parent.mkdir(parents=True, exist_ok=True)
            (room / name).write_text(text, encoding="utf-8")
    return tuple(folder / name for name in contents)


def examples() -> tuple[str, ...]:
    """The names of the filters that can be copied."""
    return tuple(sorted(file.parent.name for file in _examples_folder().glob("*/filter.py")))


def _examples_folder() -> Path:
    return _IN_THE_WHEEL if _IN_THE_WHEEL.is_dir() else _IN_A_CHECKOUT


def _template(name: str) -> dict[str, str]:
    """Name and text of each file, in the order of their names."""
    folder = files("pwasm_compiler") / "templates" / "filter"
    found = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(_SUFFIX):
            file_name = file.name.removesuffix(_SUFFIX)
            text = file.read_text(encoding="utf-8")
            found[_DOT_FILES.get(file_name, file_name)] = text.replace("{{name}}", name)
    return found


def _copy(example: str, name: str) -> dict[str, str]:
    """The files of an example, with the template's .gitignore; its name is replaced by `name`."""
    if example not in examples():
        near = difflib.get_close_matches(example, examples(), n=1)
        meant = f"did you mean {near[0]}? The examples are: " if near else "the examples are: "
        raise UsageError(f"unknown example '{example}'", hint=meant + ", ".join(examples()))
    source = _examples_folder() / example
    found = {".gitignore": _template(name)[".gitignore"]}
    for file in sorted(file for pattern in _EXAMPLE_FILES for file in source.rglob(pattern)):
        if not any(part.startswith((".", "__")) for part in file.relative_to(source).parts[:-1]):
            text = file.read_text(encoding="utf-8")
            if file.name in {"README.md", "pyproject.toml"}:
                for said, meant in (("# {}\n", "# {}\n"), ("filters/{}", "{}"), ('name = "{}"', 'name = "{}"')):
                    text = text.replace(said.format(example), meant.format(name))
            found[str(file.relative_to(source))] = text
    return found
