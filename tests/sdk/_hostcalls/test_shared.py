"""Shared data, queues, metrics, and everything else that a plugin does without a stream."""

from __future__ import annotations

from typing import Any

import pytest

import pwasm
from pwasm import LogLevel
from pwasm.testing import HostEmulator, Process
from tests.support.in_callback import in_plugin


def test_shared_data_with_cas() -> None:
    def call() -> None:
        assert pwasm.get_shared_data("k") == (None, 0)
        pwasm.set_shared_data("k", b"1", 5)  # a missing key takes any cas
        value, cas = pwasm.get_shared_data("k")
        assert value == b"1"
        pwasm.set_shared_data("k", "2", cas)
        with pytest.raises(pwasm.CasMismatch, match="for 'k'"):
            pwasm.set_shared_data("k", b"3", cas)
        pwasm.set_shared_data("k", b"")
        value, later = pwasm.get_shared_data("k")
        assert (value, later > cas) == (b"", True)
        pwasm.set_shared_data(b"\xff\0", b"\0")
        assert pwasm.get_shared_data(b"\xff\0")[0] == b"\0"
        pwasm.set_shared_data("", b"empty key")

    _, host = in_plugin(call)
    assert host.shared_data[b"k"][0] == b""


def test_shared_data_belongs_to_the_vm_id() -> None:
    process = Process()
    in_plugin(lambda: pwasm.set_shared_data("k", b"1"), process=process, vm_id="a")
    assert in_plugin(lambda: pwasm.get_shared_data("k")[0], process=process, vm_id="a")[0] == b"1"
    assert in_plugin(lambda: pwasm.get_shared_data("k"), process=process, vm_id="b")[0] == (None, 0)


class Receiver(pwasm.PluginContext):
    got: list[Any]

    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        self.queue = pwasm.register_shared_queue("q")
        assert pwasm.register_shared_queue("q") == self.queue
        assert pwasm.resolve_shared_queue("", "q") == self.queue

    def on_queue_ready(self, queue_id: int) -> None:
        type(self).got.append(list(pwasm.drain_shared_queue(queue_id)))


def test_a_queue_between_two_vms() -> None:
    receiver = type("Receiver", (Receiver,), {"got": []})
    process = Process()
    HostEmulator(receiver, process=process, vm_id="receiver")

    class Sender(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            queue = pwasm.resolve_shared_queue("receiver", "q")
            for item in (b"one", b"", b"three"):
                pwasm.enqueue_shared_queue(queue, item)

    host = HostEmulator(Sender, process=process)
    assert host.request().status == 200
    assert receiver.got == [[b"one", b"", b"three"], [], []]  # type: ignore[attr-defined]


def test_queues_that_are_empty_or_not_there() -> None:
    def call() -> None:
        queue = pwasm.register_shared_queue(b"")
        with pytest.raises(pwasm.Empty):
            pwasm.dequeue_shared_queue(queue)
        for wrong in (
            lambda: pwasm.dequeue_shared_queue(99),
            lambda: pwasm.enqueue_shared_queue(99, b""),
            lambda: pwasm.resolve_shared_queue("other", "q"),
            lambda: list(pwasm.drain_shared_queue(99)),
        ):
            with pytest.raises(pwasm.NotFound):
                wrong()

    in_plugin(call)


def test_metrics() -> None:
    process = Process()

    def call() -> tuple[int, ...]:
        counter = pwasm.define_counter_metric("requests")
        gauge = pwasm.define_gauge_metric("open")
        histogram = pwasm.define_histogram_metric("sizes")
        counter.increment()
        counter.increment(0)
        counter.increment(4)
        with pytest.raises(ValueError, match="offset must be between 0"):
            counter.increment(-1)
        gauge.set(0)
        gauge.add(5)
        gauge.add(-7)
        assert gauge.value() == -2
        gauge.set(9)
        histogram.record(3)
        with pytest.raises(pwasm.Unimplemented):
            histogram.value()
        assert (repr(counter), counter.value()) == ("Counter('requests')", process.numbers[(0, "requests")])
        return counter.id, pwasm.define_counter_metric("requests").id, gauge.id, histogram.id

    ids, host = in_plugin(call, process=process)
    assert ids == (4, 8, 5, 6)
    in_plugin(call, process=process)
    assert (host.counter("requests"), host.gauge("open"), host.histogram("sizes")) == (10, 9, [3, 3])


def test_plugin_done() -> None:
    class Plugin(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> None:
            pwasm.set_tick_period_milli_seconds(100)

        def on_plugin_done(self) -> bool:
            return False

        def on_tick(self) -> None:
            pwasm.plugin_done()

    host = HostEmulator(Plugin)
    host.tick()
    assert "proxy_done failed with NOT_FOUND" in host.logs[0][1]
    host.stop()
    assert host.roots == [1]
    host.tick()
    assert host.roots_waiting == set()


def test_plugin_done_is_not_for_streams() -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            with pytest.raises(pwasm.NotFound):
                pwasm.plugin_done()

    host = HostEmulator(Filter)
    host.roots_waiting.add(1)
    assert host.request().status == 200


@pytest.mark.parametrize("level", list(LogLevel))
def test_log_level(level: LogLevel) -> None:
    assert in_plugin(pwasm.get_log_level, log_level=level)[0] is level


def test_log_level_off() -> None:
    assert in_plugin(pwasm.get_log_level, log_level=6)[0] == 6


def test_effective_context() -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> pwasm.Action:
            path = pwasm.get_http_request_header(":path")
            if path == "/held":
                Plugin.held.append(self.context_id)
                return pwasm.Action.PAUSE
            with pwasm.effective_context(Plugin.held[0]):
                assert pwasm.get_http_request_header(":path") == "/held"
                pwasm.add_http_request_header("x-by", "other")
            assert pwasm.get_http_request_header(":path") == path
            return pwasm.Action.CONTINUE

    class Plugin(pwasm.PluginContext):
        held: list[int] = []  # noqa: RUF012

        def on_plugin_start(self, plugin_configuration_size: int) -> None:
            pwasm.set_tick_period_milliseconds(100)

        def on_tick(self) -> None:
            with pwasm.effective_context(self.held[0]):
                pwasm.resume_http_request()
            with pytest.raises(pwasm.PhaseError):
                pwasm.resume_http_request()
            with pytest.raises(pwasm.BadArgument), pwasm.effective_context(9999):
                pass

    host = HostEmulator(Plugin, Filter)
    held = host.request(path="/held")
    assert host.request(path="/other").status == 200
    host.tick()
    assert (held.status, held.request_headers["x-by"], host.logs) == (200, "other", [])


# --- several filters in one module --------------------------------------------------------------------------------


class One(pwasm.HttpContext):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_response_header("x-filter", type(self).__name__)


class Two(One):
    pass


class Shared(pwasm.PluginContext):
    pass


class OfTwo(pwasm.PluginContext):
    pass


@pytest.fixture
def two_filters() -> None:
    pwasm.set_http_context(One, root_id="one")
    pwasm.set_http_context(Two, root_id="two")
    pwasm.set_plugin_context(OfTwo, root_id="two")


@pytest.mark.usefixtures("two_filters")
def test_root_id_chooses_the_filter() -> None:
    pwasm.set_plugin_context(Shared)
    host = HostEmulator(root_id="one")
    assert host.start_plugin("two")
    assert host.request(root_id=1).headers["x-filter"] == "One"
    assert host.request(root_id=2).headers["x-filter"] == "Two"
    plugins = [type(root.context) for root in host.plugin._roots.values()]  # type: ignore[attr-defined]
    assert plugins == [Shared, OfTwo]
    assert not host.start_plugin("three")
    level, message = host.logs[-1]
    assert level == LogLevel.CRITICAL
    assert "no filter is registered for root_id 'three'" in message
    assert "must be one of 'one', 'two'" in message


@pytest.mark.usefixtures("two_filters")
def test_an_unknown_root_id_gets_the_default() -> None:
    class Default(One):
        pass

    pwasm.set_http_context(Default)
    assert HostEmulator(root_id="x").request().headers["x-filter"] == "Default"
    assert HostEmulator().request().headers["x-filter"] == "Default"
    assert HostEmulator(root_id="one").request().headers["x-filter"] == "One"


@pytest.mark.usefixtures("two_filters")
def test_two_filters_for_one_root_id() -> None:
    with pytest.raises(pwasm.RegistrationError, match="two http contexts are registered for root_id 'one'"):
        pwasm.set_http_context(Two, root_id="one")
    with pytest.raises(TypeError, match="root_id must be str"):
        pwasm.set_http_context(Two, root_id=1)  # type: ignore[arg-type]


@pytest.mark.usefixtures("two_filters")
def test_exports_of_several_filters() -> None:
    from pwasm import entrypoint
    from pwasm._dispatch.callbacks import callbacks_used

    class Tick(pwasm.PluginContext):
        def on_tick(self) -> None: ...

    pwasm.set_plugin_context(Tick, root_id="three")
    assert {"proxy_on_tick", "proxy_on_response_headers"} <= set(callbacks_used(entrypoint.registration()))
