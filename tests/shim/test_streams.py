"""Streams that come and go leave the memory of a VM as it was (docs/abi.md §5, case 108)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pwasm.testing import HostEmulator

pytestmark = pytest.mark.wasm
WARM, STREAMS = 200, 1_500


def test_streams_leave_the_memory_as_it_was(start: Callable[..., HostEmulator]) -> None:
    host = start("every_callback")

    def run(count: int) -> int:
        for _ in range(count):
            assert host.request("POST", "/", body=b"some bytes").status == 200
            host.logs.clear()
        return int(host.plugin.pages)  # type: ignore[attr-defined]

    before = run(WARM)
    assert run(STREAMS) == before
