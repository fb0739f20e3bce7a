"""The time of an emulated process."""

from __future__ import annotations

import time

_NANOSECONDS = 10**9


class Clock:
    """All clocks of an emulated process: they advance only when they are set, and together.

    Args:
        now: initial time of the wall clock, in seconds since 1970; None for the real time.
    """

    def __init__(self, now: float | None = None) -> None:
        self._now = time.time_ns() if now is None else int(now * _NANOSECONDS)
        self._passed = 0
        self._starts = {"monotonic": time.monotonic_ns(), "perf_counter": time.perf_counter_ns()}

    @property
    def now_nanoseconds(self) -> int:
        """The wall clock, in nanoseconds since 1970. If it is set back, the other clocks keep their time."""
        return self._now

    @now_nanoseconds.setter
    def now_nanoseconds(self, now: int) -> None:
        self._passed += max(now - self._now, 0)
        self._now = now

    def since_some_start(self, name: str) -> int:
        """The clock "monotonic" or "perf_counter" in nanoseconds; it starts at the real clock's value."""
        return self._starts[name] + self._passed
