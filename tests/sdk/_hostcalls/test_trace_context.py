"""The trace context of a request goes on in the calls that are made for it."""

from __future__ import annotations

from typing import Any

import pytest

import pwasm
from pwasm import Action, aio
from pwasm.testing import HostEmulator

W3C = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1"}
B3 = {"b3": "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"}
B3_SEVERAL = {"x-b3-traceid": "80f198ee56343ba8", "x-b3-spanid": "e457b5a2e4d86bd1", "x-b3-sampled": "1"}
STRANGE = {"traceparent": "", "tracestate": "a" * 60_000, "b3": "\x80\xff"}
CALL = [(":method", "GET"), (":path", "/"), (":authority", "a")]


class Calls(pwasm.HttpContext):
    passes_trace_context = True

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Any:
        way = self.way = pwasm.get_http_request_header(":path")
        if way == "/http":
            pwasm.dispatch_http_call("a", CALL)
        elif way == "/own":
            pwasm.dispatch_http_call("a", [*CALL, ("Traceparent", "mine")])
        elif way == "/grpc":
            pwasm.dispatch_grpc_call("a", "a.B", "C")
        elif way == "/stream":
            pwasm.open_grpc_stream("a", "a.B", "C")
        elif way == "/aio":
            return self.asks()
        return None

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if self.way == "/later":
            pwasm.dispatch_http_call("a", CALL)
        return Action.CONTINUE

    async def asks(self) -> None:
        await aio.dispatch_http_call("a", CALL)


class Forgets(Calls):
    passes_trace_context = False


def sent(host: HostEmulator) -> dict[str, str]:
    call: Any = [*host.http_calls, *host.grpc_calls, *host.grpc_streams][-1]
    pairs = call.headers if hasattr(call, "headers") else call.initial_metadata
    return {name: value for name, value in pairs if not name.startswith(":")}


@pytest.mark.parametrize("headers", [W3C, B3, B3_SEVERAL, W3C | B3, STRANGE, {}])
@pytest.mark.parametrize("way", ["/http", "/grpc", "/stream", "/aio", "/later"])
def test_it_goes_on(way: str, headers: dict[str, str]) -> None:
    host = HostEmulator(Calls)
    host.request(path=way, headers=headers | {"x-other": "1"})
    assert sent(host) == headers


def test_what_the_call_has_itself_is_kept() -> None:
    host = HostEmulator(Calls)
    host.request(path="/own", headers=W3C)
    assert sent(host) == {"traceparent": "mine", "tracestate": "a=1"}


def test_it_is_a_declaration() -> None:
    host = HostEmulator(Forgets)
    host.request(path="/http", headers=W3C)
    assert sent(host) == {}


def test_a_call_of_the_plugin_has_none() -> None:
    class Plugin(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> bool:
            pwasm.dispatch_http_call("a", CALL)
            return True

    assert sent(HostEmulator(Calls, Plugin)) == {}
