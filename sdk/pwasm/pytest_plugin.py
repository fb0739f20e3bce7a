"""pytest plugin: fixtures, markers and options for tests of filters.

    pwasm_world    the filter in each tier of --pwasm-tier: one test body for CPython, the built module, a real Envoy
    pwasm_worlds   the same as a factory, for tests that need several, or decide later
    pwasm_host     makes emulators around classes
    pwasm_module   makes emulators around the built module
    pwasm_envoy    the filter in a real Envoy only

Loaded in every pytest run where pwasm is installed, so it imports nothing of pwasm before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pwasm.testing import HostEmulator
    from pwasm.testing.fixtures import Stages
    from pwasm.testing.world import World
    from pwasm.testing.world_envoy import EnvoyWorld

_TIERS = ("python", "wasm", "envoy")
_MARKERS = (
    "pwasm(**setup): what the filter under test is started with; see pwasm.testing.world.Setup",
    "wasm: builds or loads a real main.wasm",
    "envoy: starts a real Envoy",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pwasm", "filters for Envoy")
    group.addoption(
        "--pwasm-tier",
        metavar="TIERS",
        help="where tests with `pwasm_world` run: python, wasm, envoy, or several with commas (default: python)",
    )
    parser.addini("pwasm_tier", "default of --pwasm-tier", default="python")


def pytest_configure(config: pytest.Config) -> None:
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    _tiers(config)


def _tiers(config: pytest.Config) -> list[str]:
    given = config.getoption("pwasm_tier", None) or config.getini("pwasm_tier")
    tiers = [tier.strip() for tier in given.split(",") if tier.strip()]
    unknown = [tier for tier in tiers if tier not in _TIERS]
    if unknown or not tiers:
        raise pytest.UsageError(f"--pwasm-tier: {given!r} is not a list of {', '.join(_TIERS)}")
    return sorted(set(tiers), key=_TIERS.index)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "_pwasm_tier" in metafunc.fixturenames:
        marks = {"wasm": [pytest.mark.wasm], "envoy": [pytest.mark.wasm, pytest.mark.envoy]}
        tiers = [pytest.param(tier, marks=marks.get(tier, [])) for tier in _tiers(metafunc.config)]
        metafunc.parametrize("_pwasm_tier", tiers, indirect=True)


@pytest.fixture
def _pwasm_tier(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def _pwasm_stages() -> Iterator[Stages]:
    from pwasm.testing.fixtures import Stages

    stages = Stages()
    yield stages
    stages.close()


@pytest.fixture
def pwasm_worlds(
    request: pytest.FixtureRequest, _pwasm_tier: str, _pwasm_stages: Stages
) -> Iterator[Callable[..., World]]:
    """Makes worlds: `pwasm_worlds(configuration=…)`; the marker's set-up with these changes."""
    from pwasm.testing.fixtures import maker

    with maker(request.node, _pwasm_tier, _pwasm_stages) as make:
        yield make


@pytest.fixture
def pwasm_world(pwasm_worlds: Callable[..., World]) -> World:
    """The filter beside the test, in the tier of the run; `@pytest.mark.pwasm(…)` says how it is set up."""
    return pwasm_worlds()


@pytest.fixture
def pwasm_envoy(request: pytest.FixtureRequest, _pwasm_stages: Stages) -> Iterator[EnvoyWorld]:
    """The filter beside the test in a real Envoy, whatever --pwasm-tier says; the driver is its `envoy`."""
    from pwasm.testing.fixtures import maker

    with maker(request.node, "envoy", _pwasm_stages) as make:
        world: Any = make()
        yield world


@pytest.fixture
def pwasm_host() -> type[HostEmulator]:
    """Makes hosts: `pwasm_host(AddHeader, plugin_configuration=b"…")`; see `pwasm.testing.HostEmulator`."""
    from pwasm.testing import HostEmulator

    return HostEmulator


@pytest.fixture
def pwasm_module(request: pytest.FixtureRequest) -> Callable[..., HostEmulator]:
    """Makes hosts around the built module: `pwasm_module(plugin_configuration=b"…")`.

    `filter="main.wasm"` (or a folder, or a .py file), relative to the test, names another than the nearest filter.py.
    """
    from pwasm.testing.fixtures import module_host

    def make(filter: str | Path = "", **options: Any) -> HostEmulator:
        return module_host(request.node, filter, **options)

    return make
