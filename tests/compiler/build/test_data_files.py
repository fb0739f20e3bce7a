"""Data files of a module, and what is said about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pwasm_compiler.build.data_files import MUCH, find_data_files, imported_by_resources, note_of, warnings_of
from pwasm_compiler.guest.staged import DataFile

STAGED = (
    *("filter.py", "table.csv", "i18n/de.txt", "own/__init__.py", "own/a.txt"),
    *("dep/__init__.py", "dep/b.txt", "LICENSE", "dep-1.dist-info/METADATA", "dep-1.dist-info/WHEEL", "bin/tool"),
)
OWN = frozenset(STAGED[:5])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in STAGED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("12345")
    return tmp_path


def test_what_is_kept(folder: Path) -> None:
    found = find_data_files(folder, OWN, frozenset({"dep-1.dist-info/METADATA"}))
    assert [(file.name, file.own) for file in found] == [
        ("dep/b.txt", False),
        ("dep-1.dist-info/METADATA", False),
        ("i18n/de.txt", True),
        ("own/a.txt", True),
        ("table.csv", True),
    ]
    assert imported_by_resources(folder, found) == ["dep", "i18n", "importlib.readers", "own"]
    assert note_of(found) == "3 data files of the filter in the module (15 bytes): i18n/de.txt, own/a.txt, table.csv"
    assert warnings_of(folder, found) == []


def test_what_type_checkers_and_compilers_read_is_no_data_of_a_dependency(folder: Path) -> None:
    (folder / "dep/b.txt").unlink()
    for name in ("dep/__init__.pyi", "dep/py.typed", "dep/_speed.pyx", "dep/_speed.c", "own/stub.pyi"):
        (folder / name).touch()
    found = find_data_files(folder, OWN | {"own/stub.pyi"})
    assert [file.name for file in found] == ["i18n/de.txt", "own/a.txt", "own/stub.pyi", "table.csv"]
    assert "dep" not in imported_by_resources(folder, found)


def test_many_files_are_counted() -> None:
    files = [DataFile(f"{number}.txt", 1 << 10, True) for number in range(7)]
    assert note_of(files).startswith("7 data files of the filter in the module (7.0 KiB): 0.txt, ")
    assert note_of(files).endswith("4.txt, …")
    assert note_of([DataFile("dep/a.txt", 1, False)]) == ""


def test_much_data_is_a_warning(folder: Path) -> None:
    (folder / "i18n/de.txt").write_bytes(bytes(MUCH + 1))
    (warning,) = warnings_of(folder, find_data_files(folder, OWN))
    assert warning == (
        "the data files take 1.0 MiB of the module and of every VM's memory; the largest is i18n/de.txt (1.0 MiB)"
    )


@pytest.mark.parametrize("kind", ["", "RSA ", "ENCRYPTED ", "OPENSSH "])
def test_a_private_key_is_a_warning(folder: Path, kind: str) -> None:
    (folder / "table.csv").write_text(f"-----BEGIN {kind}PRIVATE KEY-----\nMII")
    (folder / "own/a.txt").write_text("-----BEGIN PUBLIC KEY-----\nMII")
    (warning,) = warnings_of(folder, find_data_files(folder, OWN))
    assert warning == "table.csv contains a private key, which everyone who has the module can read"
