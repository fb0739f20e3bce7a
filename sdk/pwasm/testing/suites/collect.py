"""Collection of suites by pytest: each test of a suite is an item in each tier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ..worlds.filters import SetupError, find_filter, is_filter, is_python
from ..worlds.fixtures import Bench, Stages
from .run import answer_of_test, no_pattern, run_test
from .suite import Suite, SuiteError, Test, load_suite

__all__ = ["SuiteFile"]
_MODULE = "main.wasm"


class SuiteFile(pytest.File):
    """A file of tests in YAML."""

    tiers: list[str]
    stages: Stages
    module: str
    """The path given by --pwasm-module, or ""."""
    bench: Mapping[str, Any]
    """Options of each test's `Bench`."""
    keep: Callable[[pytest.Item, Bench], None]

    def collect(self) -> Iterable[pytest.Item]:
        """Collect the items; an invalid suite is a collection error."""
        try:
            suite = load_suite(self.path)
        except SuiteError as error:
            raise self.CollectError(str(error)) from error
        named = self._filter(suite)
        for test in suite.tests:
            for tier in self._tiers(suite, test, named):
                item = SuiteItem.from_parent(self, name=f"{no_pattern(test.name)}[{tier}]")
                item.plan(suite, test, tier, named)
                yield item

    def _filter(self, suite: Suite) -> str:
        """The filter under test: --pwasm-module, or the suite's wasm_path, or the filter or main.wasm next to it."""
        if self.module:
            return self.module
        if suite.wasm_path is not None:
            return str(suite.wasm_path)
        beside = self.path.parent / _MODULE
        return str(beside) if beside.is_file() and not is_filter(self.path.parent) else ""

    def _tiers(self, suite: Suite, test: Test, named: str) -> list[str]:
        tiers = list(self.tiers)
        if not self._is_python(named):
            tiers = [tier for tier in tiers if tier != "python"] or ["wasm"]
        if suite.time_seconds is not None or test.own_host_only:
            tiers = [tier for tier in tiers if tier != "envoy"]  # Envoy has its own clock and properties
        return tiers

    def _is_python(self, named: str) -> bool:
        try:
            return is_python(find_filter(named, self.path, self.config.rootpath))
        except SetupError:
            return True  # there is no filter, which the test will report

    def teardown(self) -> None:
        """Called after the last test of the file."""
        self.stages.close()


class SuiteItem(pytest.Item):
    """A test of a suite in one tier."""

    def plan(self, suite: Suite, test: Test, tier: str, named: str) -> None:
        """Set the test to run."""
        self._suite, self._test, self._tier, self._named = suite, test, tier, named
        for mark in {"wasm": ["wasm"], "envoy": ["wasm", "envoy"]}.get(tier, []):
            self.add_marker(mark)

    def setup(self) -> None:
        """Create the world."""
        parent = self.parent
        assert isinstance(parent, SuiteFile)
        self.bench = Bench(self, self._tier, parent.stages, **parent.bench)
        parent.keep(self, self.bench)
        self._world = self.bench.world(
            filter=self._named,
            configuration=self._suite.configuration,
            upstream=answer_of_test(self._test),
            time=self._suite.time_seconds,
        )
        for host in getattr(self._world, "hosts", ()):
            for path, value in self._test.properties:
                host.properties[tuple(path.split("."))] = value.encode()

    def runtest(self) -> None:
        """Run the test; fails with all deviations."""
        wrong = run_test(self._world, self._suite, self._test)
        if wrong:
            pytest.fail("\n".join(wrong), pytrace=False)

    def teardown(self) -> None:
        """Close the world."""
        self.bench.close()

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The location that pytest shows for a failure."""
        return self.path, None, f"{self.path.name}: {self._test.name} [{self._tier}]"
