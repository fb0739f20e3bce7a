"""Header maps: docs/abi.md §5, cases 23 to 40."""

from __future__ import annotations

from ..case import Answer, Case
from ..ops import add, call, get, pairs, prop, remove, replace, resume, size

LINE = "a\r\nx-injected: 1"
PSEUDO = [(":method", "GET"), (":path", "/"), (":authority", "test.example"), (":scheme", "http")]
FORWARDED = ("x-forwarded-proto", "http")
STATUS = [(":status", "201"), ("x-set", "1")]
MANY = [(f"x-{number}", "1") for number in range(1025)]
SIDES = ((0, "request"), (2, "response"))

CASES = [
    *(
        Case(
            f"23-{side}-empty-value-and-missing",
            {f"{side}_headers": [get(side_map, "x-empty"), get(side_map, "no")]},
            headers=[("x-empty", "")],
        )
        for side_map, side in SIDES
    ),
    *(
        Case(
            f"24-{side}-twice",
            {f"{side}_headers": [get(m, "x-twice"), pairs(m), prop(f"{side}.headers.x-twice")]},
            headers=[("x-twice", "1"), ("x-twice", "2")],
        )
        for m, side in SIDES
    ),
    *(
        Case(
            f"25-{side}-upper-case",
            {
                f"{side}_headers": [
                    get(m, "X-TWICE"),
                    replace(m, "X-New", "A"),
                    add(m, "X-NEW", "B"),
                    remove(m, "X-TWICE"),
                    pairs(m),
                ]
            },
            headers=[("X-Twice", "1"), ("x-tWICE", "2")],
        )
        for m, side in SIDES
    ),
    *(
        Case(
            f"26-{side}-replace-and-remove",
            {
                f"{side}_headers": [
                    replace(m, "x-twice", "3"),
                    pairs(m),
                    remove(m, "x-twice"),
                    remove(m, "no"),
                    remove(m, ""),
                    pairs(m),
                ]
            },
            headers=[("x-before", "0"), ("x-twice", "1"), ("x-twice", "2"), ("x-after", "3")],
        )
        for m, side in SIDES
    ),
    *(
        Case(f"26-{side}-replace-where-it-is-not", {f"{side}_headers": [replace(m, "x-new", "1"), pairs(m)]})
        for m, side in SIDES
    ),
    *(
        Case(
            f"27-add-to-{name.strip(':')}",
            {
                "request_headers": [
                    add(0, name, value),
                    get(0, name),
                    remove(0, name) if undo else get(0, name),
                    *([replace(0, name, undo)] if undo else []),
                ]
            },
            headers=[
                ("user-agent", "ua"),
                ("content-type", "text/plain"),
                ("referer", "http://r/"),
                ("accept-encoding", "br"),
                ("accept", "a/b"),
                ("authorization", "one"),
                ("x-forwarded-for", "1.2.3.4"),
            ],
        )
        for name, value, undo in (
            (":path", "/b", "/"),
            ("user-agent", "ua2", ""),
            ("content-type", "a/b", ""),
            (":method", "PUT", "GET"),
            (":authority", "b", "test.example"),
            ("referer", "http://s/", ""),
            ("accept-encoding", "gzip", ""),
            ("accept", "c/d", ""),
            ("authorization", "two", ""),
            ("x-forwarded-for", "5.6.7.8", ""),
            ("x-request-id", "1", ""),
            ("te", "trailers", ""),
            ("via", "one", ""),
            ("origin", "o", ""),
            ("expect", "x", ""),
            ("x-forwarded-proto", "https", "http"),
            ("cookie", "a=1", ""),
            ("upgrade", "x", ""),
        )
    ),
    *(
        Case(
            f"27-add-to-{name.strip(':')}-of-a-response",
            {"response_headers": [add(2, name, "1"), add(2, name, "2"), get(2, name), pairs(2)]},
        )
        for name in ("content-type", "server", "set-cookie", "location", "etag", "vary", "cache-control", "grpc-status")
    ),
    Case(
        "27-add-to-status",
        {"response_headers": [add(2, ":status", "201"), get(2, ":status"), replace(2, ":status", "202")]},
    ),
    Case("28-add-cookie", {"request_headers": [add(0, "cookie", "b=2"), pairs(0)]}, headers=[("cookie", "a=1")]),
    Case(
        "28-add-set-cookie",
        {"response_headers": [add(2, "set-cookie", "b=2"), pairs(2)]},
        answer=Answer(headers=[("set-cookie", "a=1")]),
    ),
    *(
        Case(
            f"28-{side}-add-custom",
            {f"{side}_headers": [add(m, "x-twice", "3"), pairs(m)]},
            headers=[("x-twice", "1"), ("x-other", "2")],
        )
        for m, side in SIDES
    ),
    *(
        Case(
            f"29-{side}-bytes",
            {
                f"{side}_headers": [
                    get(m, "x-bytes"),
                    replace(m, "x-bytes", "\xff\xfe\x80"),
                    replace(m, "x-new", "\xff\xfe\x80"),
                    get(m, "x-new"),
                ]
            },
            headers=[("x-bytes", "\xff\xfe\x80")],
            answer=Answer(headers=[("x-bytes", "\xff\xfe\x80")]),
        )
        for m, side in SIDES
    ),
    Case(
        "30-set-request-without-pseudo",
        {"request_headers": [call("set_header_map_pairs", 0, [("x-a", "1")]), pairs(0)]},
    ),
    Case(
        "30-set-response-without-status",
        {"response_headers": [call("set_header_map_pairs", 2, [("x-a", "1")]), pairs(2)]},
    ),
    Case("30-set-response", {"response_headers": [call("set_header_map_pairs", 2, STATUS), pairs(2)]}),
    Case("31-set-without-forwarded-proto", {"request_headers": [call("set_header_map_pairs", 0, PSEUDO)]}),
    Case(
        "31-set-with-forwarded-proto",
        {"request_headers": [call("set_header_map_pairs", 0, [*PSEUDO, FORWARDED]), pairs(0)]},
    ),
    Case(
        "31-set-out-of-order",
        {"request_headers": [call("set_header_map_pairs", 0, [FORWARDED, ("X-A", "1"), *PSEUDO]), pairs(0)]},
    ),
    *(
        Case(f"31-remove-{name.strip(':')}", {"request_headers": [remove(0, name), get(0, name), pairs(0)]})
        for name in (":path", ":authority", ":scheme", "x-forwarded-proto", ":method")
    ),
    Case("31-path-without-a-slash", {"request_headers": [replace(0, ":path", "a/b"), get(0, ":path")]}),
    Case(
        "31-host",
        {
            "request_headers": [
                get(0, "host"),
                replace(0, "Host", "other"),
                get(0, ":authority"),
                add(0, "host", "more"),
                get(0, ":authority"),
                remove(0, "host"),
                get(0, ":authority"),
                call("set_header_map_pairs", 0, [*PSEUDO[:2], PSEUDO[3], ("host", "all"), FORWARDED]),
                get(0, ":authority"),
            ]
        },
    ),
    Case("31-remove-status", {"response_headers": [remove(2, ":status"), get(2, ":status")]}),
    Case(
        "32-set-malformed", {"request_headers": [call("set_header_map_pairs", 0, "\1\0\0\0garbage"), pairs(0), size(0)]}
    ),
    Case(
        "32-set-malformed-response",
        {"response_headers": [call("set_header_map_pairs", 2, "\1\0\0\0garbage"), pairs(2)]},
    ),
    Case("32-set-1025", {"request_headers": [call("set_header_map_pairs", 0, MANY), size(0)]}),
    Case(
        "32-set-1024",
        {"request_headers": [call("set_header_map_pairs", 0, [*PSEUDO, FORWARDED, *MANY[:1019]]), size(0)]},
    ),
    Case("32-set-empty", {"response_headers": [call("set_header_map_pairs", 2, ""), pairs(2)]}),
    *(
        Case(f"33-response-{what}", {"response_headers": [replace(2, name, value), get(2, name)]})
        for what, name, value in (
            ("line-break", "x-bad", LINE),
            ("nul", "x-bad", "a\0b"),
            ("control", "x-bad", "a\1b"),
            ("tab", "x-tab", "a\tb"),
            ("space-in-name", "x bad", "1"),
            ("empty-value", "x-none", ""),
            ("long", "x-long", {"x": 5000}),
        )
    ),
    *(
        Case(f"34-request-{what}", {"request_headers": [replace(0, name, value), get(0, name)]})
        for what, name, value in (
            ("line-break", "x-bad", LINE),
            ("nul", "x-bad", "a\0b"),
            ("control", "x-bad", "a\1b"),
            ("tab", "x-tab", "a\tb"),
            ("space-in-name", "x bad", "1"),
            ("colon-in-name", "x:bad", "1"),
            ("empty-value", "x-none", ""),
            ("delete", "x-bad", "a\x7fb"),
            ("long", "x-long", {"x": 5000}),
            ("bad-name-bytes", "x-\xe9", "1"),
        )
    ),
    Case(
        "35-remove-method-and-put-back",
        {"request_headers": [remove(0, ":method"), get(0, ":method"), replace(0, ":method", "PUT"), pairs(0)]},
    ),
    Case(
        "37-map-8",
        {
            "request_headers": [
                get(8, "x"),
                add(8, "x", "1"),
                replace(8, "x", "1"),
                remove(8, "x"),
                pairs(8),
                call("set_header_map_pairs", 8, [("x", "1")]),
                size(8),
            ]
        },
    ),
    Case(
        "37-size-in-bytes", {"request_headers": [size(0), add(0, "x-a", "12"), size(0)], "response_headers": [size(2)]}
    ),
    Case("38-path", {"request_headers": [replace(0, ":path", "/other?q=1")]}),
    Case("38-host", {"request_headers": [replace(0, ":authority", "other.example")]}),
    Case("38-method", {"request_headers": [replace(0, ":method", "OPTIONS")]}),
    Case("38-status", {"response_headers": [replace(2, ":status", "418")]}),
    Case("38-status-not-a-number", {"response_headers": [replace(2, ":status", "teapot")]}),
    Case("39-get-without-body", {}),
    Case("39-head", {}, method="HEAD"),
    Case("39-204", {}, answer=Answer(204, chunks=[])),
    Case("39-304", {}, answer=Answer(304, chunks=[])),
    Case("39-empty-answer", {}, answer=Answer(chunks=[])),
    Case("39-empty-chunked-answer", {}, answer=Answer(chunks=[], chunked=True)),
    Case("39-post-empty", {}, method="POST", body=b""),
    Case("39-post-empty-chunked", {}, method="POST", chunks=[]),
    *(
        Case(f"40-{side}-empty-key", {f"{side}_headers": [get(m, ""), replace(m, "x-a", "1"), get(m, "")]})
        for m, side in SIDES
    ),
    Case(
        "62-edit-after-continue",
        {"request_headers": [["return", 1], resume(0), get(0, "x-case"), replace(0, "x-late", "1"), pairs(0), size(0)]},
    ),
]
