"""Every fault while a VM and its plugins start, and callbacks for contexts that are not there: nothing traps.

The faults are in tests/projects/faults; tests/envoy/test_faults.py has those of streams and plugins at work.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pwasm._abi import CALLBACKS
from pwasm.testing import HostEmulator
from tests.support.fault_names import RAISE, SURVIVE

pytestmark = pytest.mark.wasm


@pytest.mark.parametrize("callback", ["on_vm_start", "new_plugin_context", "on_plugin_start"])
def test_faults_at_start(start: Callable[..., HostEmulator], callback: str) -> None:
    """The plugin is refused, with one record; after a survivable fault, the plugin serves. A trap would raise."""
    of_vm = callback == "on_vm_start"
    for fault in [*RAISE, *SURVIVE]:
        armed = f"{callback} {fault}"
        host = start("faults", vm_configuration=armed if of_vm else "", plugin_configuration="" if of_vm else armed)
        started = host.started
        if callback == "new_plugin_context":  # armed by the first plugin, it strikes the second
            assert started, fault
            started = host.start_plugin()
        assert started == (fault in SURVIVE), fault
        records = [text for _, text in host.logs if "failed for context" in text or "could not be created" in text]
        assert len(records) == (fault in RAISE), (fault, records)
        if started:
            assert host.request().status == 200, fault


def test_contexts_that_are_not_there(start: Callable[..., HostEmulator]) -> None:
    """A callback for a context that never existed, or was deleted; twice, and with nonsensical arguments."""
    host = start("faults")
    gone = host.request().context_id
    for callback in CALLBACKS:
        count = len(callback.params.split())
        for context_id in (0, gone, 77, 2**32 - 1):
            for arguments in ([0] * (count - 1), [2**32 - 1] * (count - 1)):
                if callback.name == "proxy_on_context_create":
                    continue
                host.call(callback.name, context_id, *arguments)
                host.call(callback.name, context_id, *arguments)
    assert host.request().status == 200
