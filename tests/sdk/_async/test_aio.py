"""Callbacks that are `async def`, emulated: the table of tests/support/aio_cases.py, and what only shows inside."""

from __future__ import annotations

import contextlib
import gc
import importlib
import opcode
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pwasm
from pwasm import Action, LogLevel, aio, entrypoint
from pwasm._async import never_awaited
from pwasm.testing import HostEmulator, Process, UpstreamResponse
from pwasm.testing.emulator.headers import Headers
from tests.support import aio_cases
from tests.support.aio_cases import CASES, check, play
from tests.support.paths import PROJECTS


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., HostEmulator]:
    """A host with tests/projects/awaits in it."""
    monkeypatch.syspath_prepend(str(PROJECTS / "awaits"))
    monkeypatch.delitem(sys.modules, "configured", raising=False)
    names = runpy.run_path(str(PROJECTS / "awaits" / "filter.py"))
    entrypoint.clear_registration()

    def make(**options: Any) -> HostEmulator:
        host = HostEmulator(names["Plugin"], names["Awaits"], **options)
        host.clusters = {"web", "refusing", "grpc"}
        return host

    return make


def roots(host: HostEmulator) -> Any:
    return host.plugin._roots  # type: ignore[attr-defined]


def assert_nothing_pending(host: HostEmulator) -> None:
    for root in roots(host).values():
        assert (root.calls, root.tasks or []) == ({}, [])
        assert root.timers is None or root.timers.sleepers == []
    for stream in host.plugin._streams.values():  # type: ignore[attr-defined]
        assert stream.waiting is None
        assert not stream.calls


@pytest.mark.parametrize(("path", "case"), CASES.items(), ids=CASES)
def test_orders_of_events(start: Callable[..., HostEmulator], path: str, case: Any) -> None:
    host = start(upstream=UpstreamResponse(200, body=aio_cases.UPSTREAM_BODY.encode()))
    stream = host.request("GET", f"/{path}")
    play(host, stream)
    check(case, host, stream)
    assert_nothing_pending(host)


def test_bodies_that_arrive_meanwhile(start: Callable[..., HostEmulator]) -> None:
    """Data that arrives during an await is held, and each byte is seen once and in order."""
    host = start()
    stream = host.request("POST", "/body", body=[b"one", b"two", b"three"])
    assert stream.paused == "request"
    play(host, stream)
    assert stream.status == 200, host.logs
    assert stream.request_body == b"<ONE><TWOTHREE>"
    logged = [text for level, text in host.logs if level == LogLevel.INFO]
    assert logged == ["part of body: b'one'", "part of body: b'twothree'"]
    assert_nothing_pending(host)


def test_trailers_of_a_request_that_arrive_meanwhile(start: Callable[..., HostEmulator]) -> None:
    """Another filter may have sent them by the time of the resume, and then they would be sent twice."""
    host = start()
    stream = host.request("POST", "/body", body=[b"one", b"two"], trailers=[("x-t", "1")])
    assert (stream.status, stream.details, stream.request_body) == (500, "pwasm_request_trailers_not_held", b"")
    assert_nothing_pending(host)


# --- the end of streams -------------------------------------------------------------------------------------------


def leave(host: HostEmulator, stream: Any) -> None:
    """The client disconnects."""
    stream.disconnect()


def texts(host: HostEmulator, level: LogLevel = LogLevel.INFO) -> list[str]:
    return [text for at, text in host.logs if at == level]


def test_a_client_that_leaves(start: Callable[..., HostEmulator]) -> None:
    host = start()
    stream = host.request("GET", "/left")
    leave(host, stream)
    assert texts(host) == ["finally call", "finally nap", "finally left", "done"]
    assert_nothing_pending(host)
    host.answer(host.http_calls[0])
    assert texts(host, LogLevel.ERROR) == []


def test_a_coroutine_that_waits_when_it_is_closed(start: Callable[..., HostEmulator]) -> None:
    host = start()
    leave(host, host.request("GET", "/waits_at_the_end"))
    (record,) = texts(host, LogLevel.ERROR)
    assert "case_waits_at_the_end" in record
    assert "await dispatch_http_call is refused in on_http_stream_done: the coroutine is being closed" in record
    assert len(host.http_calls) == 1
    assert_nothing_pending(host)


def test_the_other_coroutines_of_a_failed_stream_are_closed() -> None:
    closed: list[str] = []

    class Filter(pwasm.HttpContext):
        async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.dispatch_http_call("auth", ASK, callback=self.later)
            try:
                await aio.sleep(100)
            finally:
                closed.append("sleeper")

        def later(self, *numbers: int) -> None:
            pwasm.dispatch_http_call("auth", ASK, callback=self.fails)

        async def fails(self, *numbers: int) -> None:
            await aio.dispatch_http_call("auth", ASK)
            raise ValueError("on purpose")

    host = HostEmulator(Filter)
    stream = host.request()
    for _ in range(3):
        host.answer(host.http_calls[-1])
    assert (stream.status, closed) == (500, ["sleeper"])
    assert_nothing_pending(host)


def test_a_plugin_that_goes_closes_its_coroutines() -> None:
    closed: list[str] = []

    class Plugin(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> None:
            pwasm.set_tick_period_milliseconds(10)

        async def on_tick(self) -> None:
            try:
                await aio.dispatch_http_call("auth", ASK, timeout_ms=0)
            finally:
                closed.append("tick")

    host = HostEmulator(Plugin)
    host.tick()
    host.tick()
    assert texts(host, LogLevel.DEBUG) == ["on_tick is still waiting: this tick is skipped"]
    assert len(host.http_calls) == 1
    host.stop()
    assert closed == ["tick"]


ASK = [(":method", "GET"), (":path", "/check"), (":authority", "auth")]
STREAMS = 100_000


@pytest.mark.slow
def test_a_hundred_thousand_streams_leave_nothing() -> None:
    """Through the dispatcher alone: a third is answered, a third left by its client, a third sleeps and is left."""
    import gc
    import tracemalloc

    from pwasm._dispatch.callbacks import Dispatcher
    from pwasm.entrypoint import registration_of

    class Filter(pwasm.HttpContext):
        async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            if self.context_id % 3:
                await aio.dispatch_http_call("auth", ASK)
            else:
                await aio.wait_for(aio.gather(aio.sleep(1000), aio.dispatch_http_call("auth", ASK)), 500)

    host = HostEmulator(Filter)
    dispatcher = Dispatcher(registration_of(Filter), host)
    dispatcher.proxy_on_context_create(1, 0)
    host.roots.append(1)

    def streams(first: int, count: int) -> None:
        for number in range(first, first + count):
            dispatcher.proxy_on_context_create(number, 1)
            assert dispatcher.proxy_on_request_headers(number, 3, True) == 1
            call = host.http_calls.pop()
            if number % 3 == 1:
                host.call_maps = {6: Headers([(":status", "200")])}
                dispatcher.proxy_on_http_call_response(1, call.token, 1, 0, 0)
            dispatcher.proxy_on_delete(number)
        host.http_calls.clear()

    host.proxy_set_effective_context = lambda _: 0  # type: ignore[method-assign]  # it does not know these streams
    host.proxy_continue_stream = lambda _: 0  # type: ignore[method-assign]
    streams(10, 3_000)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    streams(10_000, 3_000)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 50_000, grown
    streams(100_000, STREAMS - 6_000)
    root = dispatcher._roots[1]
    assert (root.calls, root.tasks, dispatcher._streams, dispatcher._unopened) == ({}, None, {}, {})
    assert root.timers is not None
    assert root.timers.sleepers == []
    assert [text for _, text in host.logs] == []


# --- time ---------------------------------------------------------------------------------------------------------


class Sleeper(pwasm.HttpContext):
    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        await aio.sleep(float(pwasm.get_http_request_header("x-seconds") or 0))


class Ticker(pwasm.PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        pwasm.set_tick_period_milliseconds(1000)

    def on_tick(self) -> None:
        pwasm.log_info(f"{pwasm.get_current_time_nanoseconds() / 1e9 - START:g}")


START = 1_700_000_000


def test_ticks_of_the_filter_and_of_sleepers() -> None:
    """The example in `timers`: the filter's period is kept, and the plugin is not woken unnecessarily."""
    host = HostEmulator(Ticker, Sleeper, process=Process(START))
    told: list[int] = []
    tell = host.proxy_set_tick_period_milliseconds
    host.proxy_set_tick_period_milliseconds = lambda ms: told.append(ms) or tell(ms)  # type: ignore[method-assign,func-returns-value]
    host.now_nanoseconds += 200_000_000
    streams = [host.request(headers={"x-seconds": seconds}) for seconds in ("0.3", "0.6")]
    for _ in range(3):
        host.tick()
    assert [stream.status for stream in streams] == [200, 200]
    assert texts(host) == ["1"]
    assert told == [300, 300, 200, 1000]
    host.tick()
    assert texts(host) == ["1", "2"]
    assert told == [300, 300, 200, 1000]


def test_a_filter_without_ticks_of_its_own_gets_none() -> None:
    host = HostEmulator(type("Plugin", (Ticker,), {"on_plugin_start": lambda self, size: None}), Sleeper)
    stream = host.request(headers={"x-seconds": "0"})
    host.tick()
    assert (stream.status, texts(host), set(host.tick_periods.values())) == (200, [], {0})


def test_a_period_set_while_somebody_sleeps() -> None:
    class Filter(Sleeper):
        async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.set_tick_period_milliseconds(0)
            await aio.sleep(1)
            pwasm.set_tick_period_milliseconds(70)

    host = HostEmulator(Ticker, Filter, process=Process(START))
    stream = host.request()
    host.tick()
    assert (stream.status, texts(host), list(host.tick_periods.values())) == (200, [], [70])
    host.tick()
    assert texts(host) == ["1.07"]


def test_a_clock_that_is_set_back() -> None:
    """Sleepers do not wait for the additional hour."""
    host = HostEmulator(Sleeper)
    stream = host.request(headers={"x-seconds": "2"})
    start = host.now_nanoseconds
    host.now_nanoseconds -= 3600 * 10**9
    for _ in range(3):
        if stream.status is None:
            host.tick()
    assert stream.status == 200
    assert host.now_nanoseconds < start - 3590 * 10**9


@pytest.mark.parametrize(
    ("seconds", "error"),
    [(-1, ValueError), (float("nan"), ValueError), (1e12, ValueError), ("1", TypeError), (True, TypeError)],
)
def test_times_that_cannot_be(seconds: Any, error: type[Exception]) -> None:
    class Filter(pwasm.HttpContext):
        async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            with pytest.raises(error, match=r"^seconds must be "):
                await aio.sleep(seconds)

    assert HostEmulator(Filter).request().status == 200


# --- mistakes that no table shows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("on_error", "status"), [("fail_closed", 500), ("fail_open", 200)])
def test_a_forgotten_await_in_a_plain_callback(on_error: str, status: int) -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            aio.sleep(1)  # type: ignore[unused-coroutine]

    Filter.on_error = on_error
    host = HostEmulator(Filter)
    assert host.request().status == status
    (record,) = texts(host, LogLevel.ERROR)
    assert "coroutine 'sleep' was never awaited\n" in record


def test_a_library_that_handles_the_failure_of_asyncio_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The coroutine has never run, but nobody forgot an await."""
    library = tmp_path / "site-packages"
    library.mkdir()
    library.joinpath("tolerant.py").write_text(
        "def work(run):\n"
        "    async def task(): ...\n"
        "    try:\n"
        "        run(task())\n"
        "    except RuntimeError:\n"
        "        return 'without asyncio'\n"
    )
    monkeypatch.syspath_prepend(str(library))
    tolerant = importlib.import_module("tolerant")

    def run(coroutine: object) -> None:
        raise RuntimeError("no event loop")

    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.add_http_request_header("x-work", tolerant.work(run))

    host = HostEmulator(Filter)
    stream = host.request()
    assert (stream.status, dict(stream.request_headers)["x-work"]) == (200, "without asyncio")
    (record,) = texts(host, LogLevel.WARN)
    assert "task' was never awaited in" in record


async def _work() -> int:
    return 5


def _failing(coroutine: object) -> None:
    raise RuntimeError("no event loop")


def _in_except() -> str:
    try:
        _failing(_work())
    except RuntimeError:
        return "no event loop"
    return ""


def _in_except_as() -> None:
    try:
        _failing(_work())
    except RuntimeError as error:
        pwasm.log_info(f"{error!r}")


def _in_except_that_returns() -> str | None:
    try:
        _failing(_work())
    except RuntimeError as error:
        return str(error)
    return None


def _in_except_of_a_loop() -> None:
    for _ in range(2):
        try:
            _failing(_work())
        except RuntimeError:
            continue


def _in_the_caller() -> None:
    def inner() -> None:
        _failing(_work())

    try:
        inner()
    except RuntimeError as error:
        keep = [error]
        del keep


def _in_suppress() -> None:
    with contextlib.suppress(RuntimeError):
        _failing(_work())


def _in_the_garbage_collector() -> None:
    try:
        _failing(_work())
    except RuntimeError as error:
        saved = error  # a cycle: frame, exception, traceback, frame
        del error
        assert saved
    gc.collect()


HANDLED = (
    *(_in_except, _in_except_as, _in_except_that_returns, _in_except_of_a_loop, _in_the_caller, _in_suppress),
    _in_the_garbage_collector,
)


@pytest.mark.parametrize("function", HANDLED)
def test_a_coroutine_passed_to_a_call_that_failed_is_not_forgotten(function: Callable[[], object]) -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            function()
            gc.collect()

    host = HostEmulator(Filter)
    assert host.request().status == 200
    assert all("_work' was never awaited in " in record for record in texts(host, LogLevel.WARN))
    assert texts(host, LogLevel.WARN)


def _forgotten_in_except() -> None:
    try:
        raise RuntimeError
    except RuntimeError:
        _work()  # type: ignore[unused-coroutine]


def _forgotten_in_finally() -> None:
    try:
        pass
    finally:
        _work()  # type: ignore[unused-coroutine]


def _forgotten_in_a_condition() -> None:
    if _work():
        pass


def _forgotten_in_a_name() -> None:
    answer: object = _work()
    answer = None
    assert answer is None


FORGOTTEN = (_forgotten_in_except, _forgotten_in_finally, _forgotten_in_a_condition, _forgotten_in_a_name)


def test_the_opcode_is_that_of_this_python() -> None:
    assert opcode.opmap["POP_EXCEPT"] == never_awaited._POP_EXCEPT


@pytest.mark.parametrize("function", FORGOTTEN)
def test_a_forgotten_await_elsewhere(function: Callable[[], object]) -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            function()

    host = HostEmulator(Filter)
    assert host.request().status == 500
    (record,) = texts(host, LogLevel.ERROR)
    assert "coroutine '_work' was never awaited\n" in record


def test_bytes_that_the_host_does_not_take_back_are_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fail_open, too: the message must not go on without them."""

    class Filter(pwasm.HttpContext):
        on_error = "fail_open"

        async def on_http_response_body(self, size: int, end_of_stream: bool) -> None:
            await aio.sleep(0.001)
            raise ValueError("a bug of the filter's")

    host = HostEmulator(Filter)
    stream = host.request(response=UpstreamResponse(body=[b"one", b"two"]))
    monkeypatch.setattr(host, "proxy_set_buffer_bytes", lambda *_: 2)
    for _ in range(2):
        host.now_nanoseconds += 5_000_000
        host.tick()
    assert (stream.body, stream.closed) == (b"", True)
    assert any("could not be put back" in record for record in texts(host, LogLevel.ERROR))


def test_outside_callbacks_python_warns_as_ever() -> None:
    async def forgotten() -> None: ...

    with pytest.warns(RuntimeWarning, match="forgotten' was never awaited"):
        forgotten()  # type: ignore[unused-coroutine]


def test_a_context_from_a_factory_may_wait() -> None:
    class Filter(pwasm.HttpContext):
        async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            await aio.sleep(0)
            return Action.CONTINUE

    class Plugin(pwasm.PluginContext):
        def new_http_context(self, context_id: int) -> Filter:
            return Filter()

    host = HostEmulator(Plugin)
    stream = host.request()
    host.tick()
    assert stream.status == 200


def test_whole_bodies_and_trailers_may_wait() -> None:
    """With `buffer_request_body`: one call with all of it, then the trailers, and content-length is gone."""
    seen: list[object] = []

    class Filter(pwasm.HttpContext):
        buffer_request_body = True

        async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            await aio.sleep(0)
            seen.append("headers")

        async def on_http_request_body(self, body_size: int, end_of_stream: bool) -> None:
            await aio.sleep(0)
            seen.append(pwasm.get_http_request_body())
            pwasm.replace_http_request_body(b"changed")

        async def on_http_request_trailers(self, num_trailers: int) -> None:
            await aio.sleep(0)
            seen.append("trailers")

    host = HostEmulator(Filter, hold_headers=True)
    for trailers in (None, [("x-t", "1")]):
        seen.clear()
        stream = host.request("POST", "/", {"content-length": "5"}, [b"ab", b"cde"], trailers=trailers)
        while not stream.ended:
            host.tick()
        assert seen == ["headers", b"abcde", *(["trailers"] if trailers else [])]
        assert stream.request_body == b"changed"
        assert "content-length" not in stream.request_headers
        assert_nothing_pending(host)


def test_what_arrived_is_passed_on_before_the_filter_resumes_by_itself() -> None:
    seen: list[bytes] = []

    class Filter(pwasm.HttpContext):
        async def on_http_request_body(self, body_size: int, end_of_stream: bool) -> None:
            seen.append(pwasm.get_http_request_body())
            if len(seen) == 1:
                await aio.sleep(0)
                pwasm.resume_http_request()
                seen.append(b"resumed")
                await aio.sleep(0)

    host = HostEmulator(Filter)
    stream = host.request("POST", "/", body=[b"one", b"two"])
    host.tick()
    assert seen == [b"one", b"two", b"resumed"]
    host.tick()
    assert (stream.status, stream.request_body) == (200, b"onetwo")
    assert_nothing_pending(host)


def test_tcp_data_that_arrives_meanwhile() -> None:
    class Filter(pwasm.TcpContext):
        async def on_downstream_data(self, data_size: int, end_of_stream: bool) -> None:
            data = pwasm.get_downstream_data()
            await aio.sleep(0)
            pwasm.replace_downstream_data(b"<" + data + b">")

    host = HostEmulator(Filter)
    stream = host.connect()
    for data in (b"one", b"two", b"three"):
        assert stream.downstream(data) == Action.PAUSE
    for _ in range(2):
        host.tick()
    assert stream.to_upstream == b"<one><twothree>"  # what arrived meanwhile is one piece, as of a body
    assert stream.downstream(b"four") == Action.PAUSE
    host.tick()
    assert stream.to_upstream == b"<one><twothree><four>"
