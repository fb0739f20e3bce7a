"""Chains of filters: every case in three hosts, with the real ext_authz and Lua in Envoy, and their doubles elsewhere.

    pytest tests/conformance/test_chains.py -k envoy --bless     write down what Envoy does

The filter is the probe, in one chain for each listener. Between two pieces of a body nothing happens in Envoy any more:
its only worker has served other requests since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pwasm.testing.wasm import WasmPlugin

from . import expected
from .case import Case
from .cases.chains import CHAINS
from .chain_worlds import ChainEmulator, ChainWorld, chain_world
from .emulator_world import python_plugin
from .observe import Called, Outcome

EXPECTED = expected.load(expected.CHAINS)
every_case = pytest.mark.parametrize("case", CHAINS, ids=[case.id for case in CHAINS])


@pytest.fixture(scope="module")
def wasm_world(built: Callable[[str], Path]) -> ChainEmulator:
    module = built("probe")
    return ChainEmulator(lambda _: lambda host: WasmPlugin(module, host))


@pytest.fixture(scope="module")
def real_world(built: Callable[[str], Path], request: pytest.FixtureRequest) -> Iterator[ChainWorld]:
    with chain_world(built("probe"), CHAINS) as world:
        yield world
        world.envoy.check_alive()
    if request.config.getoption("--bless"):
        seen = {case.id: world.outcomes.get(case.id, EXPECTED.get(case.id, Outcome())) for case in CHAINS}
        expected.save(seen, expected.CHAINS)


@every_case
def test_emulator_with_python(case: Case) -> None:
    assert ChainEmulator(lambda tcp: python_plugin(tcp=tcp)).run(case) == EXPECTED[case.id]


@pytest.mark.wasm
@every_case
def test_emulator_with_wasm(case: Case, wasm_world: ChainEmulator) -> None:
    assert wasm_world.run(case) == EXPECTED[case.id]


@pytest.mark.wasm
@pytest.mark.envoy
@every_case
def test_envoy(case: Case, real_world: ChainWorld, request: pytest.FixtureRequest) -> None:
    outcome = real_world.run(case)
    if request.config.getoption("--bless"):
        real_world.outcomes[case.id] = outcome
    else:
        assert outcome == EXPECTED[case.id]


def test_the_table() -> None:
    names = [case.id for case in CHAINS]
    assert len(names) == len(set(names)) >= 140
    assert set(EXPECTED) == set(names)


@pytest.mark.parametrize("listener", ["authz-after", "lua-after", "connecting"])
def test_a_paused_body_is_released_by_others(listener: str) -> None:
    """The finding itself, as Envoy showed it: the filter never sees the body as one, and upstream gets all of it."""
    seen = EXPECTED[f"{listener}-1-request-holds-until-the-end"]
    read = [
        entry.results[0]["data"] for entry in seen.log if isinstance(entry, Called) and entry.callback == "request_body"
    ]
    assert read == ["evil", "rest", "rest"]
    assert seen.upstream[0]["body"] == "evilrest"
