"""The dispatcher against a misbehaving host: any callback, for any context, in any order.

Unknown ids, duplicate creations and deletions, proxy_on_log before headers, unexpected answers, answers for deleted
streams, failing hostcalls. No exception may escape, actions are 0 or 1, and deleted contexts are freed.

`PWASM_LIFECYCLE_STEPS=10000 pytest tests/fuzz/test_lifecycle.py` looks longer.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import pwasm
from pwasm import Action, HttpContext, PluginContext, TcpContext, aio
from pwasm._abi import HOSTCALLS
from pwasm._dispatch.callbacks import Dispatcher
from pwasm._serde import encode_pairs
from pwasm.entrypoint import registration_of

STEPS = int(os.environ.get("PWASM_LIFECYCLE_STEPS", "500"))
STEPS_OF_ONE = 50
IDS = st.integers(0, 6)
SIZES = st.sampled_from([0, 1, 10, 2**31, 2**32 - 1])
STATUSES = st.sampled_from([0, 0, 0, 0, 1, 2, 6, 7, 8, 10, 12, 255])
ASK = [(":method", "GET"), (":path", "/"), (":authority", "a")]
MAP = encode_pairs([(b":status", b"200"), (b"x", b"y")])


class Host:
    """Answers every hostcall, with the status that the test has chosen; hands out tokens for callouts."""

    def __init__(self) -> None:
        self.status = 0
        self.token = 0
        self.log: list[tuple[int, str]] = []

    def __getattr__(self, name: str) -> Any:
        call = next((call for call in HOSTCALLS if call.name == name), None)
        assert call is not None, name

        def answer(*arguments: object) -> Any:
            if name == "proxy_log":
                self.log.append((int(arguments[0]), str(arguments[1])))  # type: ignore[call-overload]
                return 0
            if name in ("proxy_http_call", "proxy_grpc_call", "proxy_grpc_stream"):
                self.token = (self.token + 1) % 7
                return self.status, self.token
            if name.endswith("_pairs") and name.startswith("proxy_get"):
                return self.status, MAP
            return _shaped(name, self.status)

        return answer


def _shaped(name: str, status: int) -> Any:
    """A result of the shape required by the protocol: a status, or a status and results."""
    if name in ("proxy_get_shared_data",):
        return status, b"1", 1
    if name == "proxy_get_status":
        return status, 5, b"status"
    if name.startswith("proxy_get_header_map_value") or name in (
        "proxy_get_property",
        "proxy_get_buffer_bytes",
        "proxy_dequeue_shared_queue",
        "proxy_call_foreign_function",
    ):
        return status, b"value"
    if name.startswith(("proxy_get", "proxy_define", "proxy_register", "proxy_resolve")):
        return status, 3
    return status


class Plugin(PluginContext):
    def on_tick(self) -> None:
        pwasm.dispatch_http_call("a", ASK, callback=lambda *_: pwasm.log_info("answered"))

    async def on_queue_ready(self, queue_id: int) -> None:
        await aio.sleep(0.01)
        await aio.dispatch_http_call("a", ASK)


class Http(HttpContext):
    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if num_headers % 2:
            await aio.gather(aio.dispatch_http_call("a", ASK), aio.sleep(0.001))
        return Action.CONTINUE

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        pwasm.dispatch_http_call("a", ASK, callback=self.answered)
        return Action.PAUSE

    def answered(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        pwasm.get_http_call_response_headers()
        pwasm.resume_http_request()

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if num_headers == 10:
            raise ValueError("ten")
        pwasm.replace_http_response_header("x", "y")
        return Action.CONTINUE

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        pwasm.send_http_response(200, [], b"late")
        return Action.CONTINUE

    def on_http_response_trailers(self, num_trailers: int) -> Action:
        pwasm.open_grpc_stream("a", "service", "method")
        return Action.PAUSE

    def on_http_stream_done(self) -> None:
        pwasm.get_http_request_headers()


class Tcp(TcpContext):
    async def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        await aio.dispatch_http_call("a", ASK)
        return Action.CONTINUE

    def on_downstream_close(self, peer_type: object) -> None:
        raise RuntimeError("closing")


HTTP_STREAM = ("request_headers", "request_body", "response_headers", "response_body")
TCP_STREAM = ("downstream_data", "upstream_data")


class Lifecycle(RuleBasedStateMachine):
    """Contexts 0 to 6 are created, used and deleted at random; 1 and 2 are plugins where created with parent 0."""

    filters: tuple[type, ...] = (Plugin, Http)

    def __init__(self) -> None:
        super().__init__()
        self.host = Host()
        self.dispatcher = Dispatcher(registration_of(*self.filters), self.host)

    def _call(self, name: str, *arguments: object) -> Any:
        return getattr(self.dispatcher, f"proxy_on_{name}")(*arguments)

    def _act(self, name: str, *arguments: object) -> None:
        result = self._call(name, *arguments)
        assert type(result) is int or isinstance(result, Action)
        assert result in (0, 1)

    @rule(status=STATUSES)
    def hostcalls_answer(self, status: int) -> None:
        self.host.status = status

    @rule(context=IDS, parent=st.sampled_from([0, 0, 1, 2, 1, 2, 5]))
    def create(self, context: int, parent: int) -> None:
        self._call("context_create", context, parent)

    @rule(context=st.integers(1, 2), size=SIZES)
    def begin(self, context: int, size: int) -> None:
        self._call("context_create", context, 0)
        assert type(self._call("vm_start", context, 0)) is bool
        assert type(self._call("configure", context, size)) is bool
        self._call("context_create", context + 2, context)

    @rule(context=IDS, name=st.sampled_from(HTTP_STREAM + TCP_STREAM), size=SIZES, end=st.booleans())
    def data(self, context: int, name: str, size: int, end: bool) -> None:
        self._act(name, context, size, end)

    @rule(context=IDS, name=st.sampled_from(["request_trailers", "response_trailers"]), size=SIZES)
    def trailers(self, context: int, name: str, size: int) -> None:
        self._act(name, context, size)

    @rule(context=IDS)
    def connect(self, context: int) -> None:
        self._act("new_connection", context)

    @rule(context=IDS, peer=SIZES, side=st.sampled_from(["downstream", "upstream"]))
    def disconnect(self, context: int, peer: int, side: str) -> None:
        self._call(f"{side}_connection_close", context, peer)

    @rule(context=IDS)
    def tick(self, context: int) -> None:
        self._call("tick", context)

    @rule(context=IDS, queue=IDS)
    def queue(self, context: int, queue: int) -> None:
        self._call("queue_ready", context, queue)

    @rule(context=IDS, token=IDS, sizes=st.tuples(SIZES, SIZES, SIZES))
    def answer(self, context: int, token: int, sizes: tuple[int, int, int]) -> None:
        self._call("http_call_response", context, token, *sizes)

    @rule(
        context=IDS,
        token=IDS,
        name=st.sampled_from(["initial_metadata", "", "trailing_metadata", "close"]),
        size=SIZES,
    )
    def grpc(self, context: int, token: int, name: str, size: int) -> None:
        full = "grpc_close" if name == "close" else f"grpc_receive_{name}".rstrip("_")
        self._call(full, context, token, size)

    @rule(context=IDS, function=IDS, size=SIZES)
    def foreign(self, context: int, function: int, size: int) -> None:
        self._call("foreign_function", context, function, size)

    @rule(context=IDS, names=st.lists(st.sampled_from(["done", "log", "delete"]), min_size=1, max_size=4))
    def end(self, context: int, names: list[str]) -> None:
        for name in names:
            result = self._call(name, context)
            assert type(result) is (bool if name == "done" else type(None))
        if names[-1] == "delete":
            assert context not in self.dispatcher._streams or context in self.dispatcher._roots
            assert context not in self.dispatcher._unopened

    @invariant()
    def nothing_is_logged_as_a_fault_of_the_sdk(self) -> None:
        for _, text in self.host.log:
            assert "could not be formatted" not in text
            assert "KeyError" not in text, text
            # What a host calls of a TCP context's HTTP callbacks is not there; else names are the SDK's.
            assert "AttributeError" not in text or "has no attribute 'on_" in text, text
        self.host.log.clear()

    def teardown(self) -> None:
        self.host.status = 0
        for context in (*self.dispatcher._streams, *self.dispatcher._unopened, *self.dispatcher._roots):
            self._call("done", context)
            self._call("log", context)
            self._call("delete", context)
        assert (self.dispatcher._streams, self.dispatcher._unopened, self.dispatcher._roots) == ({}, {}, {})


class TcpLifecycle(Lifecycle):
    """The same with TCP contexts."""

    filters = (Plugin, Tcp)


SETTINGS = settings(
    max_examples=STEPS // STEPS_OF_ONE,
    stateful_step_count=STEPS_OF_ONE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_http_contexts() -> None:
    run_state_machine_as_test(Lifecycle, settings=SETTINGS)


def test_tcp_contexts() -> None:
    run_state_machine_as_test(TcpLifecycle, settings=SETTINGS)
