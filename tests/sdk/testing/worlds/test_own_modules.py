"""The filter's own modules are the same in all callbacks of a VM, in CPython too (tests/projects/own_modules)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm.testing import World
from pwasm.testing.worlds.filters import import_for_vm
from tests.support.paths import PROJECTS

FILTER = "../../../projects/own_modules"
Worlds = Callable[..., World]


@pytest.mark.pwasm(filter=FILTER)
def test_pickles_and_late_imports(pwasm_world: World) -> None:
    answers = [pwasm_world.request("GET", "/").text for _ in range(3)]
    assert answers == ["3 1 1 True", "3 2 2 True", "3 3 3 True"]


def test_two_vms_and_the_test_have_modules_of_their_own() -> None:
    path, before = list(sys.path), {name: sys.modules.get(name) for name in ("filter", "counter", "late")}
    (_, one), (_, other) = (import_for_vm(PROJECTS / "own_modules") for _ in "ab")
    with one:
        import counter as of_one  # type: ignore[import-not-found]

        with other:
            import counter as of_other
            import late  # type: ignore[import-not-found]
        assert sys.modules["counter"] is of_one
        assert "late" not in sys.modules
    with other:
        assert (sys.modules["counter"], sys.modules["late"]) == (of_other, late)
    assert of_one is not of_other
    assert {name: sys.modules.get(name) for name in before} == before
    assert sys.path == path


def test_two_filters_with_folders_of_one_name(tmp_path: Path) -> None:
    """Without `__init__.py` a package has no file, only folders."""
    seen = []
    for name in ("one", "other"):
        folder = tmp_path / name / "handlers"
        folder.mkdir(parents=True)
        (folder / "a.py").write_text(f"NAME = {name!r}\n")
        (tmp_path / name / "tester.py").write_text(f"NAME = {name!r}\n")
        (tmp_path / name / "filter.py").write_text(
            "from handlers import a\nimport tester\nSEEN = a.NAME, tester.NAME\n"
        )
        with import_for_vm(tmp_path / name)[1]:
            seen.append(sys.modules["filter"].SEEN)
    assert seen == [("one", "one"), ("other", "other")]
    assert not {"handlers", "handlers.a", "tester"} & sys.modules.keys()
