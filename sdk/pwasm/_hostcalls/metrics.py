"""Counters, gauges and histograms in Envoy's statistics, as `wasmcustom.<name>`.

A metric is shared by all workers: every VM that defines the name adds to the same metric. Define it in
`on_plugin_start` or `on_vm_start` and keep the object, since each definition looks the name up.
"""

from __future__ import annotations

from .. import _validate
from .._abi import MetricType
from .._stream.current import current
from .._stream.guards import failed
from ..errors import Unimplemented

_MAX_I64 = 2**63 - 1
_MIN_I64 = -(2**63)
_SIGN = 2**63


class _Metric:
    """A metric of the host."""

    __slots__ = ("id", "name")

    def __init__(self, metric_id: int, name: str) -> None:
        self.id = metric_id
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _get(self) -> int:
        status, value = current.host.proxy_get_metric(self.id)
        if status:
            raise failed(status, "proxy_get_metric", self.name)
        return value

    def _increment(self, offset: int) -> None:
        status = current.host.proxy_increment_metric(self.id, offset)
        if status:
            raise failed(status, "proxy_increment_metric", self.name)

    def _record(self, value: int) -> None:
        status = current.host.proxy_record_metric(self.id, value)
        if status:
            raise failed(status, "proxy_record_metric", self.name)


class Counter(_Metric):
    """A number that only increases; create it with `define_counter_metric`. Methods may be called in every callback."""

    __slots__ = ()

    def value(self) -> int:
        """The current value (proxy_get_metric)."""
        return self._get()

    def increment(self, offset: int = 1) -> None:
        """Add `offset`; 0 does nothing, since the host refuses it (proxy_increment_metric).

        Raises:
            TypeError, ValueError: `offset` is not an int from 0 to 2**63 - 1.
        """
        if _validate.integer("offset", offset, 0, _MAX_I64):
            self._increment(offset)


class Gauge(_Metric):
    """A number that goes up and down; create it with `define_gauge_metric`. Methods may be called in every callback."""

    __slots__ = ()

    def value(self) -> int:
        """The current value, signed (proxy_get_metric). Envoy's admin pages show negative values modulo 2**64."""
        value = self._get()
        return value - 2 * _SIGN if value >= _SIGN else value

    def add(self, offset: int) -> None:
        """Add `offset`, which may be negative (proxy_increment_metric).

        Raises:
            TypeError, ValueError: `offset` is not an int that fits into 64 bits.
        """
        self._increment(_validate.integer("offset", offset, _MIN_I64, _MAX_I64))

    def set(self, value: int) -> None:
        """Set the value for all VMs (proxy_record_metric); errors as in `add`."""
        self._record(_validate.integer("value", value, _MIN_I64, _MAX_I64))


class Histogram(_Metric):
    """A distribution of numbers; create it with `define_histogram_metric`. Methods may be called in every callback."""

    __slots__ = ()

    def record(self, value: int) -> None:
        """Add a number to the distribution (proxy_record_metric).

        Raises:
            TypeError, ValueError: `value` is not an int from 0 to 2**63 - 1.
        """
        self._record(_validate.integer("value", value, 0, _MAX_I64))

    def value(self) -> int:
        """Always raises `Unimplemented`, since histograms cannot be read; it exists because the Go SDK has it."""
        raise Unimplemented("proxy_get_metric", 12, self.name, current.phase.method)


def define_counter_metric(name: str) -> Counter:
    """Define a counter, or look it up if it already exists.

    May be called in every callback.

    Raises:
        TypeError: `name` is not a str.
        ValueError: `name` is empty.
        HostcallError: the host refused.

    Source: proxy_define_metric.
    """
    return Counter(_define(MetricType.COUNTER, name), name)


def define_gauge_metric(name: str) -> Gauge:
    """Define a gauge, or look it up (proxy_define_metric); errors as in `define_counter_metric`.

    May be called in every callback.
    """
    return Gauge(_define(MetricType.GAUGE, name), name)


def define_histogram_metric(name: str) -> Histogram:
    """Define a histogram, or look it up (proxy_define_metric); errors as in `define_counter_metric`.

    May be called in every callback.
    """
    return Histogram(_define(MetricType.HISTOGRAM, name), name)


def _define(metric_type: MetricType, name: str) -> int:
    if not _validate.text("name", name):
        raise ValueError("name must not be empty")
    status, metric_id = current.host.proxy_define_metric(metric_type, name)
    if status:
        raise failed(status, "proxy_define_metric", name)
    return metric_id
