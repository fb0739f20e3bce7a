"""Every room of the source has its tests, every folder of tests its room, and CONTRIBUTING.md says which."""

from __future__ import annotations

import pytest

from tests.conftest import SECONDS
from tests.support import rooms
from tests.support.paths import ROOT


@pytest.mark.parametrize("room", list(rooms.rooms()))
def test_a_room_has_tests(room: str) -> None:
    own, *beside = rooms.tests_of(room)
    assert own == room or "tests/" in own
    assert [test for test in (own, *beside) if not (ROOT / test).exists()] == []
    assert list((ROOT / own).rglob("test_*.py"))


def test_a_folder_of_tests_has_a_room() -> None:
    own = {rooms.tests_of(room)[0] for room in rooms.rooms()}
    folders = {
        str(file.parent.relative_to(ROOT))
        for tests in rooms.SOURCES.values()
        for file in (ROOT / tests).rglob("test_*.py")
    }
    assert folders - own == set()


def test_nothing_stands_beside_a_room_that_is_not_there() -> None:
    assert set(rooms.BESIDE) - set(rooms.rooms()) == set()


def test_the_longest_files_are_there() -> None:
    """A file that has another name now would be begun last without a word."""
    assert [file for file in SECONDS if not (ROOT / file).is_file()] == []


def test_the_table_in_the_document() -> None:
    assert rooms.table() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), "python -m tests.support.rooms"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("link", ["compiler/pwasm_compiler/link"]),
        ("compiler/pwasm_compiler/link/", ["compiler/pwasm_compiler/link"]),
        ("async", ["sdk/pwasm/_async"]),
        ("pwasm", ["sdk/pwasm"]),
        ("nowhere", []),
    ],
)
def test_a_room_is_named_by_the_end_of_its_path(name: str, found: list[str]) -> None:
    assert rooms.named(name) == found


def test_a_name_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert rooms.main(["nowhere"]) == 1
    assert capsys.readouterr().err.startswith("'nowhere' is no room; there are: sdk/pwasm, ")
