"""Every case of the table in three hosts: the recorded behavior of Envoy is that of Envoy now, and of the emulator.

    pytest tests/conformance                         all three (one build, one Envoy)
    pytest tests/conformance -m 'not wasm and not envoy'   the emulator with the probe's classes
    pytest tests/conformance -k envoy --bless        write down what Envoy does; then read the difference

When Envoy differs from the emulator, Envoy is right.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pwasm.testing.wasm import WasmPlugin

from . import expected
from .case import Case
from .cases.actions import ACTIONS
from .cases.crashes import CRASHES
from .cases.table import CASES
from .emulator_world import EmulatorWorld, python_plugin
from .envoy_world import World, envoy_world
from .observe import Outcome

EXPECTED = expected.load()
every_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


@pytest.fixture(scope="module")
def python_world() -> EmulatorWorld:
    return EmulatorWorld(lambda tcp: python_plugin(tcp=tcp))


@pytest.fixture(scope="module")
def wasm_world(built: Callable[[str], Path]) -> EmulatorWorld:
    module = built("probe")
    return EmulatorWorld(lambda _: lambda host: WasmPlugin(module, host), CASES)


@pytest.fixture(scope="module")
def real_world(built: Callable[[str], Path], request: pytest.FixtureRequest) -> Iterator[World]:
    with envoy_world(built("probe"), CASES) as world:
        yield world
        world.envoy.check_alive()
    if request.config.getoption("--bless"):
        expected.save({case.id: world.outcomes.get(case.id, EXPECTED.get(case.id, Outcome())) for case in CASES})


def check(case: Case, outcome: Outcome) -> None:
    """The outcome is Envoy's, unless it is known and explained that it is not."""
    if case.id in expected.EXCLUDED:
        return
    assert case.id in EXPECTED, "no Envoy has run this case yet: pytest tests/conformance -k envoy --bless"
    assert outcome == EXPECTED[case.id]


@every_case
def test_emulator_with_python(case: Case, python_world: EmulatorWorld) -> None:
    check(case, python_world.run(case))


@pytest.mark.wasm
@every_case
def test_emulator_with_wasm(case: Case, wasm_world: EmulatorWorld) -> None:
    check(case, wasm_world.run(case))


@pytest.mark.wasm
@pytest.mark.envoy
@every_case
def test_envoy(case: Case, real_world: World, request: pytest.FixtureRequest) -> None:
    outcome = real_world.run(case)
    if request.config.getoption("--bless"):
        real_world.outcomes[case.id] = outcome
    else:
        check(case, outcome)


def test_the_table() -> None:
    names = [case.id for case in CASES]
    assert len(names) == len(set(names)) >= 300
    assert set(expected.EXCLUDED) <= set(names)
    assert len(expected.EXCLUDED) <= 10
    assert set(EXPECTED) == set(names)


def test_every_number_of_the_design_notes_is_somewhere() -> None:
    names = [case.id for case in (*CASES, *CRASHES, *ACTIONS)]
    numbers = {int(found[1]) for name in names if (found := re.match(r"(\d+)-", name))}
    assert numbers | {number for tested in expected.ELSEWHERE.values() for number in tested} == set(range(1, 123))
    assert [test for test in expected.ELSEWHERE if not is_a_test(*test.split("::"))] == []


def is_a_test(file: str, function: str) -> bool:
    """Whether the file has this test."""
    path = Path(__file__).parents[2] / file
    names = {node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.FunctionDef)}
    return function.startswith("test_") and function in names
