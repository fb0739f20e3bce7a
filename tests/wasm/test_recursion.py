"""Recursion of every kind in wasmtime, with a stack as large as V8's in Envoy: an exception, never a trap."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pwasm.testing import HostEmulator
from tests.support.recursion_cases import check

pytestmark = pytest.mark.wasm


def test_recursion(start: Callable[..., HostEmulator]) -> None:
    host = start("deep")

    def ask(path: str) -> str:
        stream = host.request("GET", path)
        assert stream.local_response is not None, (path, host.logs)
        return stream.local_response.body.decode()

    check(ask)
