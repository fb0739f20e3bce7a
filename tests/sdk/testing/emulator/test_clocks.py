"""Python's clocks while a filter's classes run in this process; all other code sees the real ones."""

from __future__ import annotations

import datetime
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from time import monotonic, perf_counter
from time import time as wall_clock
from typing import Any

import pytest

import pwasm
from pwasm.testing import HostEmulator, Process, UpstreamResponse
from pwasm.testing.deadline import FilterHangs, limit

FAR = 4_000_000_000
MONOTONE: list[Callable[[], float]] = [monotonic, time.monotonic_ns, perf_counter, time.perf_counter_ns]


def reading(read: Callable[[], Any]) -> type:
    """A filter whose callback for request headers stores the result of `read` in `seen`."""

    class Filter(pwasm.HttpContext):
        seen: list[Any] = []  # noqa: RUF012

        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            self.seen.append(read())

    return Filter


@pytest.mark.parametrize(
    "read",
    [
        wall_clock,
        lambda: time.time_ns() // 10**9,
        lambda: datetime.datetime.now(datetime.UTC).timestamp(),
        lambda: datetime.datetime.combine(datetime.date.today(), datetime.time(12)).timestamp() // 86400 * 86400,
    ],
    ids=["time", "time_ns", "now", "today"],
)
def test_the_wall_clock_is_the_emulators(read: Callable[[], float]) -> None:
    filter_class = reading(read)
    host = HostEmulator(filter_class, process=Process(FAR))
    host.request()
    host.now_nanoseconds += 86_400 * 10**9
    host.request()
    first, second = filter_class.seen  # type: ignore[attr-defined]
    assert (first // 86400, second - first) == (FAR // 86400, 86400)


@pytest.mark.parametrize("read", MONOTONE)
def test_the_other_clocks_move_by_the_same(read: Callable[[], float]) -> None:
    unit = 10**9 if isinstance(read(), int) else 1
    filter_class = reading(read)
    start = read()
    host = HostEmulator(filter_class)
    host.request()
    for seconds in (7, -3600, 5):
        host.now_nanoseconds += seconds * 10**9
        host.request()
    readings = filter_class.seen  # type: ignore[attr-defined]
    assert 0 <= readings[0] - start < 60 * unit
    steps = [(after - before) / unit for before, after in itertools.pairwise(readings)]
    assert steps == pytest.approx([7, 0, 5]), "a wall clock that is set back moves no other"


def test_a_host_of_the_same_process_has_the_same_time() -> None:
    host = HostEmulator(reading(wall_clock))
    other = host.worker()
    host.now_nanoseconds += 10**9
    assert other.now_nanoseconds == host.now_nanoseconds


def test_the_test_and_its_upstream_keep_the_real_time() -> None:
    real = wall_clock()
    seen: list[float] = []

    def answer(stream: object) -> UpstreamResponse:
        seen.append(wall_clock())
        return UpstreamResponse()

    HostEmulator(reading(wall_clock), process=Process(FAR)).request(response=answer)
    seen.append(datetime.datetime.now().timestamp())
    assert [0 <= at - real < 60 for at in seen] == [True, True]


def test_a_failure_ends_it() -> None:
    def fail() -> None:
        raise RuntimeError("the filter's")

    real = monotonic()
    host = HostEmulator(reading(fail), process=Process(FAR))
    host.now_nanoseconds += 10**15
    assert host.request().status == 500
    assert (abs(wall_clock() - FAR) > 10**6, 0 <= monotonic() - real < 60) == (True, True)
    assert time.monotonic.__self__ is time  # type: ignore[attr-defined]


def test_a_filter_that_waits_for_a_clock_hangs() -> None:
    """It would stop a worker of Envoy, so it may do as badly here; the time limit has the real clock."""
    host = HostEmulator(reading(lambda: [None for _ in iter(lambda: monotonic() < 0, True)]))
    start = monotonic()
    with pytest.raises(FilterHangs, match="test_clocks"), limit(0.2):
        host.request()
    assert 0.1 < monotonic() - start < 10


@pytest.fixture
def _switching() -> Iterator[None]:
    """Threads take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_switching")
def test_other_threads_keep_the_real_time() -> None:
    """In whatever moment they ask."""
    wrong: list[object] = []
    over = threading.Event()
    real, start = wall_clock(), monotonic()

    def look() -> None:
        while not over.is_set():
            try:
                readings = (wall_clock() - real, monotonic() - start)
            except Exception as error:
                wrong.append(error)
                return
            if not all(-1 < reading < 600 for reading in readings):
                wrong.append(readings)

    filter_class = reading(lambda: (wall_clock(), monotonic()))
    host = HostEmulator(filter_class, process=Process(FAR))
    host.now_nanoseconds += 10**15
    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(1500):
        host.request()
    over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(set(filter_class.seen)) == 1  # type: ignore[attr-defined]


def test_two_threads_with_a_host_each() -> None:
    classes = [reading(wall_clock), reading(wall_clock)]
    hosts = [HostEmulator(each, process=Process(FAR + at)) for at, each in enumerate(classes)]

    def work(host: HostEmulator) -> None:
        for _ in range(300):
            host.request()

    threads = [threading.Thread(target=work, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [set(each.seen) for each in classes] == [{FAR}, {FAR + 1}]  # type: ignore[attr-defined]
    assert abs(wall_clock() - FAR) > 10**6
