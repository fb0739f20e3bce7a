"""Every case about a body, beside other filters: what happens is what Envoy did, in every host.

    pytest tests/conformance/test_beside.py -k envoy --bless     write down what Envoy does; then read the difference

All take their steps together in one Envoy, `beside.perform`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm.testing.wasm import WasmPlugin

from . import beside_golden
from .beside_emulator import BesideEmulator
from .beside_envoy import beside_world
from .beside_golden import of_the_case
from .case import Case
from .cases.beside import BESIDE, BODIES, NEIGHBOURS, PAUSING, SIDES
from .emulator_world import python_plugin
from .observe import Outcome

EXPECTED = beside_golden.load()
CASES = [case for _, case in BESIDE.values()]
every_case = pytest.mark.parametrize("case", BODIES, ids=[case.id for case in BODIES])


@pytest.fixture(scope="module")
def wasm_world(built: Callable[[str], Path]) -> BesideEmulator:
    module = built("probe")
    return BesideEmulator(lambda _: lambda host: WasmPlugin(module, host), CASES)


@pytest.fixture(scope="module")
def in_envoy(built: Callable[[str], Path], request: pytest.FixtureRequest) -> dict[str, Outcome]:
    """All of them."""
    with beside_world(built("probe"), built(PAUSING), CASES) as world:
        found = world.run_all(CASES)
        world.envoy.check_alive()
    if request.config.getoption("--bless"):
        EXPECTED.clear()
        EXPECTED.update({name: of_the_case(name, outcome) for name, outcome in found.items()})
        beside_golden.save(EXPECTED)
    return found


def check(case: Case, run: Callable[[Case], Outcome]) -> None:
    """The outcomes beside all neighbours are Envoy's."""
    seen = {name: of_the_case(name, run(one)) for name, (of, one) in BESIDE.items() if of is case}
    assert seen == {name: EXPECTED[name] for name in seen}


@every_case
def test_emulator_with_python(case: Case) -> None:
    check(case, BesideEmulator(lambda tcp: python_plugin(tcp=tcp)).run)


@pytest.mark.wasm
@every_case
def test_emulator_with_wasm(case: Case, wasm_world: BesideEmulator) -> None:
    check(case, wasm_world.run)


@pytest.mark.wasm
@pytest.mark.envoy
@every_case
def test_envoy(case: Case, in_envoy: dict[str, Outcome]) -> None:
    check(case, lambda one: in_envoy[one.id])


def test_the_table() -> None:
    assert len(BODIES) >= 80
    assert len(BESIDE) == len(BODIES) * len(NEIGHBOURS) * len(SIDES) * 2
    assert set(EXPECTED) == set(BESIDE)


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_trailers_that_another_filter_released_are_sent_twice(neighbour: str) -> None:
    """A finding: the second ones come where upstream expects the next request."""
    (request,) = EXPECTED[f"60-hold-request-trailers-and-resume-from-a-tick@{neighbour}-after-late"].upstream
    assert request["rest"] == "0\r\nx-t: 1\r\nx-u: 2\r\n\r\n"
