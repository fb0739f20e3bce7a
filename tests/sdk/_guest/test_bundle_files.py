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
