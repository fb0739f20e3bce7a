"""The filter's own modules are the same in all callbacks of a VM, in CPython too (tests/projects/own_modules)."""

from __future__ import annotations

import sys
from collections.abc import Callable

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
    modules, path = dict(sys.modules), list(sys.path)
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
    assert (sys.modules, sys.path) == (modules, path)
