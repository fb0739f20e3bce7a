"""Request headers are not written, and the route is not cleared, when the request has gone upstream (K17).

The host still has the headers if it held them and a body let them go. To write them clears the route, and Envoy uses it
when it has a connection to upstream. The emulator raises EnvoyCrash as soon as they are written.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

import pwasm
from pwasm import foreign
from pwasm._serde import encode_pairs
from pwasm._stream.current import current
from pwasm.testing import EnvoyCrash, Headers, HostEmulator, HttpStream

HEADERS = [
    (":method", "POST"),
    (":path", "/"),
    (":authority", "a"),
    (":scheme", "http"),
    ("x-forwarded-proto", "http"),
    ("x-a", "0"),
]
WRITES: dict[str, Callable[[], Any]] = {
    "add": lambda: pwasm.add_http_request_header("x-a", "1"),
    "replace": lambda: pwasm.replace_http_request_header(":path", "/none"),
    "remove": lambda: pwasm.remove_http_request_header("x-a"),
    "replace all": lambda: pwasm.replace_http_request_headers(HEADERS),
    "clear": foreign.clear_route_cache,
}
UNGUARDED: dict[str, Callable[[], Any]] = {
    "add": lambda: current.host.proxy_add_header_map_value(0, "x-a", "1"),
    "replace": lambda: current.host.proxy_replace_header_map_value(0, ":path", "/none"),
    "remove": lambda: current.host.proxy_remove_header_map_value(0, "x-a"),
    "replace all": lambda: current.host.proxy_set_header_map_pairs(
        0, encode_pairs([(name.encode(), value.encode()) for name, value in HEADERS])
    ),
    "clear": lambda: current.host.proxy_call_foreign_function("clear_route_cache", b""),
}


def held(write: Callable[[], Any], *, at: str = "tick") -> tuple[HostEmulator, HttpStream, list[str]]:
    """A request that is held until its body is there; `write` acts on it, in a tick or in a callback of `at`."""
    seen: list[str] = []

    def writes() -> None:
        try:
            write()
        except pwasm.HostcallError as error:
            seen.append(type(error).__name__)
        else:
            seen.append("written")

    class Plugin(pwasm.PluginContext):
        first = 0

        def on_plugin_start(self, configuration_size: int) -> None:
            pwasm.set_tick_period_milliseconds(10)

        def on_tick(self) -> None:
            with pwasm.effective_context(self.first):
                writes()

    class Filter(pwasm.HttpContext):
        plugin: Plugin
        buffer_request_body = True

        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            self.plugin.first = self.plugin.first or self.context_id
            if self.plugin.first != self.context_id:
                with pwasm.effective_context(self.plugin.first):
                    writes()

        def on_http_request_body(self, body_size: int, end_of_stream: bool) -> None:
            if at == "own body":
                writes()

        def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
            if at == "own response" and self.plugin.first == self.context_id:
                writes()

    host = HostEmulator(Filter, Plugin, hold_headers=True)
    stream = host.open_http_stream()
    stream.send_request_headers(Headers(HEADERS))
    return host, stream, seen


@pytest.mark.parametrize("write", WRITES)
def test_when_the_request_has_gone(write: str) -> None:
    host, stream, seen = held(WRITES[write])
    stream.send_request_body(b"abc", end_of_stream=True)
    assert stream.upstream_called
    host.tick()
    host.request()
    assert seen == ["BadArgument", "BadArgument"]


def test_in_its_own_response() -> None:
    _, stream, seen = held(WRITES["clear"], at="own response")
    stream.send_request_body(b"abc", end_of_stream=True)
    stream.send_response_headers(end_of_stream=True)
    assert seen == ["BadArgument"]


@pytest.mark.parametrize("write", WRITES)
def test_while_the_request_is_held(write: str) -> None:
    host, stream, seen = held(WRITES[write], at="own body")
    stream.send_request_body(b"abc")
    host.tick()
    host.request()
    assert not stream.upstream_called
    stream.send_request_body(b"def", end_of_stream=True)
    assert stream.upstream_called
    assert set(seen) == {"written"}
    assert len(seen) >= 3


@pytest.mark.parametrize("write", UNGUARDED)
@pytest.mark.parametrize("gone", [True, False])
def test_without_the_guard(write: str, *, gone: bool) -> None:
    host, stream, _ = held(UNGUARDED[write])
    stream.send_request_body(b"abc", end_of_stream=gone)
    with pytest.raises(EnvoyCrash, match="K17") if gone else nullcontext():
        host.tick()
