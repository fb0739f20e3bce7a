"""Every order of events around an await: the behavior of tests/projects/awaits for each path.

One table, run in CPython (tests/sdk), in wasmtime (tests/wasm) and in Envoy (tests/envoy). In the first two the host is
emulated, and so are the services: `play` answers the calls as the server of tests/support/wire.py does.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pwasm import LogLevel


class Case(NamedTuple):
    """The client's response, the filter's log, and the requests that upstream must see."""

    status: int
    body: str | None = None
    logs: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    """Regular expressions, one for each record of an error or a warning."""
    upstream: str | None = None
    """`x-awaited` of the request that upstream gets."""


UPSTREAM_BODY = "hello upstream"
RAISED = "failed for context .*on purpose"

CASES = {
    # answers
    "one": Case(200, "(200, b'hello upstream', 'upstream', (':status', '200'), [])"),
    "trailers": Case(200, "[(b'x-trailer', b'1'), (b'x-trailer', b'2'), (b'x-gone', b'soon')]"),
    "in_turn": Case(200, "[200, 404, 200]"),
    "gather": Case(200, "[200, 404, 200]"),
    "gather_nothing": Case(200, "()"),
    "gather_fails": Case(200, "CalloutReset", ("finally refused", "finally silent")),
    "gather_all": Case(200, "[200, 'CalloutRefused']"),
    "grpc": Case(200, "b'<hello>'"),
    "grpc_fails": Case(200, "(7, 'not you')"),
    "grpc_slow": Case(200, "CalloutTimeout"),
    # failures
    "timeout": Case(200, "CalloutTimeout: call to web: no answer in time"),
    "cut": Case(200, "CalloutReset"),
    "reset": Case(200, "CalloutReset"),
    "refused": Case(200, "CalloutReset"),
    "no_cluster": Case(
        200,
        "CalloutRefused: call to nobody: proxy_http_call failed with BAD_ARGUMENT (2) for 'nobody' in "
        "on_http_request_headers",
    ),
    "after_failure": Case(200, "200"),
    # time
    "sleep": Case(200, "enough"),
    "sleeps": Case(200, "all", ("finally 1", "finally 2", "finally 3")),
    "wait_for": Case(200, "CalloutTimeout: call to wait_for: did not finish within 0.1 s", ("finally inner",)),
    "in_time": Case(200, "200"),
    "nested": Case(200, "[200, 404, 200]"),
    # the stream
    "goes_on": Case(200, UPSTREAM_BODY, upstream="200"),
    "never_waits": Case(200, UPSTREAM_BODY, upstream="no"),
    "response": Case(401, "no"),
    "response_and_more": Case(403, "no"),
    "resumes": Case(200, UPSTREAM_BODY),
    "pauses": Case(200, UPSTREAM_BODY, ("resumes",)),
    "closes": Case(0),
    "response_headers": Case(200, UPSTREAM_BODY),
    "response_body": Case(200, UPSTREAM_BODY.upper()),
    # mistakes
    "raises": Case(500, "", errors=(RAISED,)),
    "raises_open": Case(200, UPSTREAM_BODY, errors=(RAISED,)),
    "response_raises": Case(500, "", errors=("on_http_response_headers failed .*on purpose",)),
    "wrong_action": Case(500, "", errors=("must return Action.CONTINUE, Action.PAUSE or None, not 7",)),
    "foreign": Case(500, "", errors=("await of builtins.int, which nothing in a proxy will ever complete",)),
    "foreign_loop": Case(500, "", errors=("await of builtins.int",)),
    "twice": Case(500, "", errors=("cannot reuse already awaited coroutine",)),
    "gather_twice": Case(500, "", errors=("argument 2 .*has already been awaited",)),
    "handles": Case(200, UPSTREAM_BODY, ("no event loop",), errors=("case_one' was never awaited in ",)),
    "forgotten": Case(500, "", errors=("coroutine 'Awaits.case_one' was never awaited",)),
}

UPSTREAM_HEADERS = [("x-from", "upstream"), ("x-twice", "1"), ("x-twice", "2"), ("x-gone", "soon")]


def check(case: Case, host: Any, stream: Any) -> None:
    """Compare the outcome of a stream with its case."""
    assert stream.ended, host.logs
    assert (stream.status or 0) == case.status, host.logs
    if case.body is not None:
        assert stream.body.decode() == case.body, host.logs
    logged = [text for level, text in host.logs if level == LogLevel.INFO]
    assert logged[: len(case.logs)] == list(case.logs)
    errors = [text for level, text in host.logs if level >= LogLevel.WARN]
    assert len(errors) == len(case.errors), errors
    for error, pattern in zip(errors, case.errors, strict=True):
        assert re.search(pattern, error, re.DOTALL), error
    if case.upstream is not None:
        assert stream.request_headers["x-awaited"] == case.upstream


def play(host: Any, stream: Any) -> None:
    """Let services answer and time pass until the stream has ended, or nothing is pending."""
    answered: set[int] = set()
    for _ in range(1000):
        if stream.ended and all(call.token in answered for call in host.http_calls):
            return
        waiting = [call for call in host.http_calls if call.token not in answered]
        call = next((call for call in waiting if not call.headers[":path"].endswith("silent")), None)
        grpc = next((call for call in host.grpc_calls if not call.finished), None)
        if call is not None:
            answered.add(call.token)
            answer(host, call)
        elif grpc is not None:
            answer_grpc(host, grpc)
        elif any(host.tick_periods.values()) and not stream.ended:
            host.tick()
        elif any(call.timeout_ms for call in waiting):
            call = next(call for call in waiting if call.timeout_ms)
            answered.add(call.token)
            host.time_out(call)
        else:
            return
    raise AssertionError("it never ends")


def answer_grpc(host: Any, call: Any) -> None:
    """Do what the gRPC server of tests/support/grpc_double.py does."""
    if call.method == "Echo":
        host.answer_grpc(call, b"<" + call.message + b">")
    elif call.method == "Fail":
        host.close_grpc(call, 7, "not you{via_upstream}")
    else:
        host.close_grpc(call, 14, "upstream request timeout{response_timeout}")


def answer(host: Any, call: Any) -> None:
    """Do what the server of tests/support/wire.py does, or the cluster."""
    word = call.headers[":path"].partition("?")[2]
    if call.cluster == "refusing":
        host.refuse(call)
    elif word == "cut":
        host.fail(call)
    elif word == "reset":
        host.refuse(call)
    elif word == "404":
        host.answer(call, [("x-envoy-upstream-service-time", "1")], b"nothing here", status=404)
    elif word == "empty":
        host.answer(call)
    elif word == "trailers":
        trailers = [("x-trailer", "1"), ("x-trailer", "2"), ("x-gone", "soon")]
        host.answer(call, UPSTREAM_HEADERS, UPSTREAM_BODY.encode(), trailers)
    else:
        host.answer(call, UPSTREAM_HEADERS, UPSTREAM_BODY.encode())
