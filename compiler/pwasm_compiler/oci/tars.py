"""Reading tar archives that anyone may have written: each member, or an `ImageError`.

`tarfile` raises `ValueError`, `OverflowError` and others of its own helpers for headers that are wrong in ways it does
not expect (a sparse map of letters, a length of 26 digits), and keeps every member that it has read. Here all of that
is one error, and nothing is kept.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from pwasm_compiler.errors import ImageError

_DAMAGED = (
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    tarfile.TarError,
    ValueError,
    ArithmeticError,  # OverflowError of a time, a size or an offset
    LookupError,
    RecursionError,  # a long name of a long name: tarfile calls itself for each header before a member
    TypeError,
)


@contextmanager
def reading(what: str, of: str) -> Iterator[None]:
    """Whatever is wrong with the archive that the block reads is an `ImageError`: `what`; it is not `of`."""
    try:
        yield
    except _DAMAGED as error:
        raise ImageError(what, why=f"It is not {of}: {str(error)[:200] or type(error).__name__}.") from error


def members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members in their order."""
    while (member := archive.next()) is not None:
        if member.size < 0:  # the next member would be this one again
            raise tarfile.ReadError("a member has a negative size")
        yield member
        archive.members.clear()  # type: ignore[attr-defined]  # half a million of them fit into a layer of 256 MiB


def content(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes | None:
    """At most `limit` bytes of a regular file; None if it is something else."""
    # A sparse file unpacks to more than the archive contains.
    if not member.isreg() or member.sparse is not None:
        return None
    stream = archive.extractfile(member)
    return stream.read(limit) if stream is not None else None
