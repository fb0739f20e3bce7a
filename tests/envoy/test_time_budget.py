"""Loops in Python and in C are interrupted in a real Envoy: one 500 within the budget, and the next request passes."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

SECONDS = 20
"""Generous for a budget of 0.3 s: without one none of the loops would have ended."""


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("which", ["newest", "oldest"])
def test_loops_end(
    built: Callable[[str], Path], envoy_of: Callable[[str], Path | None], which: str, workers: int
) -> None:
    config = bootstrap([HttpListener([WasmFilter(built("time_budget"), name="loops")])])
    with Envoy(config, executable=envoy_of(which), concurrency=workers) as envoy:

        def ask(path: str) -> tuple[int, str]:
            try:
                with urllib.request.urlopen(f"{envoy.url}/{path}", timeout=SECONDS) as response:
                    return response.status, response.read().decode()
            except urllib.error.HTTPError as error:
                error.close()
                return error.code, ""

        names = ask("names")[1].split()
        assert len(names) > 15
        for name in names:
            assert (name, ask(name)[0]) == (name, 500)
            assert ask("")[0] == 200
        envoy.wait_for_log("TimeBudgetExceeded: more than 300 ms in one callback", count=len(names))
        assert len([record for record in envoy.filter_log if record.at_least("error")]) == len(names)
        stats = envoy.stats("wasmcustom.pwasm.")
        for counter in ("budget_exceeded", "callback_errors.on_http_request_headers", "errors"):
            assert stats[f"wasmcustom.pwasm.{counter}"] == len(names)


def test_who_catches_it_has_a_little_time(built: Callable[[str], Path]) -> None:
    """It is raised again, but not in code that ends at once, and not in the SDK's own."""
    with Envoy(bootstrap([HttpListener([WasmFilter(built("time_budget"), name="loops")])])) as envoy:
        begun = time.monotonic()
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{envoy.url}/caught", timeout=SECONDS)
        raised.value.close()
        assert raised.value.code == 500
        assert time.monotonic() - begun < SECONDS
