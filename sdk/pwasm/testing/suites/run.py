"""Runs a test of a suite in a world, and reports each deviation from what the suite expects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pwasm._abi import LogLevel

from ..emulator.headers import Headers
from ..worlds.messages import Answer, Message, Request, Response
from ..worlds.world import World
from .suite import Matcher, Result, Suite, Test

_CALLBACKS = {
    "request_headers": ("proxy_on_request_headers",),
    "request_body": ("proxy_on_request_body",),
    "response_headers": ("proxy_on_response_headers",),
    "response_body": ("proxy_on_response_body",),
    "plugin_init": ("proxy_on_vm_start", "proxy_on_configure"),
    "stream_init": ("proxy_on_context_create",),
    "stream_destroy": ("proxy_on_log", "proxy_on_done", "proxy_on_delete"),
}
"""The callbacks of each phase, to assign log lines to phases."""
_SECONDS = 10.0
"""Timeout of a request: a phase may end in a pause that nothing resumes, so that the client gets no response."""
_DEFAULTS = {":method": "GET", ":path": "/", ":authority": "example.com"}


def answer_of_test(test: Test) -> Answer:
    """The response of upstream."""
    (phase,) = test.phases.get("response_headers", (None,))
    given = [] if phase is None else list(phase.headers)
    status = next((int(value) for name, value in given if name == ":status"), 200)
    body = test.chunks("response_body")
    headers = [pair for pair in given if not pair[0].startswith(":") and pair[0] != "content-length"]
    return Answer(status, headers, body if len(body) > 1 else b"".join(body))


def run_test(world: World, suite: Suite, test: Test) -> list[str]:
    """Send the test's request through the world; returns the deviations, one line each."""
    (phase,) = test.phases.get("request_headers", (None,))
    given = dict(_DEFAULTS) | {} if phase is None else dict(_DEFAULTS) | dict(phase.headers)
    own = [] if phase is None else [pair for pair in phase.headers if not pair[0].startswith(":")]
    own = [pair for pair in own if pair[0] != "content-length"] + [(":authority", given[":authority"])]
    body = test.chunks("request_body")
    sent = body if len(body) > 1 else b"".join(body)
    response = world.request(given[":method"], given[":path"], own, sent, timeout=_SECONDS)
    received = world.upstream.requests[-1] if world.upstream.requests else None
    wrong = _wrong_logs(world, suite, test)
    over = False
    for name, phases in test.phases.items():
        result = _joined([phase.result for phase in phases])
        if over and result != Result():
            wrong.append(f"{name}: the stream was answered in an earlier phase, so this phase did not run")
            continue
        said = result.immediate is not None
        wrong += [f"{name}: {problem}" for problem in _wrong(name, result, received, response)]
        over = over or said
    return wrong


def _joined(results: Sequence[Result]) -> Result:
    """Join the results of a body in several pieces, since hosts may split the body differently."""
    if len(results) == 1:
        return results[0]
    patterns = [result.body[0].pattern if result.body else ".*" for result in results]
    joined = "".join(f"(?:{pattern})" for pattern in patterns)
    body: tuple[Matcher, ...] = (Matcher(regex=joined),) if any(result.body for result in results) else ()
    immediate = next((result.immediate for result in results if result.immediate is not None), None)
    if immediate is not None:
        body = next(result.body for result in results if result.immediate is not None)
    return Result(
        tuple(pair for result in results for pair in result.has_header),
        tuple(name for result in results for name in result.no_header),
        tuple(matcher for result in results for matcher in result.headers),
        body,
        immediate,
        tuple(matcher for result in results for matcher in result.log),
    )


def _wrong(phase: str, result: Result, received: Request | None, response: Response) -> Iterable[str]:
    if result == Result(log=result.log):
        return
    if result.immediate is not None:
        yield from _wrong_immediate(result, received, response, answered=phase.startswith("request"))
        message: Message = response
    elif phase.startswith("request"):
        if received is None:
            yield f"upstream received nothing (the client: status {response.status}, body {response.body!r})"
            return
        message = received
    else:
        message = response
    yield from _wrong_message(result, message)


def _wrong_immediate(result: Result, received: Request | None, response: Response, *, answered: bool) -> Iterable[str]:
    assert result.immediate is not None
    if answered and received is not None:
        yield "no immediate response: the request was sent to upstream"
    status = result.immediate.get("http_status")
    if status is not None and response.status != int(status):
        yield f"immediate: expected http_status {status}, found {response.status}"
    grpc_status = result.immediate.get("grpc_status")
    if grpc_status is not None and response.headers.get("grpc-status") != str(grpc_status):
        yield f"immediate: expected grpc_status {grpc_status}, found {response.headers.get('grpc-status')}"
    details = result.immediate.get("details")
    if details is not None and response.details != str(details).replace(" ", "_"):
        yield f"immediate: expected details {details!r}, found {response.details!r}"


def _wrong_message(result: Result, message: Message) -> Iterable[str]:
    headers = _with_pseudo(message)
    for name, value in result.has_header:
        values = headers.get_all(name)
        if value not in {*values, ", ".join(values)} or not values:
            yield f"header {name}: expected {value!r}, found {values or 'none'}"
    for name in result.no_header:
        if headers.get(name) is not None:
            yield f"header {name}: expected none, found {headers.get_all(name)}"
    lines = [f"{name}: {value}" for name, value in headers]
    for matcher in result.headers:
        if any(map(matcher.accepts, lines)) == matcher.invert:
            yield f"headers: expected {matcher}, found:\n    " + "\n    ".join(lines)
    text = message.body.decode("utf-8", "surrogateescape")
    for matcher in result.body:
        if matcher.accepts(text) == matcher.invert:
            yield f"body: expected {matcher}, found {text!r}"


def _with_pseudo(message: Message) -> Headers:
    pseudo: list[tuple[str, str]] = []
    if isinstance(message, Request):
        pseudo = [(":method", message.method), (":path", message.path), (":authority", message.authority)]
    elif isinstance(message, Response):
        pseudo = [(":status", str(message.status))]
    return Headers([*pseudo, *message.headers])


def _wrong_logs(world: World, suite: Suite, test: Test) -> list[str]:
    """Check log lines by phase; those of the plugin's start belong to every test."""
    lowest = LogLevel[suite.log_level]
    wanted = {name: _joined([phase.result for phase in phases]) for name, phases in test.phases.items()}
    wanted |= test.life
    if not any(result.log for result in wanted.values()):
        return []
    records = [(callback, text) for callback, level, text in world.records_by_callback() if level >= lowest]
    wrong = []
    for name, result in wanted.items():
        lines = [text for callback, text in records if callback in _CALLBACKS[name]]
        for matcher in result.log:
            if any(map(matcher.accepts, lines)) == matcher.invert:
                shown = "\n    ".join(lines) or "(nothing)"
                wrong.append(f"{name}: log: expected {matcher}, found:\n    {shown}")
    return wrong


def no_pattern(text: str) -> str:
    """A test's name as part of a test id."""
    return re.sub(r"[\s\[\]:]+", "-", text)
