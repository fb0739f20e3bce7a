"""Stands in for `pwd`: there is no user, as `os.path.expanduser` and others expect of one that they do not find."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class struct_passwd(tuple[object, ...]):  # noqa: N801  the name is the standard library's
    """There is none."""

    __slots__ = ()


def getpwall() -> list[struct_passwd]:
    """All users: none."""
    return []


def getpwnam(name: str, /) -> NoReturn:
    """Not found."""
    raise KeyError(f"getpwnam(): name not found: {name!r} (a Wasm module has no users)")


def getpwuid(uid: int, /) -> NoReturn:
    """Not found."""
    raise KeyError(f"getpwuid(): uid not found: {uid} (a Wasm module has no users)")
