"""Calls that crash a real Envoy 1.40 (docs/abi.md §0.1), which the emulator must report.

They are not in the table, which has one Envoy for all its cases; test_crashes.py has one for each of K1 to K13.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from ..case import Answer, Case
from ..ops import (
    ON_TICK,
    PAUSE,
    SELECT,
    UPSTREAM,
    Op,
    body,
    call,
    close,
    foreign,
    http_call,
    later,
    reply,
    resume,
)

TRAILERS = Answer(chunks=[b"hello"], trailers=[("x-t", "1")])
TWICE = "the request's headers are sent twice"


def bomb(megabytes: int) -> str:
    """A zlib stream of so many zeros, without its end."""
    packer = zlib.compressobj()
    first, *more = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return (first + more[0] * (megabytes - 1)).decode("latin-1")


def held(name: str, *operations: Op) -> Case:
    """A response that is held at its end, and what a tick does then."""
    script = {"response_body": [ON_TICK, PAUSE], **later(*operations)}
    return Case(f"69-K9-{name}", script, answer=Answer(chunks=[b"hello"]), ticks=1)


CRASHES: Mapping[Case, str] = {
    Case("64-K1-continue-response-in-the-request", {"request_headers": [resume(1)]}): "K1",
    Case(
        "64-K1-continue-response-from-a-tick", {"request_headers": [PAUSE, ON_TICK], **later(resume(1))}, ticks=1
    ): "K1",
    Case("68-K2-local-response-in-log", {"log": [reply(403)]}): "K2",
    Case("68-K3-local-response-in-done", {"done": [reply(403)]}): "K3",
    Case("68-K4-local-response-in-delete", {"delete": [reply(403)]}): "K4",
    Case("68-K5-close-in-log", {"log": [close(0)]}): "K5",
    Case("68-K5-close-in-delete", {"delete": [close(0)]}): "K5",
    Case(
        "85-K6-two-answers-in-one-turn",
        {
            "request_headers": [http_call(), http_call(), PAUSE],
            "http_call_response": [SELECT, reply(403, "no")],
        },
        calls=[Answer(), Answer()],
        one_turn=True,
    ): "K6",
    Case("66-K7-close-request-in-response-trailers", {"response_trailers": [close(0)]}, answer=TRAILERS): "K7",
    Case("66-K7-close-response-in-response-trailers", {"response_trailers": [close(1)]}, answer=TRAILERS): "K7",
    Case("78-K8-grpc-call-to-nothing", {"request_headers": [call("grpc_call", "", "s", "m", "", "", 1000)]}): "K8",
    Case("78-K8-grpc-stream-to-nothing", {"request_headers": [call("grpc_stream", "", "s", "m", "")]}): "K8",
    held("resume-and-answer", resume(1), reply(403)): "K9",
    held("resume-and-close", resume(1), close(1)): "K9",
    held("answer-and-resume", reply(403), resume(1)): "K9",
    held("close-and-resume", close(1), resume(1)): "K9",
    held("close-and-answer", close(1), reply(403)): "K9",
    held("answer-and-close", reply(403), close(0)): "K9",
    held("close-twice", close(1), close(0)): "K9",
    Case("67-K9-answer-and-close-in-the-request", {"request_headers": [reply(403, "no"), close(0)]}): "K9",
    Case("67-K9-close-and-answer-in-the-request", {"request_headers": [close(0), reply(403, "no")]}): "K9",
    Case("67-K9-answer-twice-in-the-response", {"response_headers": [reply(403, "no"), reply(403, "no")]}): "K9",
    Case("67-K9-close-twice-in-the-response", {"response_headers": [close(1), close(1)]}): "K9",
    Case(
        "49-K10-body-after-its-callback-has-answered",
        {"request_body": [reply(403, "no")], "response_headers": [ON_TICK, PAUSE], **later(body(0), resume(1))},
        method="POST",
        body=b"abc",
        ticks=1,
    ): "K10",
    Case(
        "115-K11-data-after-its-callback-has-closed",
        {"upstream_data": [close(2)], "log": [body(UPSTREAM)]},
        tcp=(("send", "hello"), ("read", "5"), ("finish", "")),
    ): "K11",
    Case("78-K12-grpc-call-to-users", {"request_headers": [call("grpc_call", "users", "s", "m", "", "", 1000)]}): "K12",
    Case("78-K12-grpc-stream-to-h1", {"request_headers": [call("grpc_stream", "h1", "s", "m", "")]}): "K12",
    Case("102-K13-a-result-without-room", {"request_headers": [foreign("uncompress", bomb(257))]}): "K13",
    Case("63-resume-and-continue", {"request_headers": [resume(0)]}): TWICE,
    Case("63-resume-and-continue-with-a-body", {"request_headers": [resume(0)]}, method="POST", body=b"abc"): TWICE,
    Case("63-resume-response-and-continue", {"response_headers": [resume(1)]}): TWICE.replace("request", "response"),
    Case(
        "63-resume-what-has-passed",
        {"response_trailers": [resume(1)]},
        answer=TRAILERS,
    ): "the response's trailers are sent twice",
}
