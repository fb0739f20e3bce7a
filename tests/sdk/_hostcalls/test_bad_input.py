"""Tables: every argument of every function × a wrong type, every hostcall × every status, and the limits of sizes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import pwasm
from pwasm import foreign, properties
from pwasm._abi import HOSTCALLS, Hostcall, MapType
from pwasm._abi import kinds as kinds_of
from pwasm._stream.current import current
from pwasm._stream.phases import PHASES
from pwasm._stream.records import Root, Stream
from pwasm.errors import BY_STATUS
from pwasm.testing import HostEmulator
from tests.support.in_callback import in_request, run_in_request

HEADERS = [(":method", "GET"), (":path", "/"), (":authority", "a")]


def functions() -> dict[str, Callable[..., Any]]:
    """Every public function that takes arguments."""
    found = {name: getattr(pwasm, name) for name in pwasm.__all__}
    found |= {f"foreign.{name}": getattr(foreign, name) for name in foreign.__all__}
    made = {
        "Counter.increment": pwasm.Counter(4, "c").increment,
        "Gauge.add": pwasm.Gauge(5, "g").add,
        "Gauge.set": pwasm.Gauge(5, "g").set,
        "Histogram.record": pwasm.Histogram(6, "h").record,
    }
    functions: dict[str, Any] = {
        name: function for name, function in found.items() if inspect.isfunction(function)
    } | made
    functions["effective_context"] = pwasm.effective_context
    functions["foreign.Expression"] = foreign.Expression
    return {name: function for name, function in functions.items() if list(parameters(function))}


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    }


GOOD: dict[str, Any] = {
    "headers": HEADERS,
    "trailers": [],
    "initial_metadata": [],
    "cluster": "c",
    "upstream": "c",
    "service": "s",
    "method": "m",
    "name": "x-n",
    "value": "v",
    "data": b"d",
    "body": b"b",
    "message": b"m",
    "path": "mine",
    "key": "k",
    "vm_id": "v",
    "param": b"",
    "msg": "m",
    "text": "t",
    "hash_function": "sha256",
    "public_key": b"k",
    "private_key": b"k",
    "signature": b"s",
    "status_code": 403,
}


def cases() -> list[tuple[str, str]]:
    """`default` may be anything; the readers of answers are refused outside their callback before anything else."""
    return [
        (name, argument)
        for name, function in functions().items()
        for argument in parameters(function)
        if argument != "default" and not hasattr(function, "__wrapped__")
    ]


class Nothing:
    """Of no type anything accepts."""


@pytest.mark.parametrize(("name", "argument"), cases(), ids=lambda text: text)
def test_wrong_type(name: str, argument: str) -> None:
    function = functions()[name]
    arguments: dict[str, Any] = {}
    for other, parameter in parameters(function).items():
        if parameter.default is parameter.empty or other == argument:
            arguments[other] = Nothing() if other == argument else GOOD.get(other, 1)
    raised: list[BaseException] = []

    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            try:
                function(**arguments)
            except BaseException as error:
                raised.append(error)

    host = HostEmulator(Filter)
    host.request()
    assert raised, f"{name} accepted {argument}=Nothing()"
    assert isinstance(raised[0], TypeError), raised[0]
    assert argument in str(raised[0])


@pytest.mark.parametrize("argument", ["start", "max_size"])
def test_wrong_types_where_an_answer_is_read(argument: str) -> None:
    raised: list[BaseException] = []

    class Plugin(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> None:
            pwasm.dispatch_http_call("c", HEADERS)

        def on_http_call_response(self, token: int, num_headers: int, body_size: int, num_trailers: int) -> None:
            try:
                pwasm.get_http_call_response_body(**{argument: Nothing()})
            except TypeError as error:
                raised.append(error)

    host = HostEmulator(Plugin)
    host.answer(host.http_calls[0], body=b"abc")
    assert argument in str(raised[0])


# --- every status -------------------------------------------------------------------------------------------------


class Answering:
    """A host that returns a given status for one hostcall, and OK for all others."""

    def __init__(self, hostcall: str, status: int) -> None:
        self.hostcall = hostcall
        self.status = status

    def __getattr__(self, name: str) -> Callable[..., Any]:
        row = next(row for row in HOSTCALLS if row.name == name)
        status = self.status if name == self.hostcall else 0
        empty = [b"" if kind == "bytes" else 0 for kind in kinds_of(row.results)]
        return lambda *_: (status, *empty) if row.results else status


IN_RESPONSE = PHASES["proxy_on_http_call_response"]
CALLS: dict[str, list[Callable[[], Any]]] = {
    "proxy_log": [],
    "proxy_get_log_level": [pwasm.get_log_level],
    "proxy_get_status": [pwasm.get_call_status],
    "proxy_set_property": [lambda: pwasm.set_property("a", b"")],
    "proxy_get_property": [
        lambda: pwasm.get_property("a"),
        lambda: pwasm.get_property_map("a"),
        lambda: properties.request.path,
    ],
    # Not resume_http_request: in a callback of the request it makes no hostcall.
    "proxy_continue_stream": [pwasm.resume_http_response, pwasm.continue_tcp_stream],
    "proxy_close_stream": [
        pwasm.close_http_request,
        pwasm.close_http_response,
    ],
    "proxy_send_local_response": [lambda: pwasm.send_http_response(403)],
    "proxy_get_shared_data": [lambda: pwasm.get_shared_data("k")],
    "proxy_set_shared_data": [lambda: pwasm.set_shared_data("k", b"")],
    "proxy_register_shared_queue": [lambda: pwasm.register_shared_queue("q")],
    "proxy_resolve_shared_queue": [lambda: pwasm.resolve_shared_queue("", "q")],
    "proxy_enqueue_shared_queue": [lambda: pwasm.enqueue_shared_queue(1, b"")],
    "proxy_dequeue_shared_queue": [
        lambda: pwasm.dequeue_shared_queue(1),
        lambda: next(pwasm.drain_shared_queue(1), None),
    ],
    "proxy_get_header_map_value": [lambda: pwasm.get_http_request_header("a")],
    "proxy_add_header_map_value": [lambda: pwasm.add_http_request_header("a", "1")],
    "proxy_replace_header_map_value": [lambda: pwasm.replace_http_request_header("a", "1")],
    "proxy_remove_header_map_value": [lambda: pwasm.remove_http_request_header("a")],
    "proxy_get_header_map_pairs": [pwasm.get_http_request_headers, pwasm.get_http_request_headers_bytes],
    "proxy_set_header_map_pairs": [lambda: pwasm.replace_http_request_trailers([])],
    "proxy_get_header_map_size": [],
    "proxy_get_buffer_status": [],
    "proxy_get_buffer_bytes": [pwasm.get_http_request_body],
    "proxy_set_buffer_bytes": [lambda: pwasm.replace_http_request_body(b"")],
    "proxy_http_call": [lambda: pwasm.dispatch_http_call("c", HEADERS)],
    "proxy_grpc_call": [lambda: pwasm.dispatch_grpc_call("c", "s", "m")],
    "proxy_grpc_stream": [lambda: pwasm.open_grpc_stream("c", "s", "m")],
    "proxy_grpc_send": [lambda: pwasm.send_grpc_stream_message(2)],
    "proxy_grpc_close": [lambda: pwasm.close_grpc_stream(2)],
    "proxy_grpc_cancel": [lambda: pwasm.cancel_grpc_call(1), lambda: pwasm.cancel_grpc_stream(2)],
    "proxy_set_tick_period_milliseconds": [lambda: pwasm.set_tick_period_milliseconds(1)],
    "proxy_get_current_time_nanoseconds": [pwasm.get_current_time_nanoseconds],
    "proxy_define_metric": [
        lambda: pwasm.define_counter_metric("m"),
        lambda: pwasm.define_gauge_metric("m"),
        lambda: pwasm.define_histogram_metric("m"),
    ],
    "proxy_increment_metric": [lambda: pwasm.Counter(4, "c").increment(), lambda: pwasm.Gauge(5, "g").add(1)],
    "proxy_record_metric": [lambda: pwasm.Gauge(5, "g").set(1), lambda: pwasm.Histogram(6, "h").record(1)],
    "proxy_get_metric": [pwasm.Counter(4, "c").value, pwasm.Gauge(5, "g").value],
    "proxy_set_effective_context": [lambda: pwasm.set_effective_context(2)],
    "proxy_done": [pwasm.plugin_done],
    "proxy_call_foreign_function": [lambda: pwasm.call_foreign_function("f"), foreign.clear_route_cache],
}
"""Every public function by the hostcall it makes. The SDK itself never asks for a map's size, and ignores what
proxy_log and proxy_get_buffer_status answer."""

CALLED_IN = {"proxy_continue_stream": "proxy_on_tick"}
"""In a callback of a stream, one direction goes on by its action, and the other one later (K14)."""

NO_ERROR = {
    ("proxy_get_header_map_value", 1),
    ("proxy_get_property", 1),
    ("proxy_get_property", 3),
    ("proxy_get_shared_data", 1),
}


def test_the_table_is_complete() -> None:
    assert list(CALLS) == [row.name for row in HOSTCALLS]


@pytest.mark.parametrize("status", [*range(13), 255])
@pytest.mark.parametrize("row", HOSTCALLS, ids=lambda row: row.name)
def test_every_status(row: Hostcall, status: int) -> None:
    before = (current.host, current.phase, current.root, current.stream)
    try:
        for call in CALLS[row.name]:
            streams: dict[int, Stream] = {}
            root = Root(1, streams)
            stream = streams[2] = Stream(2, root)
            stream.response_seen = True
            stream.paused = 0b1111
            current.host = Answering(row.name, status)
            phase = current.phase = PHASES[CALLED_IN.get(row.name, "proxy_on_request_headers")]
            current.root, current.stream, current.queued = root, stream, None
            raised: BaseException | None = None
            try:
                call()
            except pwasm.HostcallError as error:
                raised = error
            drained = (row.name, status) == ("proxy_dequeue_shared_queue", 7)
            if status == 0 or (row.name, status) in NO_ERROR or (drained and raised is None):
                assert raised is None
            else:
                assert type(raised) is BY_STATUS.get(status, pwasm.HostcallError)
                assert (raised.status, raised.hostcall) == (status, row.name)
                assert f"in {phase.method}" in str(raised)
                assert root.calls == {}
    finally:
        current.host, current.phase, current.root, current.stream = before
        current.queued = None


# --- sizes and bytes ----------------------------------------------------------------------------------------------


def test_bytes_survive_a_read_modify_write() -> None:
    def call() -> None:
        value = pwasm.get_http_request_header("x-raw")
        assert value is not None
        pwasm.replace_http_request_header("x-raw", value + "\udcfe")
        pwasm.replace_http_request_headers(pwasm.get_http_request_headers())

    ran = run_in_request(call, headers=[("x-raw", "caf\udce9 é"), ("x-empty", ""), ("x-d", "1"), ("x-d", "1")])
    assert ran.outcome is None
    stream = ran.stream
    assert stream.request_headers.first(b"x-raw") == b"caf\xe9 \xc3\xa9\xfe"
    assert stream.request_headers["x-empty"] == ""
    assert stream.request_headers.get_all("x-d") == ["1", "1"]


def test_long_values() -> None:
    def call() -> None:
        pwasm.replace_http_request_header("x-long", "v" * 65536)
        assert pwasm.get_http_request_header("x-long") == "v" * 65536
        pwasm.set_shared_data("k", b"x" * 65536)
        assert pwasm.get_shared_data("k")[0] == b"x" * 65536

    assert run_in_request(call).stream.request_headers["x-long"] == "v" * 65536


def test_1024_pairs_pass_and_1025_do_not() -> None:
    pairs = [("x", str(number)) for number in range(1024 - 5)]  # and the five that are kept
    ran = run_in_request(lambda: pwasm.replace_http_request_headers(pairs))
    assert len(ran.stream.request_headers) == 1024
    with pytest.raises(ValueError, match="1025 pairs"):
        in_request(lambda: pwasm.replace_http_request_headers([*pairs, ("x", "1")]))


def test_a_megabyte_of_headers_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes encoded"):
        in_request(lambda: pwasm.replace_http_request_headers([("x", "v" * 1024 * 1024)]))


def test_what_a_header_map_may_be() -> None:
    assert int(MapType.HTTP_CALL_RESPONSE_HEADERS) == 6
    wrong: Any
    for wrong in ("ab", b"ab", 1, None, [("a",)], [("a", "b", "c")], [1], {"a": 1}):
        with pytest.raises(TypeError, match="headers"):
            in_request(partial(pwasm.replace_http_request_headers, wrong))
