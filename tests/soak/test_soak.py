"""The short form of every soak run: a minute in which none of the forbidden events may happen.

The long forms are `make soak`; what they found is in docs/reliability.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pwasm_compiler import inspect
from tests.support import envoy_versions

from . import operations, world
from .cli import LONG, SHORT
from .headers import parse
from .outcome import Outcome, percentile, slope
from .traps import TRAPS, trapping


@pytest.mark.envoy
@pytest.mark.wasm
@pytest.mark.parametrize("name", SHORT)
def test_soak(name: str) -> None:
    outcome = SHORT[name]()
    print(outcome.text())
    assert outcome.problems == []


@pytest.mark.envoy
@pytest.mark.wasm
def test_operations_in_the_oldest_envoy() -> None:
    outcome = operations.run(480, seed=2, executable=envoy_versions.binary_of(envoy_versions.OLDEST))
    assert outcome.problems == []


@pytest.mark.envoy
@pytest.mark.wasm
@pytest.mark.parametrize("version", ["newest", envoy_versions.OLDEST])
def test_what_once_ended_envoy_in_one_worker(version: str) -> None:
    """The runs above have two."""
    executable = None if version == "newest" else envoy_versions.binary_of(version)
    assert operations.known(executable, workers=1) == ""


def test_long_and_short_are_the_same_runs() -> None:
    assert list(LONG) == list(SHORT)


@pytest.mark.wasm
def test_the_module_that_traps_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "trapping.wasm"
    file.write_bytes(trapping(world.built_module().read_bytes()))
    found = inspect.report(file)
    assert not found["accepted"]
    assert [problem["message"] for problem in found["problems"]] == [f"export {TRAPS} does nothing but trap"]
    assert inspect.report(world.built_module())["accepted"]


def test_what_wrk_prints() -> None:
    text = """\
Running 2s test @ http://127.0.0.1:10000
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    12.00ms    3.00ms  64.00ms   90.00%
  Latency Distribution
     50%    5.32ms
     99%   64.25ms
  2000 requests in 2.00s, 1.00MB read
  Socket errors: connect 0, read 3, write 0, timeout 0
  Non-2xx or 3xx responses: 200
Requests/sec:   1000.50
Transfer/sec:      0.50MB
"""
    load = parse(text)
    assert (load.requests, load.per_second, load.refused) == (2000, 1000.5, 200)
    assert load.socket_errors == "connect 0, read 3, write 0, timeout 0"
    assert load.latency == {"50%": "5.32ms", "99%": "64.25ms"}


def test_figures() -> None:
    assert slope([(0, 1.0), (1, 3.0), (2, 5.0)]) == 2
    assert slope([(0, 1.0)]) == 0
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([3, 1, 2], 0.99) == 3


def test_a_run_fails_by_its_problems() -> None:
    outcome = Outcome("name", "about")
    outcome.equal("vms", 3, 3)
    assert outcome.text().endswith("passed")
    outcome.equal("5xx", 1, 0)
    assert outcome.problems == ["5xx: 1, and not 0"]
    assert outcome.text().endswith("FAILED")
