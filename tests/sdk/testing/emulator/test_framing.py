"""What upstream and client make of a message with a wrong length, and how the emulator says it.

The plugin asks the host itself, as a module of another SDK does: pwasm's functions refuse all of this.
"""

from __future__ import annotations

from typing import Any

import pytest

import pwasm
from pwasm._stream.current import current
from pwasm.testing import HostEmulator, UpstreamResponse
from pwasm.testing.emulator import framing
from pwasm.testing.emulator.headers import Headers
from pwasm.testing.emulator.held import why_no_response

POST: dict[str, Any] = {"method": "POST", "headers": [("content-length", "5")], "body": b"hello"}


def _sets(name: str, value: str) -> type:
    def method(self: object, *_: int) -> None:
        current.host.proxy_replace_header_map_value(0, name, value)

    return type("Filter", (pwasm.HttpContext,), {"on_http_request_headers": method})


@pytest.mark.parametrize(
    ("name", "value", "request_", "says"),
    [
        ("content-length", "30", {}, "upstream waits for 30 more bytes: content-length is 30"),
        ("content-length", "30", POST, "upstream waits for 25 more bytes: content-length is 30"),
        ("content-length", "abc", {}, "upstream cannot read the request: content-length is 'abc'"),
        ("content-length", "-1", POST, "upstream cannot read the request: content-length is '-1'"),
        ("transfer-encoding", "chunked", {}, "upstream waits for chunks: transfer-encoding is chunked"),
        ("transfer-encoding", "chunked", POST, "upstream waits for chunks: transfer-encoding is chunked"),
    ],
)
def test_a_request_that_upstream_does_not_answer(name: str, value: str, request_: dict[str, Any], says: str) -> None:
    host = HostEmulator(_sets(name, value))
    stream = host.request(**request_)
    assert (stream.status, stream.upstream_called, stream.paused) == (None, False, None)
    assert stream.unanswered.startswith(says)
    assert why_no_response(stream, [host], 10) == f"no response within 10 s: {stream.unanswered}"


@pytest.mark.parametrize(("value", "request_"), [("0", {}), ("5", POST), ("2", POST)])
def test_a_request_that_upstream_answers(value: str, request_: dict[str, Any]) -> None:
    stream = HostEmulator(_sets("content-length", value)).request(**request_)
    assert (stream.status, stream.unanswered) == (200, "")
    assert framing.announced(stream.request_headers, stream.request_body) == int(value)


def test_a_chunked_request_is_no_contradiction() -> None:
    stream = HostEmulator(pwasm.HttpContext).request("POST", headers=[("transfer-encoding", "chunked")], body=b"x")
    assert (stream.status, stream.request_body) == (200, b"x")


@pytest.mark.parametrize(
    ("status", "length", "body", "rest", "lacking"),
    [
        (200, "5", b"hello", b"", 0),
        (200, None, b"hello", b"", 0),
        (200, "2", b"hello", b"llo", 0),
        (200, "9", b"hello", b"", 4),
        (204, None, b"hello", b"hello", 0),
        (304, "9", b"", b"", 0),
        (101, None, b"hello", b"hello", 0),
        (200, "abc", b"hello", b"", 0),
        (None, None, b"", b"", 0),
    ],
)
def test_the_end_of_a_response(status: int | None, length: str | None, body: bytes, rest: bytes, lacking: int) -> None:
    headers = Headers([] if length is None else [("content-length", length)])
    assert framing.beyond(status, headers, body) == rest
    assert framing.lacking(status, headers, body) == lacking


@pytest.mark.parametrize("path", ["a/b", "caf\xe9", "/caf\xe9"])
def test_paths_that_the_codec_refuses(path: str) -> None:
    stream = HostEmulator(pwasm.HttpContext).request(path=path)
    assert (stream.status, stream.body, stream.actions) == (400, b"Bad Request", [])


@pytest.mark.parametrize(("method", "path"), [("OPTIONS", "*"), ("CONNECT", "host:1"), ("GET", "http://host/a")])
def test_paths_that_only_the_router_refuses(method: str, path: str) -> None:
    stream = HostEmulator(pwasm.HttpContext).request(method, path, response=UpstreamResponse())
    assert [export for export, _ in stream.actions][:1] == ["proxy_on_request_headers"]
