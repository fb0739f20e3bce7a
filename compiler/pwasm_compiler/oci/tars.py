"""Reading tar archives that anyone may have written: each member, or an `ImageError`.

`tarfile` raises `ValueError`, `OverflowError` and others of its own helpers for headers that are wrong in ways it does
not expect (a sparse map of letters, a length of 26 digits), and keeps every member that it has read. Here all of that
is one error, and nothing is kept.

What costs `tarfile` far more than it takes in an archive is refused before it is read: sparse maps, and extended
headers beyond what names, links and attributes need. Python 3.11 searches such a header with a pattern whose time grows
with the square of its length (CVE-2024-6232), and each member gets a copy of all global headers before it.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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


def open_tar(mode: str, file: Path | BinaryIO | io.RawIOBase) -> tarfile.TarFile:
    """Open an archive for reading; `mode` is `r:` for a file, `r|` for a stream."""
    name, stream = (file, None) if isinstance(file, Path) else (None, file)
    return tarfile.open(name, mode, stream, tarinfo=_bounded())  # type: ignore[call-overload,no-any-return]


_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_LONGEST_HEADER = 16 << 10
"""A path has at most 4,096 bytes, the attributes of a file that images have a few hundred."""
_LONGEST_GLOBAL_HEADER = 4 << 10
_ALL_HEADERS = 1 << 20


def _bounded() -> type[tarfile.TarInfo]:
    """The class of an archive's members. The methods are those of `tarfile` that read what follows a header."""
    left = _ALL_HEADERS

    class Member(tarfile.TarInfo):
        def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
            nonlocal left
            if self.size < 0:  # the next member would be this one again (CVE-2025-8194)
                raise tarfile.ReadError("a member has a negative size")
            if self.type == tarfile.GNUTYPE_SPARSE:
                self._refuse_sparse()
            if self.type in _EXTENDED:
                left -= self.size
                longest = _LONGEST_GLOBAL_HEADER if self.type == tarfile.XGLTYPE else _LONGEST_HEADER
                if self.size > longest or left < 0:
                    raise tarfile.ReadError("its extended headers are too long")
            read: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
            return read

        def _refuse_sparse(self, *_: object) -> None:
            raise tarfile.ReadError("it has a sparse file")

        _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse

    return Member


def members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members in their order."""
    while (member := archive.next()) is not None:
        yield member
        archive.members.clear()  # type: ignore[attr-defined]  # half a million of them fit into a layer of 256 MiB


def content(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes | None:
    """At most `limit` bytes of a regular file; None if it is something else."""
    if not member.isreg():
        return None
    stream = archive.extractfile(member)
    return stream.read(limit) if stream is not None else None
