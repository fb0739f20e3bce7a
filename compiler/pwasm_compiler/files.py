"""Files named by the user: each is a regular file of a sensible size, or one clear error.

A pipe is never opened, because nobody may ever write to it; nor is a device, which may be endless. The size is checked
before anything is read.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pwasm_compiler.errors import ProjectError, ToolError, UsageError

MODULE_LIMIT = 256 << 20
"""Size limit of a module and of anything that goes into one: no mesh accepts more, and a VM gets no more by default."""
TEXT_LIMIT = 16 << 20
"""Size limit of a configuration: four times what etcd, and so Kubernetes, stores with its limit raised."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_SHOWN_LETTERS = 200
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def shown(path: str | Path) -> str:
    """A path for display: one line, no control characters, valid UTF-8, of limited length."""
    text = printable(str(path))
    half = _SHOWN_LETTERS // 2
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:half]}…{text[-half:]}"


def is_utf8(name: str) -> bool:
    """Whether a file name's bytes are UTF-8, which only Unix does not enforce."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def printable(text: str) -> str:
    """`text` with escapes for what a terminal might act on or cannot show."""
    if text.isprintable():  # nearly every text is, and of a module there may be hundreds of thousands
        return text
    return "".join(letter if unicodedata.category(letter)[0] != "C" else ascii(letter)[1:-1] for letter in text)


def printable_report(value: Any) -> Any:
    """A report of plain values in which every text is `printable`, and so one line, whatever a module calls things."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable_report(key): printable_report(item) for key, item in value.items()}
    return [printable_report(item) for item in value] if isinstance(value, list | tuple) else value


def check_readable(path: Path, limit: int = MODULE_LIMIT, *, hint: str = "") -> None:
    """Raise unless `path` is a regular file of at most `limit` bytes; it is not opened.

    Raises:
        UsageError: it does not exist; with `hint`.
        ProjectError: it is not a regular file, too large or inaccessible.
    """
    try:
        status = path.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            why = f"It is a dangling link to {shown(path.readlink())}." if path.is_symlink() else ""
            raise UsageError(f"{shown(path)}: no such file or directory", why=why, hint=hint) from error
        raise _unreadable(path, error) from error
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise ProjectError(f"cannot read {shown(path)}", why=f"It is {_KINDS.get(kind, 'something else')}, not a file.")
    if status.st_size > limit:
        raise _too_large(path, limit)
    if not os.access(path, os.R_OK):
        raise ProjectError(f"cannot read {shown(path)}", why=f"{os.strerror(errno.EACCES)}.")


def read_bytes(path: Path, limit: int = MODULE_LIMIT, *, hint: str = "") -> bytes:
    """The contents of `path`; the same errors as `check_readable`."""
    check_readable(path, limit, hint=hint)
    try:
        with path.open("rb") as stream:
            return stream.read()
    except OSError as error:
        raise _unreadable(path, error) from error


def read_text(path: Path, limit: int = TEXT_LIMIT, *, hint: str = "") -> str:
    """The text in `path`, in UTF-8; line ends become `\\n`. The same errors as `check_readable`."""
    try:
        text = read_bytes(path, limit, hint=hint).decode()
    except UnicodeDecodeError as error:
        raise ProjectError(f"{shown(path)} is not UTF-8 (at byte {error.start})") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_writable(output: Path) -> None:
    """Raise `ToolError` early when `output` cannot be written: a build takes seconds."""
    folder, what = output.parent, f"cannot write {shown(output)}"
    try:
        mode = output.stat().st_mode if output.exists() else stat.S_IFREG
        if stat.S_ISDIR(mode):
            raise ToolError(what, why="It is a folder.", hint="name a file with -o")
        if not stat.S_ISREG(mode):
            raise ToolError(what, why=f"It is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a file.")
        if not folder.is_dir():
            raise ToolError(what, why=f"The folder {shown(folder)} does not exist.")
        if not os.access(folder, os.W_OK) or (output.exists() and not os.access(output, os.W_OK)):
            raise ToolError(what, why="Permission denied.", hint="choose another location with -o")
    except OSError as error:
        raise ToolError(what, why=error.strerror or str(error)) from error


def refuse_to_overwrite(option: str, output: Path, inputs: Mapping[str, Path | None]) -> None:
    """Raise `UsageError` if `output`, the value of `option`, is one of the files that were read.

    Args:
        inputs: what a message calls each of them, and where it is.
    """
    for what, file in inputs.items():
        # Not Path.resolve(), which raises where links go round in a circle: reading the file reports that.
        if file is not None and os.path.realpath(output) == os.path.realpath(file):
            raise UsageError(f"{option} would overwrite {shown(file)}", why=f"It is {what}.")


def write_atomically(path: Path, data: bytes) -> None:
    """Write `path` atomically: readers see the old file or the new one, never a partial one."""
    scratch = path.with_name(f".{path.name[:40]}.{os.getpid()}")
    try:
        try:
            scratch.write_bytes(data)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise ToolError(f"cannot write {shown(path)}", why=error.strerror or str(error)) from error


@contextmanager
def scratch_folder(prefix: str = "pwasm-") -> Iterator[Path]:
    """A temporary folder that exists while the block runs.

    Raises:
        ToolError: the file system is full, which few would suspect.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise ToolError(
            f"no space left in the temporary folder {shown(tempfile.gettempdir())}",
            why=os.strerror(error.errno),
            hint="free some space, or set TMPDIR to another folder",
        ) from error


def _unreadable(path: Path, error: OSError) -> ProjectError:
    return ProjectError(f"cannot read {shown(path)}", why=f"{error.strerror or error}.")


def _too_large(path: Path, limit: int) -> ProjectError:
    size = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
    return ProjectError(f"{shown(path)} is larger than {size}", why="It was not read.")
