"""Symbolic links in a filter's folder: those that lead out of it are refused, as Docker and `go:embed` refuse them.

Whoever may write into the folder (a pull request, a template) decides where a link leads, and what it leads to is read
with the rights of the build machine, and can be read by everyone who has the module. A hard link is a file like any
other: making one takes rights on the file.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pwasm_compiler.errors import ProjectError
from pwasm_compiler.files import shown


def refuse_link_out(root: Path, path: Path) -> None:
    """Raise `ProjectError` if `path` is a link that leads nowhere, in a circle, or out of `root`, which is resolved.

    Links that stay inside are fine, except to hidden files, which belong to no module. (Kubernetes mounts a ConfigMap
    as links to a hidden folder `..data`.)
    """
    if not path.is_symlink():
        return
    try:
        target = Path(os.path.realpath(path, strict=True))
    except OSError as error:
        raise _broken(path, error) from error
    if not target.is_relative_to(root):
        raise ProjectError(
            f"{shown(path)} is a link that leads out of the filter's folder",
            why=f"It leads to {shown(target)}, which would be in the module for everyone to read.",
            hint="copy what you need of it into the folder, or remove the link",
        )
    inside = target.relative_to(root)
    if any(part.startswith(".") and not part.startswith("..") for part in inside.parts):
        raise ProjectError(
            f"{shown(path)} is a link to {shown(inside)}",
            why="Hidden files do not go into a module.",
            hint="copy what you need of it, or remove the link",
        )
    if path.is_relative_to(target):
        raise _circle(path)


def _broken(path: Path, error: OSError) -> ProjectError:
    if error.errno == errno.ELOOP:
        return _circle(path)
    leads = f"It leads to {shown(path.readlink())}: {os.strerror(error.errno or errno.ENOENT)}."
    return ProjectError(f"{shown(path)} is a link that leads nowhere", why=leads, hint="correct it, or remove it")


def _circle(path: Path) -> ProjectError:
    leads = f"It leads to {shown(path.readlink())}."
    return ProjectError(f"{shown(path)} is a link that leads back to itself", why=leads, hint="remove it")
