"""Local responses: docs/abi.md §1.16, §5, cases 69 to 77."""

from __future__ import annotations

from ..case import Answer, Case
from ..ops import ON_TICK, PAUSE, SELECT, body, call, http_call, later, pairs, reply, resume, tick

DETAILS = call("get_property", "response\0code_details")
SEEN = {"response_headers": [pairs(2)], "response_body": [body(1)], "log": [DETAILS]}
GRPC = [("content-type", "application/grpc"), ("te", "trailers")]
MALFORMED = "\1\0\0\0garbage"
ONE = Answer(chunks=[b"hello"], trailers=[("x-t", "1")])

IN_REQUEST = [
    Case("69-refused", {"request_headers": [reply(403, "no", [("x-a", "1"), ("x-a", "2")], "my det")], **SEEN}),
    Case("69-refused-with-a-body-to-come", {"request_headers": [reply(403, "no")], **SEEN}, method="POST", body=b"abc"),
    Case(
        "69-refused-in-body",
        {"request_body": [reply(403, "no")], **SEEN},
        method="POST",
        body=b"abc",
        ignore=("upstream",),
    ),
    Case(
        "69-refused-in-trailers",
        {"request_trailers": [reply(403, "no")], **SEEN},
        method="POST",
        chunks=[b"abc"],
        trailers=[("x-t", "1")],
        ignore=("upstream",),
    ),
    Case("69-and-pause", {"request_headers": [reply(403, "no"), PAUSE], **SEEN}),
    Case(
        "69-edited-by-itself",
        {"request_headers": [reply(403, "no")], "response_headers": [call("add_header_map_value", 2, "x-own", "1")]},
    ),
    Case("70-twice", {"request_headers": [reply(403, "first"), reply(401, "second")], **SEEN}),
    *(
        Case(f"71-status-{status}", {"request_headers": [reply(status, "x")], **SEEN})
        for status in (200, 204, 302, 404, 503, 599)
    ),
    Case("72-empty", {"request_headers": [reply(403)], **SEEN}),
    Case("72-empty-with-headers", {"request_headers": [reply(403, "", [("x-a", "1")])], **SEEN}),
    Case(
        "73-content-length",
        {"request_headers": [reply(403, "no", [("content-length", "99"), (":status", "200")])], **SEEN},
    ),
    Case("73-content-type", {"request_headers": [reply(403, "{}", [("content-type", "application/json")])], **SEEN}),
    Case("73-upper-case", {"request_headers": [reply(403, "{}", [("X-Upper", "A"), ("Content-Type", "a/b")])], **SEEN}),
    Case(
        "73-malformed-headers", {"request_headers": [call("send_local_response", 403, "", "no", MALFORMED, -1)], **SEEN}
    ),
    Case("73-binary", {"request_headers": [reply(403, "\0\xff\r\n")], **SEEN}),
    Case("73-large", {"request_headers": [reply(403, {"x": 100_000})], "response_body": []}),
    Case("74-head", {"request_headers": [reply(403, "no")], **SEEN}, method="HEAD"),
    Case(
        "75-grpc", {"request_headers": [reply(403, "msg", (), "", 7)], **SEEN}, method="POST", headers=GRPC, body=b"x"
    ),
    Case("75-grpc-none", {"request_headers": [reply(403, "msg")], **SEEN}, method="POST", headers=GRPC, body=b"x"),
    Case(
        "75-grpc-empty",
        {"request_headers": [reply(200, "", (), "", 0)], **SEEN},
        method="POST",
        headers=GRPC,
        body=b"x",
    ),
    *(
        Case(
            f"75-grpc-none-{status}",
            {"request_headers": [reply(status, "msg")], "response_headers": [pairs(2)]},
            method="POST",
            headers=GRPC,
            body=b"x",
        )
        for status in (400, 401, 404, 429, 500, 503, 504)
    ),
    Case("75-not-grpc", {"request_headers": [reply(403, "msg", (), "", 7)], **SEEN}),
]

IN_RESPONSE = [
    Case(
        "76-in-response-headers", {"response_headers": [reply(418, "tea", [("x-own", "1")], "why")], "log": [DETAILS]}
    ),
    Case("76-in-response-headers-and-pause", {"response_headers": [reply(418, "tea"), PAUSE], "log": [DETAILS]}),
    Case("76-in-response-body", {"response_body#1": [reply(418, "tea", (), "why")], "log": [DETAILS]}),
    Case(
        "76-in-response-body-end",
        {"response_body!": [reply(418, "tea")], "log": [DETAILS]},
        answer=Answer(chunks=[b"abc"], chunked=True),
    ),
    Case("76-in-response-trailers", {"response_trailers": [reply(418, "tea")], "log": [DETAILS]}, answer=ONE),
]

LATER = [
    Case(
        "77-while-the-request-is-held",
        {"request_headers": [PAUSE, ON_TICK], **later(reply(401, "later")), **SEEN},
        ticks=1,
    ),
    Case(
        "77-while-the-request-body-is-held",
        {"request_body": [PAUSE], "request_body!": [PAUSE, ON_TICK], **later(reply(401, "later")), **SEEN},
        ticks=1,
        method="POST",
        body=b"abc",
        ignore=("upstream",),
    ),
    Case(
        "77-while-the-response-is-held",
        {"response_headers": [PAUSE, ON_TICK], **later(reply(401, "later")), "log": [DETAILS]},
        ticks=1,
    ),
    Case(
        "77-after-the-response-began",
        {"response_body!": [PAUSE, ON_TICK], **later(reply(401, "later")), "log": [DETAILS]},
        ticks=1,
    ),
    Case(
        "77-from-a-call",
        {"request_headers": [http_call(), PAUSE], "http_call_response": [SELECT, reply(401, "called")], **SEEN},
        calls=[Answer()],
    ),
    Case(
        "86-local-response-and-resume",
        {"request_headers": [http_call(), PAUSE], "http_call_response": [SELECT, reply(401, "called"), resume(0)]},
        calls=[Answer()],
    ),
    Case(
        "86-resume-and-local-response",
        {"request_headers": [PAUSE, ON_TICK], **later(reply(401, "x"), reply(402, "y"))},
        ticks=1,
    ),
    Case(
        "77-on-the-root",
        {"request_headers": [PAUSE, ON_TICK], "tick": [tick(0), reply(401, "root"), SELECT, resume(0)]},
        ticks=1,
    ),
]

CASES = [*IN_REQUEST, *IN_RESPONSE, *LATER]
