"""Nothing that would break a message leaves the SDK."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pwasm
from pwasm import _validate
from pwasm._abi import MapType
from pwasm.testing import HostEmulator
from tests.support.in_callback import run_in_request

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@given(st.text(max_size=12))
def test_names(name: str) -> None:
    for adding in (False, True):
        try:
            _validate.name(name, MapType.HTTP_RESPONSE_HEADERS, adding=adding)
        except ValueError:
            framed = name.lower() in _validate.FRAMED  # nothing is added to these
            assert (adding and framed) or not TOKEN.fullmatch(name.encode("utf-8", "surrogatepass"))
        else:
            assert TOKEN.fullmatch(name.encode()) or (name == ":status" and not adding)


@given(st.text(max_size=20) | st.binary(max_size=20))
def test_values(value: str | bytes) -> None:
    try:
        written = _validate.value(value)
    except ValueError:
        data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        assert any((byte < 32 and byte != 9) or byte == 127 for byte in data) or not isinstance(value, bytes)
    else:
        assert not any((byte < 32 and byte != 9) or byte == 127 for byte in written)


WRITERS = [
    pwasm.add_http_request_header,
    pwasm.replace_http_request_header,
    pwasm.add_http_response_header,
    pwasm.replace_http_response_header,
    pwasm.add_http_request_trailer,
    pwasm.replace_http_response_trailer,
]
BAD_VALUES: list[Any] = [
    "a\r\nx-injected: 1",
    "a\nb",
    "a\rb",
    "a\0b",
    "\x01",
    "\x7f",
    b"a\r\n",
    "\ud800",
    1,
    None,
    ["x"],
]
BAD_NAMES: list[Any] = ["", " ", "a b", "a:", "é", "a\r\nb", ":nope", ":", "\ud800", b"a", 1, None, ["x"]]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("value", BAD_VALUES, ids=repr)
def test_bad_values_are_refused(write: Any, value: Any) -> None:
    error = run_in_request(lambda: write("x-a", value)).outcome
    assert isinstance(error, (TypeError, ValueError))
    assert "value" in str(error) or isinstance(error, UnicodeEncodeError)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
def test_bad_names_are_refused(write: Any, name: Any) -> None:
    error = run_in_request(lambda: write(name, "1")).outcome
    assert isinstance(error, (TypeError, ValueError))


@pytest.mark.parametrize("value", ["", " a ", "a\tb", "caf\u00e9", "\udcff\udcfe", b"\xff\xfe"])
def test_good_values_arrive_unchanged(value: str | bytes) -> None:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.replace_http_request_header("X-A", value)
            wanted = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
            assert pwasm.get_http_request_header_bytes("x-a") == wanted
            assert pwasm.get_http_request_header("x-a") == wanted.decode("utf-8", "surrogateescape")

    response = HostEmulator(Filter).request()
    assert response.status == 200


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (":method", ["GET", "M-SEARCH"], ["", "G T", "GET\r\n"]),
        (":path", ["/", "/a?b=c", "*"], ["", "/a b", "/a\tb", "/\n"]),
        (":authority", ["example.com:80"], ["", "a b"]),
        (":scheme", ["https"], ["", "1", "ht tp"]),
    ],
)
def test_pseudo_headers_of_requests(name: str, good: list[str], bad: list[str]) -> None:
    for value in good:
        assert run_in_request(partial(pwasm.replace_http_request_header, name, value)).outcome is None
    for value in bad:
        error = run_in_request(partial(pwasm.replace_http_request_header, name, value)).outcome
        assert isinstance(error, ValueError)
    assert isinstance(run_in_request(lambda: pwasm.add_http_request_header(name, good[0])).outcome, ValueError)


def test_names_are_remembered_only_when_valid_and_not_for_ever() -> None:
    _validate.known_names.clear()
    for number in range(2000):
        _validate.name(f"x-{number}", MapType.HTTP_REQUEST_HEADERS)
    assert len(_validate.known_names) <= 512
    assert not any(name.startswith(":") for name in _validate.known_names)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"status_code": 0}, ValueError, "status_code must be between 200 and 599"),
        ({"status_code": 199}, ValueError, "status_code"),
        ({"status_code": 600}, ValueError, "status_code"),
        ({"status_code": "200"}, TypeError, "status_code must be int, not str"),
        ({"status_code": True}, TypeError, "status_code"),
        ({"headers": [("a b", "1")]}, ValueError, r"headers\[0\].name"),
        ({"headers": [("a", "1"), ("b", "1\n")]}, ValueError, r"headers\[1\].value"),
        ({"headers": [(":status", "200")]}, ValueError, "pseudo header ':status' is not allowed here"),
        ({"headers": "ab"}, TypeError, "headers must be pairs"),
        ({"headers": [1]}, TypeError, r"headers\[0\] must be a pair"),
        ({"headers": [("a", "1")] * 1025}, ValueError, "1025 pairs"),
        ({"body": 1}, TypeError, "body must be bytes or str, not int"),
        ({"grpc_status": 17}, ValueError, "grpc_status"),
        ({"details": "a\nb"}, ValueError, "details must be printable"),
        ({"details": b"a"}, TypeError, "details must be str"),
    ],
)
def test_local_response_arguments(arguments: dict[str, Any], error: type, text: str) -> None:
    raised = run_in_request(lambda: pwasm.send_http_response(**{"status_code": 403, **arguments})).outcome
    assert isinstance(raised, error)
    assert re.search(text, str(raised))


@pytest.mark.parametrize("headers", [[("x-a", "1"), ("x-b", b"2")], {"x-a": "1", "x-b": b"2"}])
def test_replacing_all_headers_keeps_what_a_request_needs(headers: Any) -> None:

    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.replace_http_request_headers(headers)

    stream = HostEmulator(Filter).request("PUT", "/p", headers=[("x-old", "1")])
    assert stream.request_headers == [
        (":method", "PUT"),
        (":path", "/p"),
        (":authority", "example.com"),
        (":scheme", "http"),
        ("x-forwarded-proto", "http"),
        ("x-a", "1"),
        ("x-b", "2"),
    ]
