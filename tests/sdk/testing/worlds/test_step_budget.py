"""A callback that never ends costs one request, in CPython, in wasmtime and in Envoy; tests/projects/step_budget."""

from __future__ import annotations

import pytest

from pwasm.testing import Answer, World
from pwasm.testing.deadline import FilterHangs, limit

pytestmark = pytest.mark.pwasm(filter="../../../projects/step_budget")

EVERYWHERE = ("/forever", "/for", "/generator", "/recursive", "/except", "/callback", "/awaited")
IN_WASM = ("/everything", "/finally", "/del")
"""What goes on when the exception has been raised: in plain Python the time limit ends it."""


@pytest.mark.parametrize("path", EVERYWHERE)
def test_an_endless_loop_is_answered_with_500(pwasm_world: World, path: str) -> None:
    _ends(pwasm_world, path)


@pytest.mark.parametrize("path", IN_WASM)
def test_whoever_goes_on_is_interrupted_again(pwasm_world: World, path: str) -> None:
    if pwasm_world.tier == "python":
        with pytest.raises(FilterHangs), limit(0.5):
            pwasm_world.request("GET", "/finally")
        return
    _ends(pwasm_world, path)


def _ends(world: World, path: str) -> None:
    assert world.request("GET", path).status == 500
    record = world.logs("error")[-1]
    assert "StepBudgetExceeded: more than 20000 steps in one callback" in record
    assert 'File "filter.py"' in record or "step_budget/filter.py" in record
    assert world.request("GET", "/").status == 200


@pytest.mark.pwasm(upstream=Answer(200, {"x-loop": "1"}))
def test_a_loop_in_the_response(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/").status == 500


def test_every_callback_has_the_whole_budget(pwasm_world: World) -> None:
    """Each request takes half of it twice."""
    assert [pwasm_world.request("GET", "/busy").status for _ in range(50)] == [200] * 50
    assert pwasm_world.logs("error") == []


@pytest.mark.pwasm(configuration="loop", starts=False)
def test_a_loop_at_the_start_refuses_the_configuration(pwasm_world: World) -> None:
    assert not pwasm_world.started
    assert any("StepBudgetExceeded" in text for text in pwasm_world.logs("critical"))
