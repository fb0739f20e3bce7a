"""A data file in memory is read as a file on disk is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwasm._guest import bundle_files

CONTENTS = b"first\nsecond, longer\n\nlast without an end"
NUMBER = st.integers(-3, 50)
OPERATION = st.one_of(
    st.tuples(st.sampled_from(["read", "read1", "peek", "readline", "seek"]), NUMBER),
    st.tuples(st.just("seek"), NUMBER, st.sampled_from([0, 1, 2])),
    st.tuples(st.sampled_from(["tell", "readlines", "readable", "writable", "read", "close"])),
    st.tuples(st.just("write"), st.just(b"x")),
)


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("files") / "data"
    path.write_bytes(CONTENTS)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bundle_files, "_files", {str(path): CONTENTS})
        yield path


def outcome(file: Any, name: str, *arguments: object) -> object:
    try:
        found = getattr(file, name)(*arguments)
    except (OSError, ValueError) as error:
        return type(error).__name__
    return bool(found) if name == "peek" else found  # how much it finds is not defined


@pytest.mark.parametrize("buffering", [-1, 0])
@given(operations=st.lists(OPERATION, max_size=20))
def test_bytes(on_disk: Path, buffering: int, operations: list[tuple[Any, ...]]) -> None:
    with io.open(on_disk, "rb", buffering) as real, bundle_files.open_file(on_disk, "rb", buffering) as ours:  # noqa: UP020
        for name, *arguments in operations:
            if hasattr(real, name):
                assert outcome(ours, name, *arguments) == outcome(real, name, *arguments), (name, arguments)


@pytest.mark.parametrize("newline", [None, "", "\n"])
def test_text(on_disk: Path, newline: str | None) -> None:
    with on_disk.open(newline=newline) as real, bundle_files.open_file(on_disk, newline=newline) as ours:
        assert (ours.name, ours.mode, list(ours)) == (str(real.name), real.mode, list(real))


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("", {}), ("rr", {}), ("rbt", {}), ("U", {}), ("b", {}), ("br", {}), ("tr", {}), ("rt", {}),
        ("rb", {"encoding": "utf-8"}), ("rb", {"errors": "strict"}), ("rb", {"newline": ""}), ("r", {"buffering": 0}),
    ],
)  # fmt: skip
def test_modes(on_disk: Path, mode: str, options: dict[str, Any]) -> None:
    """What is no mode is refused as `open` does, whatever the bundle has."""

    def opened(function: Any) -> str:
        try:
            with function(on_disk, mode, **options) as file:
                return type(file).__name__
        except ValueError as error:
            return str(error)

    assert opened(bundle_files.open_file) == opened(io.open)


def test_a_seek_from_nowhere(on_disk: Path) -> None:
    with bundle_files.open_file(on_disk, "rb", 0) as file, pytest.raises(OSError, match="Invalid argument"):
        file.seek(0, 7)


def test_folders_by_text_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_files, "_files", {"/data/a": b"1", "/data/b/c": b"2"})
    monkeypatch.setattr(bundle_files, "_folders", {"/data": ["a", "b"], "/data/b": ["c"]})
    assert bundle_files.list_folder("/data") == ["a", "b"]
    assert bundle_files.list_folder(b"/data") == [b"a", b"b"]
    for path in ("/data", b"/data"):
        one, other = bundle_files.scan_folder(path)
        assert (one.is_file(), one.is_dir(), other.is_file(), other.is_dir()) == (True, False, False, True)
        assert type(one.path) is type(one.name) is type(path)
        assert one.inode() == bundle_files.stat_file("/data/a").st_ino != other.inode()
