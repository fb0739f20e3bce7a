"""A filter in a real Envoy whose class `Runner` does what the path says, as tests/projects/guest_python has it."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy

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


@contextmanager
def running(plugin: WasmFilter, **options: Any) -> Iterator[Runner]:
    """Such an Envoy; at the end nothing may have trapped or been reloaded."""
    with Envoy(bootstrap([HttpListener([plugin])]), **options) as envoy:
        yield Runner(envoy)
        envoy.check_alive()
        assert {name: value for name, value in envoy.stats("wasm.").items() if "vm_reload" in name and value} == {}
        assert [record.message for record in envoy.log if "failed: Uncaught" in record.message] == []
