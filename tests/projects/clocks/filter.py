"""The filter for tests/sdk/testing/worlds/test_clocks.py: the values of all clocks, in seconds."""

import calendar
import datetime
import email.utils
import json
import time
from collections.abc import Callable
from time import monotonic, time_ns

import pwasm
from pwasm import aio


def by_default(clock: Callable[[], float] = time.monotonic) -> float:
    """As in cachetools: bound when the function is defined."""
    return clock()


CLOCKS: dict[str, Callable[[], float]] = {
    "sdk": lambda: pwasm.get_current_time_nanoseconds() / 1e9,
    "time": lambda: time.time(),
    "time_ns": lambda: time_ns() / 1e9,
    "now": lambda: datetime.datetime.now().timestamp(),
    "utc": lambda: datetime.datetime.now(tz=datetime.UTC).timestamp(),
    "gmtime": lambda: calendar.timegm(time.gmtime()),
    "localtime": lambda: time.mktime(time.localtime()),
    "email": lambda: email.utils.parsedate_to_datetime(email.utils.formatdate()).timestamp(),
    "monotonic": lambda: time.monotonic(),
    "monotonic, by its name": lambda: monotonic(),
    "monotonic, by default": by_default,
    "monotonic_ns": lambda: time.monotonic_ns() / 1e9,
    "perf_counter": lambda: time.perf_counter(),
    "perf_counter_ns": lambda: time.perf_counter_ns() / 1e9,
}


def readings() -> dict[str, float]:
    return {name: read() for name, read in CLOCKS.items()}


class Clocks(pwasm.HttpContext):
    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        before = readings()
        seconds = pwasm.get_http_request_header("x-sleep")
        if seconds:
            await aio.sleep(float(seconds))
        pwasm.send_http_response(200, body=json.dumps([before, readings()]))


pwasm.set_http_context(Clocks)
