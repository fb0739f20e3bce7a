"""Envoys by version, and an upstream that answers with trailers."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy
from tests.support import envoy_versions


@pytest.fixture(scope="session")
def envoy_of() -> Callable[[str], Path | None]:
    """`envoy_of("newest")` is None, the driver's own choice; `envoy_of("oldest")` a binary installed on first use."""

    def get(which: str) -> Path | None:
        return None if which == "newest" else envoy_versions.binary_of(envoy_versions.OLDEST)

    return get


FAILED = "Runner.on_http_request_headers failed"


class Runner:
    """A filter in Envoy whose class `Runner` performs the action in the path and responds with its result, or fails."""

    def __init__(self, envoy: Envoy) -> None:
        self.envoy = envoy

    def answer(self, path: str) -> tuple[int, str]:
        """Status and body."""
        try:
            with urllib.request.urlopen(f"{self.envoy.url}{path}", timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def failures(self) -> list[str]:
        """Its records of failures."""
        return [record.message for record in self.envoy.log if FAILED in record.message]

    def failure(self, path: str, then: str) -> str:
        """The one record of a request that fails; the VM lives, so `then` is answered."""
        known = len(self.failures())
        assert self.answer(path)[0] == 500
        self.envoy.wait_for_log(FAILED, count=known + 1)
        assert self.answer(then)[0] == 200
        (record,) = self.failures()[known:]
        return record


@pytest.fixture(scope="session")
def run_in_envoy() -> Callable[..., Any]:
    """`with run_in_envoy(filter, …) as runner`: at the end nothing may have trapped or been reloaded."""

    @contextmanager
    def run(plugin: WasmFilter, **options: Any) -> Iterator[Runner]:
        with Envoy(bootstrap([HttpListener([plugin])]), **options) as envoy:
            yield Runner(envoy)
            envoy.check_alive()
            assert {name: value for name, value in envoy.stats("wasm.").items() if "vm_reload" in name and value} == {}
            assert [record.message for record in envoy.log if "failed: Uncaught" in record.message] == []

    return run
