"""What the plugins of one VM have in common: the bytes that all streams hold, and the SDK's own metrics.

An operator sees by the metrics what filters do; Envoy exports them as `wasmcustom.pwasm.…`, summed over all workers.

    counters
    pwasm.errors                     exceptions that were caught
    pwasm.callback_errors.CALLBACK   the same by callback: at most one counter for each method of the contexts
    pwasm.budget_exceeded            those that ended a callback which took too much time, or too many steps
    pwasm.held_bytes_refused         messages that were refused because the VM holds too much

    gauges
    pwasm.held_bytes                 bytes of bodies that the VMs hold now
    pwasm.held_streams               streams and connections that filters hold now, by PAUSE or because they await
    pwasm.open_callouts              calls that have not been answered yet, and gRPC streams
    pwasm.memory_bytes               memory of the VMs that have served a stream

The names are fixed, and each is defined once in a VM, when it is first needed: each definition takes memory in the host
for good. What a VM has added to a gauge stays there if the VM traps: the host has no way to take it back.
"""

from __future__ import annotations

from .._abi import MetricType
from .._typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .._protocols import Host

ERRORS: Final = "pwasm.errors"
BY_CALLBACK: Final = "pwasm.callback_errors."
BUDGET_EXCEEDED: Final = "pwasm.budget_exceeded"
REFUSED: Final = "pwasm.held_bytes_refused"
HELD_BYTES: Final = "pwasm.held_bytes"
HELD_STREAMS: Final = "pwasm.held_streams"
OPEN_CALLOUTS: Final = "pwasm.open_callouts"
MEMORY: Final = "pwasm.memory_bytes"

_GAUGES = frozenset({HELD_BYTES, HELD_STREAMS, OPEN_CALLOUTS, MEMORY})

_REFUSED: Final = -1
"""In place of the id of a metric that the host refuses: with restricted capabilities it logs each attempt."""

DEFAULT_LIMIT: Final = 64 * 1024 * 1024
"""What the streams of a VM may hold together: a quarter of the largest memory, since a filter also copies bodies."""


class InVm:
    """The record of a VM."""

    __slots__ = ("host", "limit", "memory", "metrics", "size", "switched_off")

    def __init__(self, host: Host | None = None) -> None:
        self.host = host
        self.size = 0  # of what all streams hold
        self.limit = DEFAULT_LIMIT
        self.memory = 0  # bytes, as the gauge has them
        self.metrics: dict[str, int] = {}  # name → the host's id
        self.switched_off = False

    def add(self, name: str, number: int = 1) -> None:
        """Change a metric by `number`; one that the host refuses is not kept, and not asked for again."""
        host = self.host
        if host is None or self.switched_off:
            return
        metric = self.metrics.get(name)
        if metric is None:
            kind = MetricType.GAUGE if name in _GAUGES else MetricType.COUNTER
            status, defined = host.proxy_define_metric(kind, name)
            metric = self.metrics[name] = _REFUSED if status else defined
        if metric != _REFUSED:
            host.proxy_increment_metric(metric, number)

    def has_memory(self, size: int) -> None:
        """Note the size of the VM's memory in bytes; 0 when the VM ends."""
        if size != self.memory:
            self.add(MEMORY, size - self.memory)
            self.memory = size
