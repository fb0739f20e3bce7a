"""Shared data, shared queues and metrics, which all VMs of an Envoy process share (docs/abi.md §1.9, §1.10)."""

from __future__ import annotations

from collections import deque

from pwasm._abi import MetricType, Status
from pwasm._serde import to_bytes, to_text

from .base import BAD_ARGUMENT, NOT_FOUND, OK, Part
from .clock import Clock

_U64 = 2**64
_MAX_CAS = 2**32 - 1


class Queue:
    """A shared queue; the plugin that registered it last is notified of each item."""

    def __init__(self, owner: tuple[SharedState, int]) -> None:
        self.owner = owner
        self.items: deque[bytes] = deque()


class Process:
    """The state of an Envoy process. The plugins of emulators that get the same one share it, as in Envoy.

    Args:
        now: initial time of the wall clock, in seconds since 1970; None for the real time.
    """

    def __init__(self, now: float | None = None) -> None:
        self.clock = Clock(now)
        self.data: dict[str, dict[bytes, tuple[bytes, int]]] = {}
        self.last_cas: dict[str, int] = {}
        self.queue_ids: dict[tuple[str, bytes], int] = {}
        self.queues: dict[int, Queue] = {}
        self.notifications: deque[int] = deque()
        self.numbers: dict[tuple[int, str], int] = {}
        self.histograms: dict[str, list[int]] = {}


class SharedState(Part):
    """The hostcalls of shared data, queues and metrics."""

    def __init__(self, process: Process, vm_id: str) -> None:
        Part.__init__(self)
        self.process = process
        self.clock = process.clock
        self.vm_id = vm_id
        self._metrics: dict[int, tuple[int, str]] = {}

    # --- data -----------------------------------------------------------------------------------------------------

    @property
    def shared_data(self) -> dict[bytes, tuple[bytes, int]]:
        """Values and cas numbers of this VM's `vm_id`."""
        return self.process.data.setdefault(self.vm_id, {})

    def proxy_get_shared_data(self, key: str | bytes, /) -> tuple[int, bytes, int]:
        found = self.shared_data.get(to_bytes(key))
        return (NOT_FOUND, b"", 0) if found is None else (OK, *found)

    def proxy_set_shared_data(self, key: str | bytes, value: bytes, cas: int, /) -> int:
        found = self.shared_data.get(to_bytes(key))
        if cas and found is not None and found[1] != cas:
            return int(Status.CAS_MISMATCH)
        number = self.process.last_cas.get(self.vm_id, 0) % _MAX_CAS + 1
        self.process.last_cas[self.vm_id] = number
        self.shared_data[to_bytes(key)] = (value, number)
        return OK

    # --- queues ---------------------------------------------------------------------------------------------------

    def proxy_register_shared_queue(self, name: str | bytes, /) -> tuple[int, int]:
        process, key = self.process, (self.vm_id, to_bytes(name))
        token = process.queue_ids.setdefault(key, len(process.queue_ids) + 1)
        owner = (self, self._root_id())
        if token in process.queues:
            process.queues[token].owner = owner
        else:
            process.queues[token] = Queue(owner)
        return OK, token

    def proxy_resolve_shared_queue(self, vm_id: str | bytes, name: str | bytes, /) -> tuple[int, int]:
        token = self.process.queue_ids.get((to_text(to_bytes(vm_id)) or self.vm_id, to_bytes(name)))
        return (NOT_FOUND, 0) if token is None else (OK, token)

    def proxy_enqueue_shared_queue(self, token: int, data: bytes, /) -> int:
        queue = self.process.queues.get(token)
        if queue is None:
            return NOT_FOUND
        queue.items.append(data)
        self.process.notifications.append(token)
        return OK

    def proxy_dequeue_shared_queue(self, token: int, /) -> tuple[int, bytes]:
        queue = self.process.queues.get(token)
        if queue is None:
            return NOT_FOUND, b""
        return (OK, queue.items.popleft()) if queue.items else (int(Status.EMPTY), b"")

    def _notify(self) -> bool:
        """Notify the owner of a queue of an item; False if there is no pending notification."""
        if not self.process.notifications:
            return False
        token = self.process.notifications.popleft()
        host, root_id = self.process.queues[token].owner
        if root_id in host.roots:
            host.call("proxy_on_queue_ready", root_id, token)
            if host is not self:
                host.run_pending()
        return True

    # --- metrics --------------------------------------------------------------------------------------------------

    def counter(self, name: str) -> int:
        """The value of a counter; 0 if it does not exist."""
        return self.process.numbers.get((MetricType.COUNTER, name), 0)

    def gauge(self, name: str) -> int:
        """The value of a gauge, signed; 0 if it does not exist."""
        return self.process.numbers.get((MetricType.GAUGE, name), 0)

    def histogram(self, name: str) -> list[int]:
        """The values recorded in a histogram."""
        return self.process.histograms.get(name, [])

    def proxy_define_metric(self, metric_type: int, name: str | bytes, /) -> tuple[int, int]:
        if not 0 <= metric_type <= MetricType.HISTOGRAM:
            return BAD_ARGUMENT, 0
        of_type = sum(kind == metric_type for kind, _ in self._metrics.values())
        metric_id = (of_type + 1) << 2 | metric_type
        text = to_text(to_bytes(name))
        self._metrics[metric_id] = (metric_type, text)
        if metric_type == MetricType.HISTOGRAM:
            self.process.histograms.setdefault(text, [])
        else:
            self.process.numbers.setdefault((metric_type, text), 0)
        return OK, metric_id

    def proxy_increment_metric(self, metric_id: int, offset: int, /) -> int:
        if metric_id & 3 not in {MetricType.COUNTER, MetricType.GAUGE}:
            return BAD_ARGUMENT
        metric = self._metrics.get(metric_id)
        if metric is None:
            return NOT_FOUND
        if metric[0] == MetricType.COUNTER and offset <= 0:
            return BAD_ARGUMENT
        self.process.numbers[metric] += offset
        return OK

    def proxy_record_metric(self, metric_id: int, value: int, /) -> int:
        metric = self._metrics.get(metric_id)
        if metric is None:
            return NOT_FOUND
        if metric[0] == MetricType.HISTOGRAM:
            self.process.histograms[metric[1]].append(value)
        elif metric[0] == MetricType.COUNTER:  # Envoy adds
            self.process.numbers[metric] += value
        else:
            self.process.numbers[metric] = value
        return OK

    def proxy_get_metric(self, metric_id: int, /) -> tuple[int, int]:
        if metric_id & 3 not in {MetricType.COUNTER, MetricType.GAUGE}:
            return BAD_ARGUMENT, 0
        metric = self._metrics.get(metric_id)
        if metric is None:
            return NOT_FOUND, 0
        return OK, self.process.numbers[metric] % _U64
