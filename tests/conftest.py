"""Fixtures for all tests: golden files with `--bless`, a separate cache, locally built wheels."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from pwasm import entrypoint
from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from tests.support import marks
from tests.support.paths import GOLDEN, PROJECTS

hypothesis.settings.register_profile("pwasm", deadline=None)  # machines are noisy: a slow example is no failure
hypothesis.settings.load_profile("pwasm")

MAY_BE_NOT_RUN = {"tinygo": "a real TinyGo", "machine": "root and debootstrap"}
"""What the tests with these markers need that not every machine has; in CI there is a machine for the second."""
SECONDS = {
    "tests/machines/test_from_nothing.py": 400,
    # Begun early, and needs nothing of what the second makes for all: the compiled runtime in the cache.
    "tests/test_package.py": 300,
    "tests/filters/test_running.py": 240,
    "tests/envoy/test_filters.py": 120,
    "tests/compiler/build/test_reproducible.py": 115,
    "tests/soak/test_soak.py": 100,
    "tests/compiler/build/test_build_robust.py": 90,
    "tests/compiler/bench/test_with_envoy.py": 90,
    "tests/envoy/test_held_bodies.py": 75,
    "tests/envoy/test_faults.py": 60,
    "tests/envoy/test_twins.py": 55,
    "tests/compiler/component/test_decode.py": 55,
    "tests/conformance/test_conformance.py": 55,
    "tests/sdk/testing/worlds/test_failures.py": 50,
    "tests/sdk/testing/worlds/test_one_body.py": 50,
    "tests/sdk/_guest/test_import_effects.py": 50,
    "tests/compiler/build/test_build_errors.py": 45,
    "filters/routing_table/test_filter.py": 45,
    "tests/sdk/testing/worlds/test_held.py": 40,
    "tests/envoy/test_recursion.py": 45,
    "tests/tools/test_try_packages.py": 40,
    "tests/compiler/envoy/test_run.py": 40,
    "filters/jwt_auth/test_filter.py": 35,
    "filters/api_key/test_filter.py": 30,
    "filters/http_headers/test_filter.py": 30,
}
"""How long the longest files take about, as `make test ARGS=--durations=0` says; only their order matters."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="write the golden files instead of comparing with them")
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped makes the run fail")


def pytest_configure(config: pytest.Config) -> None:
    """Monitor what tests start, and set up the environment that those programs inherit."""
    guard = marks.Guard()
    guard.watch()
    config.pluginmanager.register(guard)
    # Programs that tests end with SIGINT must not inherit that it is ignored, as it is in a shell's background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A run uses more modules than the cache holds otherwise, and would build and compile some of them twice.
    os.environ.setdefault("PWASM_CACHE_LIMIT", "4096")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before -m chooses among them."""
    marks.add(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With --dist loadfile, files that take long are begun first, so that no process is left with one at the end."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class LongestFirst(LoadFileScheduling):
        def _assign_work_unit(self, node: Any) -> None:
            longest = max(self.workqueue, key=lambda file: SECONDS.get(file, 0))
            self.workqueue.move_to_end(longest, last=False)
            super()._assign_work_unit(node)

    return LongestFirst(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip is a failure. The exceptions need tools that no package provides, or privileges that not everybody has."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--no-skips"):
        return
    skipped = reporter.stats.get("skipped", [])
    allowed = [report for report in skipped if MAY_BE_NOT_RUN.keys() & report.keywords.keys()]
    for report in allowed:
        needs = next(needs for marker, needs in MAY_BE_NOT_RUN.items() if marker in report.keywords)
        reporter.write_line(f"NOT RUN: {report.nodeid} needs {needs}")
    if len(skipped) > len(allowed) and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"{len(skipped) - len(allowed)} skipped, and --no-skips was given")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_finish() -> None:
    """Collected items are never freed, so exempt them from garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _memory_is_freed() -> Iterator[None]:
    """VMs of the last module go: the collector does not see that they are large, and would leave them for long."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _nothing_registered() -> Iterator[None]:
    """Each test begins without a registered filter, whatever collecting or another test has imported."""
    entrypoint.clear_registration()
    yield
    entrypoint.clear_registration()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)`: the text is what is in tests/golden/<name>, or becomes it with --bless."""

    def check(name: str, text: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--bless"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.is_file(), f"{file} is missing; make it with --bless"
        assert text == file.read_text(encoding="utf-8"), f"differs from {file}; if that is wanted, use --bless"

    return check


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for this test alone."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PWASM_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def make_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """`make_wheel(name, requires=…, files=…, tag=…)`: a wheel that pip finds, and pip finds no others."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def make(
        name: str,
        *,
        version: str = "1.0",
        requires: Sequence[str] = (),
        files: Mapping[str, str] | None = None,
        tag: str = "py3-none-any",
    ) -> Path:
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        contents = {
            **(files or {f"{name}.py": ""}),
            f"{info}/METADATA": metadata + "".join(f"Requires-Dist: {requirement}\n" for requirement in requires),
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        }
        contents[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in (*contents, f"{info}/RECORD"))
        wheel = folder / f"{name}-{version}-{tag}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for file, text in contents.items():
                archive.writestr(file, text)
        return wheel

    return make


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`built(name)`: the main.wasm of tests/projects/<name> (or of a filter's folder).

    Built once for all processes of a run, and not at all while nothing that it is made of has changed.
    """
    from pwasm.testing.worlds.filters import built_module

    folder = tmp_path_factory.mktemp("built")

    def get(name: str) -> Path:
        output = folder / f"{Path(name).name}.wasm"
        if not output.exists():
            module = built_module((PROJECTS / name).resolve())
            names = module.with_name(f"{module.name}.names")
            if names.exists():  # Go's has none
                shutil.copyfile(names, output.with_name(f"{output.name}.names"))
            shutil.copyfile(module, output)
        return output

    return get


@pytest.fixture
def start(built: Callable[[str], Path]) -> Callable[..., HostEmulator]:
    """`start(name, …)`: a host with the compiled module of tests/projects/<name> in it."""

    def make(name: str, *, environment: dict[str, str] | None = None, **options: Any) -> HostEmulator:
        module = built(name)
        return HostEmulator(plugin=lambda host: WasmPlugin(module, host, environment=environment), **options)

    return make
