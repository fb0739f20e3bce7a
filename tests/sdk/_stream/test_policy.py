"""Exceptions: callback by callback, kind by kind, policy by policy."""

from __future__ import annotations

from typing import Any

import pytest

import pwasm
from pwasm import Action, LogLevel
from pwasm._stream.records import Call
from pwasm.testing import HostEmulator, UpstreamResponse

HTTP = [
    "on_http_request_headers",
    "on_http_request_body",
    "on_http_request_trailers",
    "on_http_response_headers",
    "on_http_response_body",
    "on_http_response_trailers",
]
FAULTS = [
    ValueError,
    KeyError,
    AssertionError,
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    MemoryError,
    StopIteration,
]


def failing(base: type, callback: str, error: BaseException, **attributes: Any) -> type:
    """A class that raises in one callback and notes the others."""
    calls: list[str] = []

    def note(name: str) -> Any:
        def function(self: object, *args: object) -> None:
            calls.append(name)
            if name == callback:
                raise error

        return function

    names = [name for name in vars(base) if name.startswith("on_") and name != "on_error"]
    return type("Failing", (base,), {name: note(name) for name in names} | {"calls": calls} | attributes)


def exchange(cls: type) -> tuple[Any, HostEmulator]:
    host = HostEmulator(cls)
    response = UpstreamResponse(body=b"from upstream", trailers=[("t", "1")])
    return host.request("POST", body=b"abc", trailers=[("t", "1")], response=response), host


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("callback", HTTP)
def test_fail_closed(callback: str, fault: type[BaseException]) -> None:
    cls = failing(pwasm.HttpContext, callback, fault("boom"))
    stream, host = exchange(cls)
    if callback in {"on_http_response_body", "on_http_response_trailers"}:
        # The body has gone to the client when the trailers come; Envoy cannot take it back.
        assert (stream.closed, stream.body) == (True, b"from upstream" if callback.endswith("trailers") else b"")
    else:
        assert (stream.status, stream.local_response.details) == (500, "pwasm_filter_error")
        assert stream.body == b""
    # The callback that failed was the last but the very last one.
    assert cls.calls[-2:] == [callback, "on_http_stream_done"]  # type: ignore[attr-defined]
    ((level, record),) = host.logs
    assert level == LogLevel.ERROR
    assert record.startswith(f"Failing.{callback} failed for context 2 (on_error = fail_closed)\n")
    assert fault.__name__ in record
    assert host.request().status != 0


@pytest.mark.parametrize("callback", HTTP)
def test_fail_open(callback: str) -> None:
    cls = failing(pwasm.HttpContext, callback, ValueError("boom"), on_error="fail_open")
    stream, host = exchange(cls)
    assert (stream.status, stream.body, stream.request_body) == (200, b"from upstream", b"abc")
    assert [name for name in HTTP if name not in cls.calls] == []  # type: ignore[attr-defined]
    assert "(on_error = fail_open)" in host.logs[0][1]


@pytest.mark.parametrize("policy", ["fail_closed", "fail_open"])
def test_the_last_callback_is_only_logged(policy: str) -> None:
    stream, host = exchange(failing(pwasm.HttpContext, "on_http_stream_done", ValueError("boom"), on_error=policy))
    assert (stream.status, stream.body) == (200, b"from upstream")
    assert len(host.logs) == 1


def test_a_local_response_sent_before_the_failure_stands() -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.send_http_response(403)
            raise ValueError

    assert HostEmulator(Filter).request().status == 403


def test_a_failure_on_the_way_back_of_an_own_response() -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.send_http_response(403, body="no")

        def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
            raise ValueError

    stream = HostEmulator(Filter).request()
    assert (stream.status, stream.body) == (403, b"no")


def test_a_failure_after_close() -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.close_http_request()
            raise ValueError

    stream = HostEmulator(Filter).request()
    assert (stream.closed, stream.status, stream.upstream_called) == (True, None, False)


@pytest.mark.parametrize("callback", ["on_vm_start", "on_plugin_start", "__init__", "new_plugin_context"])
@pytest.mark.parametrize("policy", ["fail_closed", "fail_open"])
def test_start_fails(callback: str, policy: str) -> None:
    def boom(self: object, *args: object) -> None:
        raise ValueError("boom")

    in_vm = callback in {"on_vm_start", "new_plugin_context"}
    base = pwasm.VMContext if in_vm else pwasm.PluginContext
    attributes = {} if in_vm else {"on_error": policy}
    host = HostEmulator(type("Failing", (base,), {callback: boom} | attributes), pwasm.HttpContext)
    assert not host.started
    ((level, record),) = host.logs
    assert level == LogLevel.CRITICAL
    assert "ValueError: boom" in record
    with pytest.raises(RuntimeError, match="did not start"):
        host.request()


@pytest.mark.parametrize("result", [True, False, None, 1, "yes"])
def test_what_start_may_return(result: Any) -> None:
    cls = type("Plugin", (pwasm.PluginContext,), {"on_plugin_start": lambda *_: result})
    host = HostEmulator(cls)
    assert host.started == (result is True or result is None)


@pytest.mark.parametrize("policy", ["fail_closed", "fail_open"])
@pytest.mark.parametrize("by_plugin", [False, True])
def test_a_stream_context_that_cannot_be_made(policy: str, by_plugin: bool) -> None:
    def boom(self: object, context_id: int) -> None:
        raise ValueError("boom")

    if by_plugin:
        cls = type("Plugin", (pwasm.PluginContext,), {"new_http_context": boom, "on_error": policy})
    else:
        cls = type("Filter", (pwasm.HttpContext,), {"__init__": boom, "on_error": policy})
    host = HostEmulator(cls)
    stream = host.request()
    assert (stream.status, stream.upstream_called) == ((500, False) if policy == "fail_closed" else (200, True))
    assert len(host.logs) == 1


def test_a_wrong_context_is_an_error() -> None:
    cls = type("Plugin", (pwasm.PluginContext,), {"new_http_context": lambda self, _: object()})
    host = HostEmulator(cls)
    assert host.request().status == 500
    assert "must return a pwasm.HttpContext" in host.logs[0][1]


@pytest.mark.parametrize(
    ("callback", "export", "arguments"),
    [
        ("on_queue_ready", "proxy_on_queue_ready", (1,)),
        ("on_tick", "proxy_on_tick", ()),
        ("on_http_call_response", "proxy_on_http_call_response", (1, 2, 3, 4)),
        ("on_grpc_receive_initial_metadata", "proxy_on_grpc_receive_initial_metadata", (1, 2)),
        ("on_grpc_receive", "proxy_on_grpc_receive", (1, 2)),
        ("on_grpc_receive_trailing_metadata", "proxy_on_grpc_receive_trailing_metadata", (1, 2)),
        ("on_grpc_close", "proxy_on_grpc_close", (1, 2)),
        ("on_foreign_function", "proxy_on_foreign_function", (1, 2)),
        ("on_plugin_done", "proxy_on_done", ()),
    ],
)
def test_plugin_callbacks(callback: str, export: str, arguments: tuple[int, ...]) -> None:
    cls = failing(pwasm.PluginContext, callback, SystemExit(3))
    host = HostEmulator(cls)
    host.plugin._roots[1].calls[1] = Call(None, {}, keeps=False)  # type: ignore[attr-defined]
    assert host.call(export, 1, *arguments) in (None, True)
    assert cls.calls == ["on_plugin_start", callback]  # type: ignore[attr-defined]
    ((level, record),) = host.logs
    assert level == LogLevel.ERROR
    assert record.startswith(f"Failing.{callback} failed for context 1\n")


@pytest.mark.parametrize("policy", ["fail_closed", "fail_open"])
def test_a_tick_that_fails_on_a_stream_does_not_leave_it_paused(policy: str) -> None:
    class Plugin(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> None:
            pwasm.set_tick_period_milliseconds(1)

        def on_tick(self) -> None:
            pwasm.set_effective_context(2)
            raise ValueError

    pause = {"on_http_request_headers": lambda *_: Action.PAUSE, "on_error": policy}
    host = HostEmulator(Plugin, type("Paused", (pwasm.HttpContext,), pause))
    stream = host.request()
    host.tick()
    assert (stream.paused, stream.status) == (None, 500 if policy == "fail_closed" else 200)


@pytest.mark.parametrize("callback", ["on_new_connection", "on_downstream_data", "on_upstream_data"])
@pytest.mark.parametrize("policy", ["fail_closed", "fail_open"])
def test_tcp(callback: str, policy: str) -> None:
    host = HostEmulator(failing(pwasm.TcpContext, callback, ValueError("boom"), on_error=policy))
    connection = host.connect()
    for send in (connection.downstream, connection.upstream):
        if not connection.closed:
            send(b"x")
    assert connection.closed == (policy == "fail_closed")
    assert len(host.logs) == 1


@pytest.mark.parametrize("callback", ["on_downstream_close", "on_upstream_close", "on_stream_done"])
def test_tcp_end(callback: str) -> None:
    host = HostEmulator(failing(pwasm.TcpContext, callback, ValueError("boom")))
    connection = host.connect()
    connection.close()
    assert len(host.logs) == 1


def test_an_http_filter_in_a_tcp_listener_closes_the_connection() -> None:
    """The missing method is an error, and the connection does not hang: the connection is closed, not a response."""

    class Plugin(pwasm.PluginContext):
        def new_http_context(self, context_id: int) -> pwasm.HttpContext:
            return pwasm.HttpContext()

    host = HostEmulator(Plugin)
    connection = host.connect()
    assert connection.closed
    ((level, record),) = host.logs
    assert level == LogLevel.ERROR
    assert "has no attribute 'on_new_connection'" in record


def test_the_traceback_begins_at_the_filter() -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.add_http_request_header("a", "\n")

    host = HostEmulator(Filter)
    host.request()
    lines = host.logs[0][1].split("\n")
    assert lines[1] == "  | Traceback (most recent call last):"
    assert lines[2].startswith('  |   File "')
    assert "test_policy.py" in lines[2]
    assert 'pwasm.add_http_request_header("a", "\\n")' in lines[3]
    assert lines[-1].startswith("  | ValueError: value: byte 0x0a is not allowed")


def test_an_exception_cannot_forge_a_record() -> None:
    host = HostEmulator(failing(pwasm.HttpContext, HTTP[0], ValueError("a\n[2026] b\r\n\x1b[31mc")))
    host.request()
    _, *others = host.logs[0][1].split("\n")
    assert all(line.startswith("  | ") for line in others)
    assert not {"\r", "\x1b"} & set(host.logs[0][1])


def test_a_wrong_signature() -> None:
    """One that registration cannot detect: the wrapper of a decorator accepts any arguments."""

    def on_http_request_headers(self: object) -> None: ...

    def decorated(*args: Any) -> None:
        on_http_request_headers(*args)

    host = HostEmulator(type("Filter", (pwasm.HttpContext,), {"on_http_request_headers": decorated}))
    assert host.request().status == 500
    assert "takes 1 positional argument but 3 were given" in host.logs[0][1]


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise SystemExit


class EndlessError(Exception):
    def __str__(self) -> str:
        return "x" * 10**6


@pytest.mark.parametrize("error", [UnprintableError(), EndlessError()], ids=lambda error: type(error).__name__)
def test_exceptions_that_cannot_be_printed(error: Exception) -> None:
    host = HostEmulator(failing(pwasm.HttpContext, HTTP[0], error))
    assert host.request().status == 500
    assert type(error).__name__ in host.logs[0][1]
    assert len(host.logs[0][1]) < 20_000


def test_a_log_that_takes_no_errors_costs_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceback.format_exception", lambda *_: pytest.fail("it was made all the same"))
    host = HostEmulator(failing(pwasm.HttpContext, HTTP[0], ValueError("boom")), log_level=LogLevel.CRITICAL)
    assert host.request().status == 500
    assert host.logs == []
    assert host.counter("pwasm.errors") == 1


def test_recursion() -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            self.on_http_request_headers(num_headers, end_of_stream)

    host = HostEmulator(Filter)
    assert host.request().status == 500
    assert "RecursionError" in host.logs[0][1]


def test_nothing_escapes_even_if_the_host_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> int:
        raise MemoryError

    host = HostEmulator(failing(pwasm.HttpContext, HTTP[0], ValueError("boom")))
    for hostcall in ("proxy_log", "proxy_send_local_response"):
        monkeypatch.setattr(HostEmulator, hostcall, broken)
    stream = host.request()
    assert (stream.paused, stream.upstream_called) == ("request", False)


@pytest.mark.parametrize("policy", ["fail_closed", "fail_open"])
@pytest.mark.parametrize("fails", [False, True])
def test_a_stream_closed_in_its_response_trailers_does_not_go_on(policy: str, fails: bool) -> None:
    """Envoy crashes if it continues with the trailers of a closed stream (K7)."""

    class Closes(pwasm.HttpContext):
        on_error = policy

        def on_http_response_trailers(self, num_trailers: int) -> Action:
            pwasm.close_http_response()
            if fails:
                raise RuntimeError("boom")
            return Action.CONTINUE

    host = HostEmulator(Closes)
    stream = host.request(response=UpstreamResponse(trailers=[("x-trailer", "1")]))
    assert stream.closed
    assert dict(stream.actions)["proxy_on_response_trailers"] == Action.PAUSE
