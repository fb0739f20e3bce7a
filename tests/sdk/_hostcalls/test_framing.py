"""Whatever a filter does through the SDK, the messages that leave it are framed right."""

from __future__ import annotations

import contextlib
import opcode
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pwasm
from pwasm import HostcallError, HttpContext, PhaseError, _validate
from pwasm._dispatch.declarations import _STORE_ATTR, undeclared_edits
from pwasm._dispatch.exports import edits_undeclared
from pwasm.entrypoint import registration_of
from pwasm.testing import HostEmulator, HttpStream, UpstreamResponse
from tests.support.framed import faults, trailer_faults
from tests.support.in_callback import run_in_request

REFUSED = (TypeError, ValueError, PhaseError, HostcallError)
FRAMED = sorted(_validate.FRAMED)
NAMES = [*FRAMED, "Content-Length", "TRANSFER-encoding", "Host", "x-a", ":path", ":method", ":authority", ":status"]
VALUES = [
    "0",
    "5",
    "3",
    "abc",
    "-1",
    "",
    "5, 5",
    "chunked",
    "close",
    "trailers",
    "gzip",
    "/",
    "GET",
    "HEAD",
    "a",
    "200",
    "304",
]
BODY, OTHER = b"hello", b"no"


# --- any sequence of calls ----------------------------------------------------------------------------------------


def _single(side: str) -> st.SearchStrategy[tuple[Any, ...]]:
    verb = st.sampled_from(["replace", "add"])
    write = st.tuples(
        verb, st.just(f"http_{side}_header"), st.sampled_from(NAMES), st.sampled_from([*VALUES, "204", "205"])
    )
    remove = st.tuples(st.just("remove"), st.just(f"http_{side}_header"), st.sampled_from(NAMES))
    trailer = st.tuples(verb, st.just(f"http_{side}_trailer"), st.sampled_from(NAMES), st.just("1"))
    pairs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([*VALUES, "204"])), max_size=4)
    every = st.tuples(st.just("replace"), st.just(f"http_{side}_headers"), pairs)
    again = st.tuples(st.just("again"), st.just(side))
    return st.one_of(write, write, remove, trailer, every, again)


def _edit(side: str) -> st.SearchStrategy[tuple[Any, ...]]:
    verb = st.sampled_from(["replace", "append", "prepend"])
    return st.tuples(verb, st.just(f"http_{side}_body"), st.sampled_from([b"", b"HELLO", b"longer than before", b"x"]))


def _calls(side: str, *parts: Callable[[str], st.SearchStrategy[Any]]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*(part(side) for part in parts)), max_size=4)


SCRIPTS = st.fixed_dictionaries(
    {
        "on_http_request_headers": _calls("request", _single),
        "on_http_request_body": _calls("request", _single, _edit),
        "on_http_request_trailers": _calls("request", _single, _edit),
        "on_http_response_headers": _calls("response", _single),
        "on_http_response_body": _calls("response", _single, _edit),
        "on_http_response_trailers": _calls("response", _single, _edit),
    }
)
ANSWERS = st.sampled_from(
    [
        UpstreamResponse(200, [("content-length", "5")], BODY),
        UpstreamResponse(200, [("transfer-encoding", "chunked")], [b"he", b"llo"]),
        UpstreamResponse(200, [("transfer-encoding", "chunked")], [b"he", b"llo"], [("x-t", "1")]),
        UpstreamResponse(200, [("content-length", "0")]),
        UpstreamResponse(304, [("content-length", "77")]),
        UpstreamResponse(204, []),
    ]
)
DECLARED = st.fixed_dictionaries(
    {name: st.sampled_from([None, True, False]) for name in ("edits_request_body", "edits_response_body")}
)


def _run(script: dict[str, list[Any]]) -> dict[str, Any]:
    def method(calls: list[Any]) -> Callable[..., None]:
        def run(self: object, *_: int) -> None:
            for call in calls:
                with contextlib.suppress(*REFUSED):
                    _do(*call)

        return run

    return {name: method(calls) for name, calls in script.items()}


def _do(verb: str, what: str, *arguments: Any) -> None:
    if verb == "again":  # what filters do that change one header of all
        pairs = getattr(pwasm, f"get_http_{what}_headers")()
        getattr(pwasm, f"replace_http_{what}_headers")([*pairs, ("x-more", "1")])
    else:
        getattr(pwasm, f"{verb}_{what}")(*arguments)


def _message(method: str, body: str) -> dict[str, Any]:
    if body == "none":
        return {"method": method}
    if body == "sized":
        return {"method": method, "headers": [("content-length", "5")], "body": BODY}
    chunked: dict[str, Any] = {"method": method, "headers": [("transfer-encoding", "chunked")], "body": [b"he", b"llo"]}
    return {**chunked, "trailers": [("x-t", "1")]} if body == "trailers" else chunked


@settings(max_examples=400)
@given(
    SCRIPTS,
    st.sampled_from(["GET", "POST", "HEAD"]),
    st.sampled_from(["none", "sized", "chunked", "trailers"]),
    ANSWERS,
    DECLARED,
)
@example(
    {"on_http_response_headers": [("replace", "http_response_header", ":status", "200")]},
    "GET",
    "none",
    UpstreamResponse(304, [("content-length", "77")]),
    {},
)
def test_what_leaves_is_framed(
    script: dict[str, list[Any]], method: str, body: str, answer: UpstreamResponse, declared: dict[str, bool | None]
) -> None:
    before: list[tuple[bytes, bytes]] = [(b"transfer-encoding", b"chunked")]
    host = HostEmulator(type("Filter", (HttpContext,), {**_run(script), **declared}))
    stream = host.request(response=answer, **_message(method, body))
    assert stream.unanswered == ""
    if stream.upstream_called:
        assert faults(stream.request_headers.raw, stream.request_body, request=True, before=before) == []
        assert trailer_faults(stream.request_trailers.raw if stream.request_trailers else []) == []
    head = method == "HEAD"
    assert faults(stream.headers.raw, stream.body, request=False, to_head=head, before=before) == []
    assert trailer_faults(stream.trailers.raw if stream.trailers else []) == []


@settings(max_examples=400)
@given(
    st.integers(200, 599) | st.sampled_from([204, 205, 304]),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=3),
    st.sampled_from([b"", b"hello"]),
    _calls("response", _single),
    _calls("response", _edit),
    DECLARED,
)
def test_local_responses_are_framed(
    status: int,
    headers: list[tuple[str, str]],
    body: bytes,
    in_headers: list[Any],
    in_body: list[Any],
    declared: dict[str, bool | None],
) -> None:
    def answer(self: object, *_: int) -> None:
        try:
            pwasm.send_http_response(status, headers, body)
        except ValueError:
            pwasm.send_http_response(500)

    script = _run({"on_http_response_headers": in_headers, "on_http_response_body": in_body})
    methods = {"on_http_request_headers": answer, **script, **declared}
    stream = HostEmulator(type("Filter", (HttpContext,), methods)).request()
    assert faults(stream.headers.raw, stream.body, request=False) == []


# --- one by one ---------------------------------------------------------------------------------------------------


def _refusal(call: Callable[[], object], at: str = "on_http_request_headers", **request: Any) -> str:
    outcome = run_in_request(call, at, **request).outcome
    assert isinstance(outcome, ValueError), outcome
    return str(outcome)


@pytest.mark.parametrize("value", ["30", "abc", "-1", "", "5,5", "+5", "٣"])
def test_a_length_that_does_not_fit(value: str) -> None:
    requests: list[dict[str, Any]] = [{}, {"method": "POST", "body": BODY, "headers": [("content-length", "5")]}]
    for request in requests:
        said = _refusal(partial(pwasm.replace_http_request_header, "Content-Length", value), **request)
        assert "RFC 9110 § 8.6" in said
    assert run_in_request(partial(pwasm.replace_http_request_header, "content-length", "0")).outcome is None


def test_the_refusal_names_the_remedy() -> None:
    request: dict[str, Any] = {"method": "POST", "body": BODY, "headers": [("content-length", "5")]}
    said = _refusal(partial(pwasm.replace_http_request_header, "content-length", "30"), **request)
    assert "edits_request_body = True" in said
    same = run_in_request(partial(pwasm.replace_http_request_header, "content-length", "5"), **request)
    assert same.outcome is None


@pytest.mark.parametrize("name", [name for name in FRAMED if name not in ("content-length", "host")])
def test_fields_of_the_connection(name: str) -> None:
    for write in (pwasm.replace_http_request_header, pwasm.add_http_request_header):
        assert "RFC 9" in _refusal(partial(write, name.upper(), "close"))
    assert "RFC 9" in _refusal(lambda: pwasm.replace_http_request_headers({name: "close"}))
    headers = [(name, "as it came")]
    again = run_in_request(
        lambda: pwasm.replace_http_request_headers(pwasm.get_http_request_headers()), headers=headers
    )
    assert again.outcome is None
    gone = run_in_request(lambda: pwasm.remove_http_request_header(name), headers=headers)
    assert gone.outcome is None
    assert name not in gone.stream.request_headers
    assert name not in _validate.known_names


def test_te_trailers() -> None:
    ran = run_in_request(lambda: pwasm.replace_http_request_header("te", "trailers"))
    assert (ran.outcome, ran.stream.request_headers.get("te")) == (None, "trailers")


@pytest.mark.parametrize("name", [":path", ":method", ":authority", ":scheme", "host"])
def test_what_makes_a_request_stays(name: str) -> None:
    assert "replace it" in _refusal(lambda: pwasm.remove_http_request_header(name)) or name == "host"
    assert _refusal(lambda: pwasm.replace_http_request_headers([(name, "/a"), (name, "/b")]))


@pytest.mark.parametrize(("method", "other"), [("HEAD", "GET"), ("GET", "HEAD"), ("POST", "HEAD")])
def test_head_is_no_other_method(method: str, other: str) -> None:
    for change in (
        lambda: pwasm.replace_http_request_header(":method", other),
        lambda: pwasm.replace_http_request_headers({":method": other}),
    ):
        assert "RFC 9110 § 9.3.2" in _refusal(change, method=method)
    ran = run_in_request(lambda: pwasm.replace_http_request_header(":method", method), method=method)
    assert ran.outcome is None


@pytest.mark.parametrize("name", FRAMED)
def test_trailers_and_metadata(name: str) -> None:
    assert "§ 6.5.1" in _refusal(lambda: pwasm.add_http_request_trailer(name, "1"))
    assert "§ 6.5.1" in _refusal(lambda: pwasm.replace_http_response_trailers({name: "1"}))
    call = partial(pwasm.dispatch_grpc_call, "auth", "S", "M", [(name, "1")])
    assert "metadata" in _refusal(call)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_statuses_without_a_body(status: int) -> None:
    assert "RFC 9110 § 6.4.1" in _refusal(lambda: pwasm.send_http_response(status, body=b"x"))
    assert run_in_request(lambda: pwasm.send_http_response(status)).stream.status == status
    for change in (
        lambda: pwasm.replace_http_response_header(":status", str(status)),
        lambda: pwasm.replace_http_response_headers({":status": str(status)}),
    ):
        with_body = UpstreamResponse(body=b"x")
        assert "but one follows" in _refusal(change, "on_http_response_headers", response=with_body)
        without = run_in_request(change, "on_http_response_headers", response=UpstreamResponse())
        assert (without.outcome, without.stream.status) == (None, status)


def test_a_held_response() -> None:
    """The status counts in a later callback, too."""
    seen: list[str] = []

    class Filter(HttpContext):
        def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> pwasm.Action:
            pwasm.dispatch_http_call("auth", CALL, callback=self.answered)
            return pwasm.Action.PAUSE

        def answered(self, *_: int) -> None:
            for name, value in ((":status", "204"), ("content-length", "0")):
                try:
                    pwasm.replace_http_response_header(name, value)
                except ValueError as error:
                    seen.append(str(error))
            pwasm.resume_http_response()

    host = HostEmulator(Filter)
    stream = host.request(response=UpstreamResponse(headers=[("content-length", "5")], body=BODY))
    host.answer(host.http_calls[0])
    assert (len(seen), stream.status, stream.body) == (2, 200, BODY)


CALL = [(":method", "GET"), (":path", "/"), (":authority", "auth")]


def test_callouts_drop_what_envoy_writes() -> None:
    """Filters pass on the headers of the request as they are."""
    given = [*CALL, *((name, "1") for name in FRAMED), ("x-a", "1")]
    ran = run_in_request(lambda: pwasm.dispatch_http_call("auth", given), set_up=lambda host: None)
    assert ran.host.http_calls[0].headers == [*CALL, ("x-a", "1")]
    assert "§ 6.5.1" in _refusal(lambda: pwasm.dispatch_http_call("auth", CALL, trailers={"content-length": "1"}))


def test_the_length_of_a_local_response() -> None:
    assert "but the body has 0 bytes" in _refusal(lambda: pwasm.send_http_response(200, {"content-length": "30"}))
    assert "but the body has 5 bytes" in _refusal(lambda: pwasm.send_http_response(200, {"content-length": "4"}, BODY))
    headers = [("content-length", "5"), ("transfer-encoding", "chunked"), ("connection", "close")]
    ran = run_in_request(lambda: pwasm.send_http_response(200, headers, BODY))
    assert (ran.outcome, ran.stream.body, list(ran.stream.headers)[1:]) == (
        None,
        BODY,
        [("content-length", "5"), ("content-type", "text/plain")],
    )


@pytest.mark.parametrize(
    ("service", "method", "good"),
    [
        ("auth.v1.Auth", "Check", True),
        ("a/b", "c", True),
        ("a%20b", "c", True),
        ("a b", "c", False),
        ("a", "c d", False),
        ("", "c", False),
        ("a", "", False),
        ("a//b", "c", False),
        ("/a", "c", False),
        ("a", "c/d", False),
        ("svc\r\nx: 1", "M", False),
        ("svc", "M?x", False),
        ("svc\0", "M", False),
        ("svc", "é", False),
        ("svc", "%2", False),
    ],
)
def test_names_of_grpc(service: str, method: str, good: bool) -> None:
    for call in (pwasm.dispatch_grpc_call, pwasm.open_grpc_stream):
        outcome = run_in_request(partial(call, "auth", service, method)).outcome
        assert isinstance(outcome, int if good else ValueError)


# --- edits --------------------------------------------------------------------------------------------------------

SIZED: dict[str, Any] = {"method": "POST", "headers": [("content-length", "5")], "body": BODY}


class Edits(HttpContext):
    """The case `smuggle`."""

    new = b"short" + b"GET /admin HTTP/1.1\r\nhost: internal\r\n\r\n"

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> pwasm.Action:
        if not end_of_stream:
            return pwasm.Action.PAUSE
        pwasm.replace_http_request_body(self.new)
        return pwasm.Action.CONTINUE


class Assigns(HttpContext):
    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> None:
        if body_size:
            self.response.body = self.response.body + b"!"


class Reads(HttpContext):
    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> None:
        pwasm.log_info("%s", self.response.body)


class Removes(Edits):
    """The pattern of other SDKs."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.remove_http_request_header("Content-Length")


class Declares(Edits):
    edits_request_body = True


class SameSize(Edits):
    new = b"HELLO"


def _sent(cls: type, **request: Any) -> tuple[HttpStream, str]:
    host = HostEmulator(cls)
    stream = host.request(**{**SIZED, **request})
    return stream, "\n".join(text for _, text in host.logs)


def test_an_edit_that_contradicts_content_length_is_refused() -> None:
    stream, log = _sent(Edits)
    assert (stream.status, stream.request_body) == (500, b"")
    assert "edits_request_body = True" in log
    stream, log = _sent(Assigns, response=UpstreamResponse(headers=[("content-length", "5")], body=BODY))
    assert stream.closed
    assert "edits_response_body = True" in log


@pytest.mark.parametrize("cls", [Removes, Declares, SameSize])
def test_edits_that_fit(cls: type[Edits]) -> None:
    stream, _ = _sent(cls)
    assert (stream.status, stream.request_body) == (200, cls.new)
    assert ("content-length" in stream.request_headers) == (cls is SameSize)


def test_a_message_without_content_length() -> None:
    stream, _ = _sent(Edits, headers=[("transfer-encoding", "chunked")])
    assert (stream.status, stream.request_body) == (200, Edits.new)
    stream, _ = _sent(Assigns, response=UpstreamResponse(body=[b"a", b"b"]))
    assert (stream.status, stream.body) == (200, b"a!b!")


def test_a_failure_in_the_headers_does_not_keep_the_length() -> None:
    """With fail_open the body is still edited."""

    class Filter(Declares):
        on_error = "fail_open"

        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            raise RuntimeError

    stream, _ = _sent(Filter)
    assert (stream.status, stream.request_body, "content-length" in stream.request_headers) == (200, Edits.new, False)


def test_an_edit_of_the_filters_own_answer() -> None:
    class Answers(Assigns):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.send_http_response(403, body=b"no")

    class Declared(Answers):
        edits_response_body = True

    stream, log = _sent(Answers)
    assert (stream.status, stream.body) == (403, b"no")
    assert "edits_response_body = True" in log
    stream, _ = _sent(Declared)
    assert (stream.status, stream.body, "content-length" in stream.headers) == (403, b"no!", False)


@pytest.mark.parametrize(
    ("method", "status", "length", "left"),
    [("HEAD", 200, "5", None), ("GET", 304, "5", None), ("HEAD", 200, "0", "0"), ("GET", 200, "0", "0")],
)
def test_responses_without_a_body_of_a_class_that_edits(
    method: str, status: int, length: str, left: str | None
) -> None:
    class Filter(HttpContext):
        edits_response_body = True

    answer = UpstreamResponse(status, [("content-length", length)])
    stream = HostEmulator(Filter).request(method, response=answer)
    assert stream.headers.get("content-length") == left


# --- the warning --------------------------------------------------------------------------------------------------


def test_undeclared_edits() -> None:
    (edit,) = undeclared_edits(Edits)
    code = Edits.on_http_request_body.__code__
    assert edit == (
        "Edits.on_http_request_body",
        "replace_http_request_body",
        "edits_request_body",
        __file__,
        edit.line,
    )
    assert edit.line == code.co_firstlineno
    (edit,) = undeclared_edits(Assigns)
    assert (edit.changes, edit.declares) == ("response.body", "edits_response_body")
    for cls in (Reads, Removes, Declares):
        assert undeclared_edits(cls) == []
    (warning,) = edits_undeclared(registration_of(Edits))
    assert warning.startswith(f"{__file__}:{code.co_firstlineno}: Edits.on_http_request_body changes")


def test_the_operation_that_assigns_to_an_attribute() -> None:
    assert opcode.opmap["STORE_ATTR"] == _STORE_ATTR
