"""Stands in for `grp`: there is no group, as `shutil` and `tarfile` expect of one that they do not find."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class struct_group(tuple[object, ...]):  # noqa: N801  the name is the standard library's
    """There is none."""

    __slots__ = ()


def getgrall() -> list[struct_group]:
    """All groups: none."""
    return []


def getgrnam(name: str, /) -> NoReturn:
    """Not found."""
    raise KeyError(f"getgrnam(): name not found: {name!r} (a Wasm module has no groups of users)")


def getgrgid(gid: int, /) -> NoReturn:
    """Not found."""
    raise KeyError(f"getgrgid(): gid not found: {gid} (a Wasm module has no groups of users)")
