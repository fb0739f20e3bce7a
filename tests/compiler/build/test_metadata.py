"""The metadata of dependencies that goes into a module."""

from __future__ import annotations

from pathlib import Path

import pytest

from pwasm_compiler.build.metadata import Metadata, prepare_metadata, without_description

READS = {"lib.py": "import importlib.metadata\nPLUGINS = 'lib.plugins'\n"}
POINTS = """
[console_scripts]
lib = lib.cli:main

[lib.plugins]
tables = lib.tables:Tables [extra]
broken = not a module
nested = lib.sub.deep

[lib.others]
x = lib.others
"""


def install(folder: Path) -> Path:
    dist_info = folder / "lib-1.0.dist-info"
    dist_info.mkdir()
    (dist_info / "METADATA").write_text("Name: lib\nVersion: 1.0\n\n# A long description\n")
    (dist_info / "entry_points.txt").write_text(POINTS)
    (dist_info / "WHEEL").write_text("")
    return dist_info


@pytest.mark.parametrize("text", ["", "metadata = 3", "import importlib.resources", "from importlib import util"])
def test_nothing_if_nobody_reads_it(tmp_path: Path, text: str) -> None:
    install(tmp_path)
    assert prepare_metadata(tmp_path, {"lib.py": text}) == Metadata()


@pytest.mark.parametrize(
    "text",
    [
        "import importlib.metadata",
        "from importlib.metadata import version",
        "from importlib import resources, metadata",
        "import importlib_metadata",
        "importlib.metadata.version('lib')",
    ],
)
def test_it_goes_in_if_somebody_does(tmp_path: Path, text: str) -> None:
    dist_info = install(tmp_path)
    metadata = prepare_metadata(tmp_path, {"lib.py": text})
    assert metadata.files == {"lib-1.0.dist-info/METADATA", "lib-1.0.dist-info/entry_points.txt"}
    assert (dist_info / "METADATA").read_text() == "Name: lib\nVersion: 1.0\n"


def test_plugins_of_groups_that_somebody_names_are_imported(tmp_path: Path) -> None:
    install(tmp_path)
    modules = prepare_metadata(tmp_path, READS).modules
    assert [name for name in modules if name.startswith("lib")] == ["lib.tables", "lib.sub.deep"]


@pytest.mark.parametrize("damaged", ["[a\nb", "x = y", "\0", "[lib.plugins]\nno value\n"])
def test_damaged_entry_points_are_left_to_who_reads_them(tmp_path: Path, damaged: str) -> None:
    (install(tmp_path) / "entry_points.txt").write_text(damaged)
    modules = prepare_metadata(tmp_path, READS).modules
    assert [name for name in modules if name.startswith("lib")] == []


def test_both_places_of_a_description() -> None:
    old = b"Name: a\nDescription: one\n        two\n        |three\nVersion: 1\n\nbody"
    assert without_description(old) == b"Name: a\nVersion: 1\n"
    assert without_description(b"Name: a\r\nVersion: 1\r\n\r\nbody") == b"Name: a\nVersion: 1\n"
