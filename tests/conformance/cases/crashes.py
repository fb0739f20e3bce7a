"""Calls that crash a real Envoy 1.40 (docs/abi.md §0.1), which the emulator must report.

They are not in the table, which has one Envoy for all its cases; test_crashes.py has one for each of K1 to K8.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..case import Answer, Case
from ..ops import ON_TICK, PAUSE, SELECT, call, close, http_call, later, reply, resume

TRAILERS = Answer(chunks=[b"hello"], trailers=[("x-t", "1")])
TWICE = "the request's headers are sent twice"

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
    Case("63-resume-and-continue", {"request_headers": [resume(0)]}): TWICE,
    Case("63-resume-and-continue-with-a-body", {"request_headers": [resume(0)]}, method="POST", body=b"abc"): TWICE,
    Case("63-resume-response-and-continue", {"response_headers": [resume(1)]}): TWICE.replace("request", "response"),
    Case(
        "63-resume-what-has-passed",
        {"response_trailers": [resume(1)]},
        answer=TRAILERS,
    ): "the response's trailers are sent twice",
}
