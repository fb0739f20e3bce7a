"""A thousand values of every kind of randomness differ between workers, after a reload, and from Envoy to Envoy."""

from __future__ import annotations

import http.client
import importlib
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy
from tests.support.paths import ROOT

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]
KINDS = ("random", "own", "uuid4", "secrets")
WORKERS, COUNT, SECONDS = 2, 1000, 60
TRAP = b"1\r\nx\r\n0\r\nx-trailer: 1\r\n\r\n"
Drawn = dict[str, list[Any]]


@pytest.fixture(scope="module")
def module(built: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/projects/randomness, whose VM traps at trailers."""
    root = ROOT
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        trapping = importlib.import_module("tests.soak.traps").trapping
    path = tmp_path_factory.mktemp("randomness") / "trapping.wasm"
    path.write_bytes(trapping(built("randomness").read_bytes()))
    return path


def launch(module: Path) -> Envoy:
    config = bootstrap([HttpListener([WasmFilter(module, name="randomness", reload_backoff_seconds=0.02)])])
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_protocol_options"] = {"enable_trailers": True}
    return Envoy(config, concurrency=WORKERS, ready_timeout=300)


def ask(client: http.client.HTTPConnection) -> tuple[int, bytes]:
    client.request("GET", "/")
    answer = client.getresponse()
    return answer.status, answer.read()


def drawn_by_every_worker(envoy: Envoy) -> dict[int, Drawn]:
    """By the time its VM started; the kernel chooses the worker of a new connection."""
    found: dict[int, Drawn] = {}
    address = next(iter(envoy.listeners().values()))
    deadline = time.monotonic() + SECONDS
    while len(found) < WORKERS:
        assert time.monotonic() < deadline, "one worker got no connection"
        with closing(http.client.HTTPConnection(*address, timeout=SECONDS)) as client:
            status, body = ask(client)
            assert status == 200
            answer = json.loads(body)
            found.setdefault(answer["started"], answer["drawn"])
    return found


def drawn_after_a_trap(envoy: Envoy) -> Drawn:
    """By the VM that follows one that has trapped, on the same connection and so on the same worker."""
    with closing(http.client.HTTPConnection(*next(iter(envoy.listeners().values())), timeout=SECONDS)) as client:
        client.putrequest("POST", "/")
        client.putheader("transfer-encoding", "chunked")
        client.endheaders(TRAP)
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (503, b"")
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.05)
            status, body = ask(client)
            if status == 200:
                drawn: Drawn = json.loads(body)["drawn"]
                return drawn
    raise AssertionError("no new VM answered")


def test_no_value_comes_twice(module: Path) -> None:
    sets: list[Drawn] = []
    for _ in range(2):
        with launch(module) as envoy:
            sets += drawn_by_every_worker(envoy).values()
            sets.append(drawn_after_a_trap(envoy))
            assert envoy.stats("wasm.")["wasm.randomness.vm_reload_success"] == 1
    assert len(sets) == 2 * (WORKERS + 1)
    for kind in KINDS:
        values = [value for drawn in sets for value in drawn[kind]]
        assert (len(values), len(set(values))) == (len(sets) * COUNT, len(sets) * COUNT), kind
