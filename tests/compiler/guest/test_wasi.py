"""The files, clock and randomness that a build's guest sees; the guest's memory is a double."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from pwasm_compiler.guest.files import FileTree
from pwasm_compiler.guest.wasi import FILES, START_OF_TIME, ExitError, Wasi

RESULT = 16


class MemoryDouble:
    """A guest with 64 KiB, whose allocator never frees."""

    def __init__(self) -> None:
        self.bytes = bytearray(1 << 16)
        self.next = 1024

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.bytes[address : address + size])

    def write(self, address: int, data: bytes) -> None:
        self.bytes[address : address + len(data)] = data

    def allocate(self, size: int) -> int:
        self.next += size
        return self.next - size


class Caller:
    """Calls WASI functions as lowered code does; texts are passed as (address, size)."""

    def __init__(self, seed: bytes = b"seed") -> None:
        files = FileTree()
        files.add("/0/filter.py", lambda: b"print()")
        files.add("/0/package/__init__.py", lambda: b"")
        self.wasi = Wasi(files, ("/0",), {"NAME": "value"}, seed)
        self.memory = MemoryDouble()

    def call(self, name: str, *arguments: int | str) -> None:
        flat: list[int] = []
        for argument in arguments:
            if isinstance(argument, str):
                raw = argument.encode()
                address = self.memory.allocate(len(raw))
                self.memory.write(address, raw)
                flat += [address, len(raw)]
            else:
                flat.append(argument)
        self.memory.write(RESULT, b"\xaa" * 256)
        self.wasi.functions()[name](self.memory, *flat, RESULT)

    def word(self, at: int) -> int:
        return int(struct.unpack("<I", self.memory.read(RESULT + at, 4))[0])

    def root(self) -> int:
        self.call("wasi:filesystem/preopens@0.2.0#get-directories")
        return int(struct.unpack("<I", self.memory.read(self.word(0), 4))[0])

    def open(self, name: str, how: int = 0, flags: int = 1) -> int:
        """The handle, or minus the error code."""
        self.call(f"{FILES}[method]descriptor.open-at", self.root(), 0, name, how, flags)
        return self.word(4) if self.memory.read(RESULT, 1) == b"\0" else -self.memory.read(RESULT + 4, 1)[0]


NO_ENTRY, NOT_A_FOLDER, NOT_PERMITTED, READ_ONLY = 20, 24, 31, 33


@pytest.mark.parametrize(
    ("name", "how", "flags", "code"),
    [
        ("missing.py", 0, 1, NO_ENTRY),
        ("filter.py", 2, 1, NOT_A_FOLDER),
        ("new.txt", 1, 2, READ_ONLY),
        ("filter.py", 0, 3, READ_ONLY),
        ("filter.py", 8, 1, READ_ONLY),
        ("../etc/passwd", 0, 1, NOT_PERMITTED),
        ("/etc/passwd", 0, 1, NOT_PERMITTED),
        ("package/../../0x", 0, 1, NOT_PERMITTED),
    ],
)
def test_what_cannot_be_opened(name: str, how: int, flags: int, code: int) -> None:
    assert Caller().open(name, how, flags) == -code


def test_a_file_is_read_to_its_end() -> None:
    caller = Caller()
    caller.call(f"{FILES}[method]descriptor.read-via-stream", caller.open("filter.py"), 2)
    stream = caller.word(4)
    parts = []
    for _ in range(3):
        caller.call("wasi:io/streams@0.2.0#[method]input-stream.read", stream, 4)
        if caller.memory.read(RESULT, 1) == b"\1":
            break
        parts.append(caller.memory.read(caller.word(4), caller.word(8)))
    assert parts == [b"int(", b")"]


def test_a_folder_is_listed_in_order_and_ends() -> None:
    caller = Caller()
    caller.call(f"{FILES}[method]descriptor.read-directory", caller.root())
    stream, found = caller.word(4), []
    while True:
        caller.call(f"{FILES}[method]directory-entry-stream.read-directory-entry", stream)
        if caller.word(4) == 0:
            break
        found.append((caller.memory.read(caller.word(12), caller.word(16)).decode(), caller.word(8)))
    assert found == [("filter.py", 6), ("package", 3)]


def test_a_file_has_the_same_age_everywhere() -> None:
    caller = Caller()
    caller.call(f"{FILES}[method]descriptor.stat-at", caller.root(), 0, "filter.py")
    kind, size, some, seconds = struct.unpack_from("<8xB15xQB7xQ", caller.memory.bytes, RESULT)
    assert (kind, size, some, seconds) == (6, 7, 1, START_OF_TIME // 10**9)


def test_a_handle_that_was_dropped_is_bad() -> None:
    caller = Caller()
    handle = caller.open("filter.py")
    caller.wasi.drop(caller.memory, handle)
    caller.call(f"{FILES}[method]descriptor.stat", handle)
    assert caller.memory.read(RESULT, 9)[::8] == b"\1\3"


def test_randomness_follows_the_seed() -> None:
    def drawn(seed: bytes) -> list[bytes]:
        caller = Caller(seed)
        numbers = []
        for _ in range(2):
            caller.wasi.random_get(caller.memory, 0, 16)
            numbers.append(caller.memory.read(0, 16))
        return numbers

    assert drawn(b"a") == drawn(b"a")
    assert len({*drawn(b"a"), *drawn(b"b")}) == 4


def test_the_clock_starts_in_1980_and_moves_when_somebody_looks() -> None:
    caller = Caller()
    seen = []
    for _ in range(2):
        caller.wasi.clock_time_get(caller.memory, 0, 1, 0)
        seen.append(struct.unpack("<Q", caller.memory.read(0, 8))[0] - START_OF_TIME)
    assert seen == [1000, 2000]


def test_exit_ends_the_run() -> None:
    with pytest.raises(ExitError):
        Caller().wasi.exit(MemoryDouble(), 1)


def test_files_from_folders_and_archives(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"1")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("package/module.py", bytes(1000))
    files = FileTree()
    files.add_folder("/0", tmp_path)
    files.add_archive("/python", packed.getvalue())
    assert list(files.files()) == ["/0/folder/file", "/python/package/module.py"]
    assert (files.read("/0/folder/file"), files.size("/python/package/module.py")) == (b"1", 1000)
    assert (files.names("/"), files.names("/python")) == (["0", "python"], ["package"])
    assert files.is_folder("/python/package")
    assert not files.is_file("/python/package")
