"""WASI for a build's guest: read-only files, a fixed environment, and a deterministic clock and randomness.

Only what the runtime shim cannot answer by itself is here, under the names that the linker gives to unbound imports:
functions of WASI 0.2 on files and the environment, and the four preview 1 functions that the shim imports. Signatures
are those after lowering (component-model, CanonicalABI.md): a result that does not fit into one value is written to
the address in the last parameter, as in the shim's src/wasi.c.
"""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .files import FileTree

FILES = "wasi:filesystem/types@0.2.0#"
START_OF_TIME = 315_532_800 * 1_000_000_000
"""1980-01-01 00:00 UTC in nanoseconds: the time shown by clocks at build. The earliest date in a ZIP file."""
_TICK = 1_000
"""Nanoseconds between two readings of a clock, so that a loop that waits for a point in time ends."""

_MODIFIED = START_OF_TIME // 1_000_000_000
_FOLDER, _FILE = 3, 6  # descriptor-type
_ACCESS_READ = 1  # descriptor-flags
_OPEN_CREATE, _OPEN_FOLDER, _OPEN_TRUNCATE = 1, 2, 8  # open-flags
_BAD_DESCRIPTOR, _NO_ENTRY, _NOT_A_FOLDER, _NOT_PERMITTED, _READ_ONLY = 3, 20, 24, 31, 33  # error-code
_INVALID = 12
_STREAM_CLOSED = 1


class ExitError(Exception):
    """The interpreter exited the process."""


class Guest(Protocol):
    """The guest's memory, as needed to answer calls."""

    def read(self, address: int, size: int) -> bytes: ...

    def write(self, address: int, data: bytes) -> None: ...

    def allocate(self, size: int) -> int: ...


@dataclass
class Descriptor:
    """An open file or folder; `position` is that of a stream."""

    path: str
    position: int = 0


@dataclass
class Wasi:
    """The implementation. Handles are numbers that are never reused."""

    files: FileTree
    mounts: tuple[str, ...]
    environment: Mapping[str, str]
    seed: bytes
    prints: list[str] = field(default_factory=list)
    _open: dict[int, Descriptor] = field(default_factory=dict)
    _next: int = 5000  # the shim's own handles are below
    _time: int = START_OF_TIME
    _drawn: int = 0

    def copy(self, files: FileTree) -> Wasi:
        """For a guest that continues from the memory of this one's guest, and sees `files`."""
        opened = {handle: Descriptor(found.path, found.position) for handle, found in self._open.items()}
        return dataclasses.replace(self, files=files, prints=[], _open=opened)

    def functions(self) -> dict[str, Callable[..., int | None]]:
        """`<interface>#<function>` → answer; each takes the guest, then the core parameters."""
        return {
            "wasi:cli/environment@0.2.0#get-environment": self.get_environment,
            "wasi:cli/exit@0.2.0#exit": self.exit,
            "wasi:filesystem/preopens@0.2.0#get-directories": self.get_directories,
            f"{FILES}[method]descriptor.open-at": self.open_at,
            f"{FILES}[method]descriptor.stat": self.stat,
            f"{FILES}[method]descriptor.stat-at": self.stat_at,
            f"{FILES}[method]descriptor.readlink-at": self.readlink_at,
            f"{FILES}[method]descriptor.get-flags": self.get_flags,
            f"{FILES}[method]descriptor.metadata-hash": self.metadata_hash,
            f"{FILES}[method]descriptor.metadata-hash-at": self.metadata_hash_at,
            f"{FILES}[method]descriptor.read": self.read,
            f"{FILES}[method]descriptor.read-via-stream": self.read_via_stream,
            f"{FILES}[method]descriptor.read-directory": self.read_directory,
            f"{FILES}[method]directory-entry-stream.read-directory-entry": self.read_directory_entry,
            f"{FILES}[resource-drop]descriptor": self.drop,
            f"{FILES}[resource-drop]directory-entry-stream": self.drop,
            "wasi:io/streams@0.2.0#[method]input-stream.read": self.stream_read,
            "wasi:io/streams@0.2.0#[resource-drop]input-stream": self.drop,
        }

    def preview1(self) -> dict[str, Callable[..., int | None]]:
        """The same for the functions of preview 1 that the shim imports."""
        return {
            "clock_time_get": self.clock_time_get,
            "random_get": self.random_get,
            "environ_sizes_get": self.environ_sizes_get,
            "environ_get": self.environ_get,
        }

    # --- environment ---

    def get_environment(self, guest: Guest, result: int) -> None:
        pairs = b""
        for name, value in self.environment.items():
            for text in (name.encode(), value.encode()):
                pairs += struct.pack("<II", _place(guest, text), len(text))
        guest.write(result, struct.pack("<II", _place(guest, pairs), len(self.environment)))

    def exit(self, _guest: Guest, _status: int) -> None:
        raise ExitError

    # --- files ---

    def get_directories(self, guest: Guest, result: int) -> None:
        entries = b""
        for mount in self.mounts:
            name = mount.encode()
            entries += struct.pack("<III", self._add(mount), _place(guest, name), len(name))
        guest.write(result, struct.pack("<II", _place(guest, entries), len(self.mounts)))

    def open_at(
        self, guest: Guest, handle: int, _path_flags: int, name: int, size: int, how: int, flags: int, result: int
    ) -> None:
        path = self._resolve(guest, handle, name, size)
        if path is None:
            return _error(guest, result, 4, _NOT_PERMITTED)
        if how & (_OPEN_CREATE | _OPEN_TRUNCATE) or flags & ~_ACCESS_READ:
            return _error(guest, result, 4, _READ_ONLY)
        if not self.files.is_folder(path):
            if not self.files.is_file(path):
                return _error(guest, result, 4, _NO_ENTRY)
            if how & _OPEN_FOLDER:
                return _error(guest, result, 4, _NOT_A_FOLDER)
        return guest.write(result, struct.pack("<II", 0, self._add(path)))

    def stat(self, guest: Guest, handle: int, result: int) -> None:
        found = self._open.get(handle)
        self._write_stat(guest, result, found.path if found else None, _BAD_DESCRIPTOR)

    def stat_at(self, guest: Guest, handle: int, _path_flags: int, name: int, size: int, result: int) -> None:
        self._write_stat(guest, result, self._resolve(guest, handle, name, size), _NO_ENTRY)

    def _write_stat(self, guest: Guest, result: int, path: str | None, missing: int) -> None:
        if path is not None and self.files.is_folder(path):
            kind, size = _FOLDER, 0
        elif path is not None and self.files.is_file(path):
            kind, size = _FILE, self.files.size(path)
        else:
            return _error(guest, result, 8, missing)
        time = struct.pack("<B7xQI4x", 1, _MODIFIED, 0)  # option<datetime>
        return guest.write(result, struct.pack("<QB7xQQ", 0, kind, 1, size) + 3 * time)

    def readlink_at(self, guest: Guest, handle: int, name: int, size: int, result: int) -> None:
        path = self._resolve(guest, handle, name, size)
        exists = path is not None and (self.files.is_file(path) or self.files.is_folder(path))
        _error(guest, result, 4, _INVALID if exists else _NO_ENTRY)  # there are no links

    def get_flags(self, guest: Guest, handle: int, result: int) -> None:
        if handle in self._open:
            guest.write(result, bytes([0, _ACCESS_READ]))
        else:
            _error(guest, result, 1, _BAD_DESCRIPTOR)

    def metadata_hash(self, guest: Guest, handle: int, result: int) -> None:
        found = self._open.get(handle)
        self._write_hash(guest, result, found.path if found else None, _BAD_DESCRIPTOR)

    def metadata_hash_at(self, guest: Guest, handle: int, _path_flags: int, name: int, size: int, result: int) -> None:
        path = self._resolve(guest, handle, name, size)
        exists = path is not None and (self.files.is_file(path) or self.files.is_folder(path))
        self._write_hash(guest, result, path if exists else None, _NO_ENTRY)

    def _write_hash(self, guest: Guest, result: int, path: str | None, missing: int) -> None:
        """libc derives inode numbers from it."""
        if path is None:
            _error(guest, result, 8, missing)
        else:
            guest.write(result, bytes(8) + hashlib.sha256(path.encode()).digest()[:16])

    def read(self, guest: Guest, handle: int, size: int, offset: int, result: int) -> None:
        found = self._open.get(handle)
        if found is None or not self.files.is_file(found.path):
            return _error(guest, result, 4, _BAD_DESCRIPTOR)
        contents = self.files.read(found.path)
        part = contents[offset : offset + size]
        at_end = offset + len(part) >= len(contents)
        return guest.write(result, struct.pack("<IIIB", 0, _place(guest, part), len(part), at_end))

    def read_via_stream(self, guest: Guest, handle: int, offset: int, result: int) -> None:
        found = self._open.get(handle)
        if found is None or not self.files.is_file(found.path):
            return _error(guest, result, 4, _BAD_DESCRIPTOR)
        return guest.write(result, struct.pack("<II", 0, self._add(found.path, offset)))

    def stream_read(self, guest: Guest, handle: int, size: int, result: int) -> None:
        """Read a file's stream; standard input, one of the shim's handles, is empty."""
        found = self._open.get(handle)
        part = b"" if found is None else self.files.read(found.path)[found.position : found.position + size]
        if found is None or (size and not part):
            return _error(guest, result, 4, _STREAM_CLOSED)
        found.position += len(part)
        return guest.write(result, struct.pack("<III", 0, _place(guest, part), len(part)))

    def read_directory(self, guest: Guest, handle: int, result: int) -> None:
        found = self._open.get(handle)
        if found is None or not self.files.is_folder(found.path):
            return _error(guest, result, 4, _NOT_A_FOLDER if found else _BAD_DESCRIPTOR)
        return guest.write(result, struct.pack("<II", 0, self._add(found.path)))

    def read_directory_entry(self, guest: Guest, handle: int, result: int) -> None:
        found = self._open.get(handle)
        if found is None:
            return _error(guest, result, 4, _BAD_DESCRIPTOR)
        names = self.files.names(found.path)
        if found.position == len(names):
            return guest.write(result, bytes(8))  # ok(none)
        name = names[found.position]
        found.position += 1
        kind = _FOLDER if self.files.is_folder(posixpath.join(found.path, name)) else _FILE
        raw = name.encode()
        return guest.write(result, struct.pack("<IIIII", 0, 1, kind, _place(guest, raw), len(raw)))

    def drop(self, _guest: Guest, handle: int) -> None:
        self._open.pop(handle, None)

    def _add(self, path: str, position: int = 0) -> int:
        self._next += 1
        self._open[self._next] = Descriptor(path, position)
        return self._next

    def _resolve(self, guest: Guest, handle: int, name: int, size: int) -> str | None:
        """The path for a name relative to an open folder; None if outside of it."""
        found = self._open.get(handle)
        if found is None:
            return None
        path = posixpath.normpath(posixpath.join(found.path, guest.read(name, size).decode("utf-8", "replace")))
        return path if any(path == mount or path.startswith(mount + "/") for mount in self.mounts) else None

    # --- preview 1 ---

    def clock_time_get(self, guest: Guest, clock: int, _precision: int, result: int) -> int:
        self._time += _TICK
        guest.write(result, struct.pack("<Q", self._time if clock == 0 else self._time - START_OF_TIME))
        return 0

    def random_get(self, guest: Guest, buffer: int, size: int) -> int:
        """Derived from the seed: randomness drawn at build is not secret, and the SDK reseeds when a VM starts."""
        self._drawn += 1
        label = b"pwasm build randomness %d\0" % self._drawn
        guest.write(buffer, hashlib.shake_256(label + self.seed).digest(size))
        return 0

    def environ_sizes_get(self, guest: Guest, count: int, size: int) -> int:
        guest.write(count, bytes(4))
        guest.write(size, bytes(4))
        return 0

    def environ_get(self, _guest: Guest, _pointers: int, _buffer: int) -> int:
        return 0


def _place(guest: Guest, data: bytes) -> int:
    """Address of a copy of `data` that the guest owns and frees."""
    if not data:
        return 4
    address = guest.allocate(len(data))
    guest.write(address, data)
    return address


def _error(guest: Guest, result: int, payload: int, code: int) -> None:
    """A failed `result`: the discriminant, then the code at the alignment of the success value."""
    guest.write(result, b"\1")
    guest.write(result + payload, bytes([code]))
