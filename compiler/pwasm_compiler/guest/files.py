"""The read-only file tree that the build's guest sees."""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

Read = Callable[[], bytes]


class FileTree:
    """Files by absolute path; folders exist implicitly. Contents are read on demand."""

    def __init__(self) -> None:
        self._files: dict[str, Read] = {}
        self._contents: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._folders: dict[str, set[str]] = {}

    def copy(self) -> FileTree:
        """An independent tree with the same files."""
        tree = FileTree()
        tree._files, tree._contents, tree._sizes = dict(self._files), dict(self._contents), dict(self._sizes)
        tree._folders = {folder: set(names) for folder, names in self._folders.items()}
        return tree

    def add(self, path: str, read: Read) -> None:
        """Add a file at the absolute `path`."""
        self._files[path] = read
        self._contents.pop(path, None)
        self._sizes.pop(path, None)
        child = path
        while child != "/":
            folder, _, name = child.rpartition("/")
            folder = folder or "/"
            known = self._folders.setdefault(folder, set())
            if name in known:
                return
            known.add(name)
            child = folder

    def add_folder(self, mount: str, folder: Path) -> None:
        """Add everything in `folder` under the absolute path `mount`."""
        self._folders.setdefault(mount, set())
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.add(f"{mount}/{path.relative_to(folder).as_posix()}", path.read_bytes)

    def add_archive(self, mount: str, zipped: bytes) -> None:
        """Add everything in a ZIP file under the absolute path `mount`."""
        archive = zipfile.ZipFile(io.BytesIO(zipped))
        for item in archive.infolist():
            path = f"{mount}/{item.filename}"
            self.add(path, functools.partial(archive.read, item))
            self._sizes[path] = item.file_size

    def is_file(self, path: str) -> bool:
        return path in self._files

    def is_folder(self, path: str) -> bool:
        return path in self._folders

    def names(self, folder: str) -> list[str]:
        """The contents of `folder`, sorted."""
        return sorted(self._folders[folder])

    def read(self, path: str) -> bytes:
        found = self._contents.get(path)
        if found is None:
            found = self._contents[path] = self._files[path]()
        return found

    def size(self, path: str) -> int:
        known = self._sizes.get(path)
        return len(self.read(path)) if known is None else known

    def files(self) -> Iterator[str]:
        """The paths of all files, sorted."""
        yield from sorted(self._files)
