"""The SDK's own counters, by which an operator sees what filters do; Envoy exports them as `wasmcustom.pwasm.…`.

    pwasm.errors                     exceptions that were caught
    pwasm.callback_errors.CALLBACK   the same by callback: at most one counter for each method of the contexts
    pwasm.budget_exceeded            those that ended a callback which took too much time, or too many steps
    pwasm.held_bytes_refused         messages that were refused because the VM holds too much

They are summed over all workers. The names are fixed, and each is defined once in a VM, when it is first needed: each
definition takes memory in the host for good.
"""

from __future__ import annotations

from .._abi import MetricType
from .._typing import Final
from .current import current

ERRORS: Final = "pwasm.errors"
BY_CALLBACK: Final = "pwasm.callback_errors."
BUDGET_EXCEEDED: Final = "pwasm.budget_exceeded"
REFUSED: Final = "pwasm.held_bytes_refused"


def count(name: str) -> None:
    """Increment a counter; one that the host refuses is not counted."""
    root = current.active_root()
    known = {} if root is None else root.vm.counters
    metric = known.get(name)
    if metric is None:
        status, metric = current.host.proxy_define_metric(MetricType.COUNTER, name)
        if status:
            return
        known[name] = metric
    current.host.proxy_increment_metric(metric, 1)
