"""The bundle's data files for code that opens them by path: `open(Path(__file__).parent / "x")`, `iterdir`, `glob`.

A VM has no files, so `open` looks into the bundle first, and the functions of `os` that `pathlib`, `os.path` and `glob`
build on look there after Python's own have failed: at build they see the modules, too, which libraries search for
plugins. It can only be read: what opens a file of the bundle to write gets the error of a read-only file system. Every
other path fails in a VM as before. Installed only if the bundle has data files.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import posixpath
import stat
import sys
from collections.abc import Callable, Iterator, Mapping

from .._typing import Any, TypeVar

_T = TypeVar("_T")

_open, _stat, _lstat, _listdir, _scandir = io.open, os.stat, os.lstat, os.listdir, os.scandir
_access, _open_code, _open_descriptor = os.access, io.open_code, os.open
_FILE, _FOLDER = stat.S_IFREG | 0o444, stat.S_IFDIR | 0o555

_files: Mapping[str, bytes] = {}
_folders: dict[str, list[str]] = {}
"""The contents of each folder that contains data files."""
_inodes: dict[str, int] = {}


def install(root: str, files: Mapping[str, bytes]) -> None:
    """Show `files`, by absolute path below the folder `root`, to everything that opens files."""
    global _files
    _files = files
    found: dict[str, set[str]] = {root: set()}
    for path in files:
        child = path
        while child != root:
            folder, _, name = child.rpartition("/")
            found.setdefault(folder, set()).add(name)
            child = folder
    _folders.update((folder, sorted(names)) for folder, names in found.items())
    builtins.open = io.open = open_file
    io.open_code = open_code
    if "tokenize" in sys.modules:  # it has kept the original; `linecache` opens files with it
        sys.modules["tokenize"]._builtin_open = open_file  # type: ignore[attr-defined]
    os.access, os.open = access, open_descriptor
    os.stat, os.lstat = stat_file, lstat_file
    os.listdir = list_folder
    os.scandir = scan_folder


def open_file(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """`open`"""
    path = _known(file)
    if path is None or opener is not None:
        return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    if path in _folders:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not set(mode).isdisjoint("wax+"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
    in_binary = "b" in mode
    as_usual = sorted(mode) in (["r"], ["b", "r"], ["r", "t"])
    if not as_usual or (any((encoding, errors, newline is not None)) if in_binary else buffering == 0):
        return _open(file, mode, buffering, encoding, errors, newline)  # raises ValueError before it opens anything
    raw = File(path)
    if in_binary:
        return raw if buffering == 0 else io.BufferedReader(raw)
    text = io.TextIOWrapper(io.BufferedReader(raw), encoding, errors, newline)
    text.mode = mode  # type: ignore[misc]  # as `open` does
    return text


class File(io.RawIOBase):
    """A file of the bundle."""

    mode = "rb"

    def __init__(self, path: str) -> None:
        self.name, self._contents, self._at = path, _files[path], 0

    def readable(self) -> bool:
        self._check()
        return True

    def seekable(self) -> bool:
        self._check()
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._check()
        found = self._contents[self._at : self._at + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def readall(self) -> bytes:
        self._check()
        found, self._at = self._contents[self._at :], max(self._at, len(self._contents))
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._check()
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._contents)}
        if whence not in starts:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        at = offset + starts[whence]
        if at < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = at
        return at

    def writable(self) -> bool:
        self._check()
        return False

    def write(self, _data: Any, /) -> int:
        self._check()
        raise io.UnsupportedOperation("write")

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")


def open_code(path: Any) -> Any:
    """`io.open_code`"""
    return _open_code(path) if _known(path) is None else open_file(path, "rb")


def open_descriptor(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """`os.open`"""
    known = _known(path)
    if known is None:
        return _open_descriptor(path, flags, mode, dir_fd=dir_fd)
    if flags & (os.O_WRONLY | os.O_CREAT | os.O_TRUNC):  # in a VM, O_RDWR has the bits of O_RDONLY and O_WRONLY
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), known)
    raise OSError(errno.ENOTSUP, "a file in a module has no descriptor, read it with open()", known)


def access(path: Any, mode: int, **options: Any) -> bool:
    """`os.access`"""
    known = _known(path)
    if known is None:
        return _access(path, mode, **options)
    return not mode & os.W_OK and (known in _folders or not mode & os.X_OK)


def stat_file(path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
    """`os.stat`"""
    return _or(_status, path, lambda: _stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks))


def lstat_file(path: Any, *, dir_fd: int | None = None) -> os.stat_result:
    """`os.lstat`"""
    return _or(_status, path, lambda: _lstat(path, dir_fd=dir_fd))


def list_folder(path: Any = ".") -> list[Any]:
    """`os.listdir`"""
    return _or(lambda known: [_like(path, name) for name in _names(known)], path, lambda: _listdir(path))


def scan_folder(path: Any = ".") -> Any:
    """`os.scandir`"""
    return _or(lambda known: Scan([Entry(path, known, name) for name in _names(known)]), path, lambda: _scandir(path))


def _like(path: Any, name: str) -> Any:
    """`name` as bytes if `path` is: what finds files by bytes gets bytes."""
    return os.fsencode(name) if isinstance(os.fspath(path), bytes) else name


def _or(ours: Callable[[str], _T], path: Any, original: Callable[[], _T]) -> _T:
    """What Python's own function returns or, if it fails, ours for a path in the bundle."""
    try:
        return original()
    except OSError:
        known = _known(path)
        if known is None:
            raise
    return ours(known)


class Scan:
    """What `os.scandir` returns."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries: Iterator[Entry] = iter(entries)

    def __iter__(self) -> Scan:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)

    def __enter__(self) -> Scan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""


class Entry:
    """`os.DirEntry`"""

    def __init__(self, asked: Any, folder: str, name: str) -> None:
        self._known = f"{folder}/{name}"
        self.name, self.path = _like(asked, name), _like(asked, self._known)

    def __fspath__(self) -> Any:
        return self.path

    def is_dir(self, **_options: Any) -> bool:
        return self._known in _folders

    def is_file(self, **_options: Any) -> bool:
        return self._known in _files

    def is_symlink(self) -> bool:
        return False

    def is_junction(self) -> bool:
        return False

    def inode(self) -> int:
        return _status(self._known).st_ino

    def stat(self, **_options: Any) -> os.stat_result:
        return _status(self._known)


def _known(path: Any) -> str | None:
    """The path in the bundle that `path` means, or None."""
    if isinstance(path, int):
        return None
    text = os.fsdecode(path)
    if text not in _files and text not in _folders:
        text = posixpath.normpath(text)
    return text if text in _files or text in _folders else None


def _names(folder: str) -> list[str]:
    if folder not in _folders:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    return _folders[folder]


def _status(path: str) -> os.stat_result:
    mode, size = (_FOLDER, 0) if path in _folders else (_FILE, len(_files[path]))
    times = {"st_atime_ns": 0, "st_ctime_ns": 0, "st_mtime_ns": 0}
    inode = _inodes.setdefault(path, len(_inodes) + 1)  # `samefile` compares them
    return os.stat_result((mode, inode, 0, 1, 0, 0, size, 0, 0, 0), times)
