"""Hostile traffic (docs/reliability.md §4.4) and clients that go away (docs/abi.md §5, cases 110, 113)."""

from __future__ import annotations

from ..case import Answer, Case
from ..ops import ON_TICK, PAUSE, body, call, get, later, pairs, prop, replace, reply, resume

SHOW = {"request_headers": [pairs(0)]}

HOSTILE = [
    *(
        Case(f"R4.4-value-{name}", {"request_headers": [get(0, "x-odd")]}, headers=[("x-odd", value)])
        for name, value in (
            ("latin-1", "caf\xe9"),
            ("lone-80", "\x80"),
            ("overlong", "\xc0\xaf"),
            ("bom", "\xef\xbb\xbfx"),
            ("utf-8", "\xc3\xa9\xe2\x82\xac"),
            ("empty", ""),
            ("tab", "a\tb"),
            ("spaces", "a  b"),
            ("quotes", "\"a\", 'b'"),
            ("comma", "a,b, c"),
            ("long", "x" * 40_000),
        )
    ),
    Case(
        "R4.4-many-headers",
        {"request_headers": [get(0, "x-80")]},
        headers=[(f"x-{number}", str(number)) for number in range(85)],
    ),
    Case("110-too-many-headers", {}, headers=[(f"x-{number}", "1") for number in range(120)]),
    Case("110-too-large-header", {}, headers=[("x-long", "x" * 70_000)]),
    Case("R4.4-same-name-in-many-cases", SHOW, headers=[("X-Case-Odd", "1"), ("x-case-odd", "2"), ("X-CASE-ODD", "3")]),
    Case("R4.4-cookies", {"request_headers": [get(0, "cookie")]}, headers=[("cookie", "c=" + "x" * 4000)] * 10),
    Case("R4.4-two-cookies", SHOW, headers=[("cookie", "a=1"), ("cookie", "b=2")]),
    *(
        Case(
            f"R4.4-path-{name}",
            {
                "request_headers": [
                    get(0, ":path"),
                    prop("request.path"),
                    prop("request.url_path"),
                    prop("request.query"),
                ]
            },
            path=path,
        )
        for name, path in (
            ("encoded-nul", "/%00"),
            ("double-slash", "//a//b"),
            ("dots", "/a/../b/./c"),
            ("encoded-slash", "/a%2fb"),
            ("query", "/?a=1&a=2&=&b"),
            ("question-marks", "/a?b?c"),
            ("fragment", "/a#b"),
            ("long-query", "/?" + "&".join(f"p{number}=v" for number in range(3000))),
            ("utf-8-encoded", "/%C3%A9"),
            ("backslash", "/a\\b"),
            ("latin-1", "/caf\xe9"),
            ("no-slash", "a/b"),
            ("semicolon", "/a;b=c"),
            ("empty-query", "/a?"),
        )
    ),
    *(
        Case(f"R4.4-method-{method.lower()}", {"request_headers": [get(0, ":method")]}, method=method, body=content)
        for method, content in (
            ("DELETE", None),
            ("PATCH", b"x"),
            ("OPTIONS", None),
            ("TRACE", None),
            ("PUT", b"abc"),
            ("GET", b"body of a GET"),
        )
    ),
    Case("R4.4-head-with-paused-headers", {"response_headers": [get(2, "content-length")]}, method="HEAD"),
    Case(
        "R4.4-bytes-one-by-one", {"request_body": [body(0)]}, method="POST", chunks=[b"a", b"b", b"c", b"\0", b"\xff"]
    ),
    Case(
        "R4.4-large-body",
        {"request_body": [PAUSE], "request_body!": [call("get_buffer_status", 0), ["return", 0]]},
        method="POST",
        chunks=[b"x" * 10_000] * 3,
    ),
    Case("R4.4-empty-body-with-length", {}, method="POST", body=b""),
    Case("R4.4-empty-end", {"request_body": [body(0)]}, method="POST", chunks=[]),
    Case(
        "R4.4-trailers-only-names",
        {"request_trailers": [pairs(1)]},
        method="POST",
        chunks=[b"a"],
        trailers=[("x-Odd", ""), ("x-odd", "\xff")],
    ),
    Case(
        "R4.4-trailers-without-body",
        {"request_trailers": [pairs(1)]},
        method="POST",
        chunks=[],
        trailers=[("x-t", "1")],
    ),
    Case(
        "R4.4-answer-trailers-without-body",
        {"response_trailers": [pairs(3)]},
        answer=Answer(chunks=[], trailers=[("x-t", "1")]),
    ),
    Case(
        "R4.4-answer-many-headers",
        {"response_headers": [get(2, "x-50")]},
        answer=Answer(headers=[(f"x-{number}", str(number)) for number in range(60)]),
    ),
    Case(
        "R4.4-answer-bytes",
        {"response_headers": [get(2, "x-odd")], "response_body#1": [body(1)]},
        answer=Answer(headers=[("x-odd", "\x80\xff")], chunks=[b"\0\xff"]),
    ),
    Case("R4.4-answer-before-the-request-ends", {"request_headers": []}, answer=Answer(500, chunks=[b"broken"])),
    *(
        Case(f"R4.4-answer-{status}", {"response_headers": [get(2, ":status")]}, answer=Answer(status))
        for status in (201, 301, 400, 404, 418, 500, 503, 504)
    ),
    Case(
        "R4.4-accept-gzip", {"request_headers": [get(0, "accept-encoding")]}, headers=[("accept-encoding", "gzip, br")]
    ),
    Case("R4.4-host-twice-in-authority", {"request_headers": [replace(0, ":authority", "a.example:8080")]}),
    Case("R4.4-forwarded", SHOW, headers=[("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=1.2.3.4")]),
]

OLD = [
    Case("R4.4-http-1.0", SHOW, version="1.0"),
    Case("R4.4-http-1.0-without-host", SHOW, version="1.0", without_host=True),
    Case("R4.4-http-1.1-without-host", SHOW, without_host=True),
    Case("R4.4-http-1.0-body", {"request_body": [body(0)]}, method="POST", body=b"abc", version="1.0"),
    Case("R4.4-http-1.0-head", {"response_headers": [pairs(2)]}, method="HEAD", version="1.0"),
    Case(
        "R4.4-http-1.0-answer-in-chunks",
        {"response_headers": [pairs(2)], "response_body": [body(1)]},
        answer=Answer(chunks=[b"one", b"two"]),
        version="1.0",
    ),
    Case(
        "R4.4-http-1.0-answer-with-trailers",
        {"response_trailers": [pairs(3)]},
        answer=Answer(trailers=[("x-t", "1")]),
        version="1.0",
    ),
    Case("R4.4-http-1.0-local-response", {"request_headers": [reply(418, "short")]}, version="1.0"),
    Case("R4.4-http-1.0-paused", {"request_headers": [PAUSE, ON_TICK], **later(resume(0))}, ticks=1, version="1.0"),
]
"""HTTP/1.0: no chunks and no trailers on the way back, and it may do without a host."""

CONTINUE = [
    Case(
        f"R4.4-expect-100-continue{name}",
        {"request_headers": [get(0, "expect"), *operations], "request_body": [body(0)]},
        method="POST",
        headers=[("expect", "100-continue")],
        chunks=[b"abc"],
    )
    for name, operations in (("", []), ("-local-response", [reply(413, "too much")]))
]
"""Envoy says 100 itself, and takes the header away."""

GONE = [
    Case(
        f"113-client-gone-in-{part.rstrip('!').replace('_', '-')}",
        {part: [PAUSE], "log": [call("get_property", "response\0code_details"), get(0, "x-case"), get(2, ":status")]},
        abort_after=part.rstrip("!"),
        ignore=("upstream",),
        **options,
    )
    for part, options in (
        ("request_headers", {}),
        ("request_body!", {"method": "POST", "body": b""}),
        ("request_trailers", {"method": "POST", "chunks": [b"a"], "trailers": [("x-t", "1")]}),
        ("response_headers", {}),
    )
    if part != "request_body!"
]

CASES = [*HOSTILE, *OLD, *CONTINUE, *GONE]
