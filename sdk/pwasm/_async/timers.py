"""Envoy's single timer per plugin, shared by the filter's own ticks and by sleeping coroutines.

Envoy ticks a plugin periodically, and setting the period restarts the timer (proxy-wasm-cpp-host,
`Wasm::setTimerPeriod`). While a coroutine sleeps, the period is the time left until the next event of any kind:

    filter's ticks |                   |                 set_tick_period_milliseconds(1000), at 0
    sleeps              |      |                         at 200: await sleep(0.3), sleep(0.6)
    host's ticks   0    500    800     1000              set to 1000, at 200: 300, 500: 300, 800: 200, 1000: 1000

Time is the host's (proxy_get_current_time_nanoseconds), the only clock that the host emulator controls. In Envoy it is
the wall clock: when that is set back, the deadlines of sleepers are moved back with it, or they would sleep that much
longer.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable

from .._abi import LogLevel
from .._stream.current import current
from .._stream.guards import failed
from .._stream.phases import PHASES
from .._stream.records import Ended, Root, Stream, Task, Timers, Wait
from .._stream.report import report
from .tasks import close_all, over

TRACEBACK_STARTS_BELOW = True  # see `report`

_MS = 1_000_000
_SLACK = _MS  # Envoy's timers have a resolution of 1 ms, and may fire early by a fraction of that
MAX_SECONDS = 2**31 / 1000


class Timer(Wait):
    """A wait until a point in time, at which `fire` is called."""

    __slots__ = ("key", "nanoseconds", "timers")

    def __init__(self, nanoseconds: int) -> None:
        super().__init__()
        self.nanoseconds = nanoseconds
        self.key: tuple[int, int, Timer] | None = None
        self.timers: Timers | None = None

    def begin(self, task: Task) -> bool:
        try:
            self.set(task)
        except Exception as error:
            self.error = error
            return True
        return False

    def set(self, task: Task) -> None:
        """Schedule the wake-up.

        Raises:
            HostcallError: the host refused.
        """
        if task.root.timers is None:
            task.root.timers = Timers()
        timers = self.timers = task.root.timers
        timers.number += 1
        self.key = (_now(timers) + self.nanoseconds, timers.number, self)
        insort(timers.sleepers, self.key)
        if not timers.ticking:
            _arm(timers)

    def cancel(self) -> None:
        """Cancel the wake-up; the host may still tick once in vain."""
        if self.key is not None and self.timers is not None and self.key in self.timers.sleepers:
            self.timers.sleepers.remove(self.key)

    def fire(self) -> None:
        """Called when the time has come."""
        over(self)


class Later(Timer):
    """Calls a function at the next tick, with a stream selected, if that is still there."""

    __slots__ = ("_function",)

    def __init__(self, stream: Stream, function: Callable[[], object]) -> None:
        super().__init__(0)
        self._function = function
        self.task = Task(Ended(), stream.root, stream, PHASES["proxy_on_tick"])
        self.set(self.task)

    def fire(self) -> None:
        current.phase = PHASES["proxy_on_tick"]
        self._function()


def set_period(milliseconds: int) -> None:
    """Set the filter's own tick period.

    Raises:
        HostcallError: the host refused.
    """
    root = current.active_root()
    if root is None:
        _tell_host(milliseconds)
        return
    if root.timers is None:
        root.timers = Timers()
    timers = root.timers
    if not timers.shared and not timers.ticking:
        _tell_host(milliseconds)
    timers.own_period = milliseconds
    timers.own_next = _now(timers) + milliseconds * _MS
    if timers.shared and not timers.ticking:
        timers.armed = 0
        _arm(timers)


def tick(root: Root, timers: Timers) -> bool:
    """The host's timer fired: wake the sleepers that are due; returns whether the filter's own tick is due."""
    now = _now(timers)
    if not timers.shared:
        timers.own_next = now + timers.own_period * _MS
        return timers.own_period > 0
    timers.ticking = True
    timers.armed = 0
    try:
        due = 0
        while due < len(timers.sleepers) and timers.sleepers[due][0] <= now + _SLACK:
            due += 1
        woken = [timer for _, _, timer in timers.sleepers[:due]]
        del timers.sleepers[:due]
        for timer in woken:
            _wake(timer)
        own = timers.own_period > 0 and timers.own_next <= now + _SLACK
        if own:
            timers.own_next = now + timers.own_period * _MS
        if timers.sleepers or (timers.own_period and not own):
            _arm(timers)
        else:  # no sleepers are left, and the filter's own period starts now
            timers.shared = False
            _tell_host(timers.own_period)
    finally:
        timers.ticking = False
    if woken:
        current.host.proxy_set_effective_context(root.id)
        current.root, current.stream, current.phase = root, None, PHASES["proxy_on_tick"]
    return own


def _wake(timer: Timer) -> None:
    task = timer.task
    if task is None:
        return  # cancelled by a coroutine that was woken before it
    stream, root = task.stream, task.root
    current.root = root
    try:
        if stream is None:
            current.host.proxy_set_effective_context(root.id)
            current.stream = None
        elif not select(stream):
            return
        timer.fire()
    except BaseException as error:
        report(LogLevel.ERROR, "a sleeping coroutine could not be resumed", error)


def select(stream: Stream) -> bool:
    """Make hostcalls act on `stream`; False if the stream no longer exists."""
    current.stream = stream
    if stream.ended or stream.skip or current.host.proxy_set_effective_context(stream.id):
        current.phase = PHASES["proxy_on_log"]
        close_all(stream, "its stream is over")
        return False
    stream.resumed = 0
    return True


def _arm(timers: Timers) -> None:
    """Set the host's timer to the next event."""
    now = _now(timers)
    wanted = timers.sleepers[0][0] if timers.sleepers else timers.own_next
    if timers.own_period:
        wanted = min(wanted, timers.own_next)
    timers.shared = True
    if not timers.armed or wanted < timers.armed:
        timers.armed = wanted
        _tell_host(max(1, -((now - wanted) // _MS)))


def _now(timers: Timers) -> int:
    status, now = current.host.proxy_get_current_time_nanoseconds()
    if status:
        raise failed(status, "proxy_get_current_time_nanoseconds")
    back = timers.last_now - now
    if back > 0:
        timers.sleepers = [(deadline - back, number, timer) for deadline, number, timer in timers.sleepers]
        for key in timers.sleepers:
            key[2].key = key
        timers.own_next -= back
        timers.armed = 0
    timers.last_now = now
    return now


def _tell_host(milliseconds: int) -> None:
    status = current.host.proxy_set_tick_period_milliseconds(milliseconds)
    if status:
        raise failed(status, "proxy_set_tick_period_milliseconds", milliseconds)


def nanoseconds(argument: str, seconds: object) -> int:
    """Convert a duration in seconds to nanoseconds.

    Raises:
        TypeError, ValueError: `seconds` is not a number, or out of range.
    """
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        raise TypeError(f"{argument} must be a number of seconds, not {type(seconds).__name__}")
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"{argument} must be between 0 and {MAX_SECONDS:.0f} seconds, not {seconds}")
    return int(seconds * 1_000_000_000)
