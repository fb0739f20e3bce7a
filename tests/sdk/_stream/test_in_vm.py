"""The SDK's own metrics."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

import pwasm
from pwasm import Action, aio
from pwasm._stream import in_vm
from pwasm.testing import HostEmulator, TcpStream, UpstreamResponse


class Fails(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        raise pwasm.TimeBudgetExceeded if pwasm.get_http_request_header("x-slow") else ValueError

    def on_http_stream_done(self) -> None:
        raise ValueError


def test_errors_are_counted_by_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    host = HostEmulator(Fails)
    defined: list[str | bytes] = []
    define = host.proxy_define_metric

    def noted(metric_type: int, name: str | bytes, /) -> tuple[int, int]:
        defined.append(name)
        return define(metric_type, name)

    monkeypatch.setattr(host, "proxy_define_metric", noted)
    for _ in range(3):
        host.request()
    host.request(headers={"x-slow": "1"})
    assert host.counter("pwasm.errors") == 8
    assert host.counter("pwasm.callback_errors.on_http_request_headers") == 4
    assert host.counter("pwasm.callback_errors.on_http_stream_done") == 4
    assert host.counter("pwasm.budget_exceeded") == 1
    assert len(defined) == len(set(defined)) == 4


def test_a_counter_that_the_host_refuses_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    host = HostEmulator(Fails)
    asked: list[str] = []

    def refuse(metric_type: int, name: str, /) -> tuple[int, int]:
        asked.append(name)
        return 10, 0

    changed: list[int] = []
    monkeypatch.setattr(host, "proxy_define_metric", refuse)

    def change(metric_id: int, offset: int, /) -> int:
        changed.append(metric_id)
        return 0

    monkeypatch.setattr(host, "proxy_increment_metric", change)
    for _ in range(3):
        assert host.request().status == 500
    assert len(asked) == len(set(asked)) > 2  # Envoy logs each attempt
    assert changed == []


class Holds(pwasm.HttpContext):
    """Holds in the way that the request's path says."""

    seen: ClassVar[list[int]] = []

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Any:
        self.way = pwasm.get_http_request_header(":path")
        self.seen.append(self.context_id)
        if self.way == "/headers":
            return Action.PAUSE
        return self.asks() if self.way == "/asks" else None

    async def asks(self) -> None:
        headers = [(":method", "GET"), (":path", "/"), (":authority", "a")]
        await aio.gather(*(aio.dispatch_http_call("a", headers) for _ in range(2)))

    def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
        return Action.CONTINUE if end_of_stream else Action.PAUSE

    def on_http_response_body(self, size: int, end_of_stream: bool) -> Action:
        return Action.PAUSE if self.way == "/response" else Action.CONTINUE


class Resumes(pwasm.PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        pwasm.set_tick_period_milliseconds(10)
        return True

    def on_tick(self) -> None:
        for context_id in Holds.seen:
            with pwasm.effective_context(context_id):
                pwasm.resume_http_request()
                pwasm.resume_http_response()
        Holds.seen.clear()


def gauges(host: HostEmulator) -> tuple[int, int, int]:
    return host.gauge(in_vm.HELD_STREAMS), host.gauge(in_vm.HELD_BYTES), host.gauge(in_vm.OPEN_CALLOUTS)


@pytest.mark.parametrize("ends", ["resumed", "left", "deleted"])
@pytest.mark.parametrize("way", ["/headers", "/response", "/body", "/asks"])
@pytest.mark.parametrize("hold_headers", [True, False])
def test_gauges_return_to_zero(way: str, ends: str, hold_headers: bool) -> None:
    Holds.seen.clear()
    host = HostEmulator(Holds, Resumes, hold_headers=hold_headers)
    if way == "/body":
        stream = host.begin("POST", way)
        stream.send_request_body(b"12345")
    else:
        stream = host.request(path=way, response=UpstreamResponse(body=b"123"))
    streams, held, open_calls = gauges(host)
    assert streams == 1
    assert held == (0 if way in ("/headers", "/asks") else 5 if way == "/body" else 3)
    assert open_calls == (2 if way == "/asks" else 0)
    if ends == "left":
        stream.disconnect()
    elif ends == "deleted":
        host.stop()
        stream.disconnect()
    elif way == "/asks":
        for call in list(host.http_calls):
            host.answer(call)
    elif way == "/body":
        stream.send_request_body(b"", end_of_stream=True)
    else:
        host.tick()
        assert stream.status == 200
    assert gauges(host) == (0, 0, 0)


def test_a_connection_is_held() -> None:
    class Lines(pwasm.TcpContext):
        def on_downstream_data(self, size: int, end_of_stream: bool) -> Action:
            return Action.CONTINUE if pwasm.get_downstream_data().endswith(b"\n") else Action.PAUSE

    host = HostEmulator(Lines)
    connection: TcpStream = host.connect()
    connection.downstream(b"GET")
    assert gauges(host) == (1, 3, 0)
    connection.downstream(b" /\n")
    assert gauges(host) == (0, 0, 0)


def test_grpc_streams_are_open_until_they_are_closed() -> None:
    class Opens(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> bool:
            self.tokens = [pwasm.open_grpc_stream("a", "a.B", "C") for _ in range(3)]
            pwasm.cancel_grpc_stream(self.tokens[0])
            return True

    host = HostEmulator(pwasm.HttpContext, Opens)
    assert host.gauge(in_vm.OPEN_CALLOUTS) == 2
    host.close_grpc(host.grpc_streams[-1])
    assert host.gauge(in_vm.OPEN_CALLOUTS) == 1
    host.stop()
    assert host.gauge(in_vm.OPEN_CALLOUTS) == 0


def test_memory_is_that_of_all_vms() -> None:
    host = HostEmulator(Fails)
    other = host.worker()
    for one, size in ((host, 100), (other, 200), (host, 150)):
        one.plugin.memory_size = lambda size=size: size  # type: ignore[attr-defined]
        one.request()
    assert host.gauge(in_vm.MEMORY) == 350
    host.stop()
    assert host.gauge(in_vm.MEMORY) == 200


def test_they_can_be_switched_off() -> None:
    class Quiet(pwasm.VMContext):
        sdk_metrics = False

    host = HostEmulator(Fails, Quiet)
    host.request()
    assert host.counter("pwasm.errors") == 0
    assert host.gauge(in_vm.HELD_STREAMS) == 0
