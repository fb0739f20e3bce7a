"""Bodies, trailers and what a callback's result does to them: docs/abi.md §5, cases 41 to 63; the table of §1.3."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..case import Answer, Case
from ..ops import (
    ON_TICK,
    SELECT,
    add,
    body,
    call,
    get,
    http_call,
    later,
    pairs,
    remove,
    replace,
    resume,
    size,
    write,
)

THREE: dict[str, Any] = {"method": "POST", "chunks": [b"abcde", b" ", b"world"]}
ONE: dict[str, Any] = {"method": "POST", "body": b"hello world"}
TRAILER = [("x-t", "1"), ("x-u", "2")]
ANSWERED = Answer(chunks=[b"abcde", b" ", b"world"])
WITH_TRAILERS = Answer(chunks=[b"hello", b" you"], trailers=[("x-t", "1"), ("x-t", "2")])
ONE_PIECE = Answer(chunks=[b"hello"], trailers=[("x-t", "1"), ("x-t", "2")])
MAX = 0x7FFFFFFF

WRITES = {
    "append": (MAX, 0, "[new]"),
    "append-at-end": (11, 0, "[new]"),
    "append-beyond": (12, 5, "[new]"),
    "prepend": (0, 0, "[new]"),
    "replace": (0, MAX, "[new]"),
    "replace-exactly": (0, 11, "[new]"),
    "replace-first-five": (0, 5, "[new]"),
    "replace-by-nothing": (0, MAX, ""),
    "in-the-middle": (3, 2, "[new]"),
    "minus-one": (-1 & 0xFFFFFFFF, 0, "[new]"),
    "by-much": (0, MAX, {"x": 3000}),
}
READS = [body(0, 3, 4), body(0, 11, 5), body(0, 12, 5), body(0, 0xFFFFFFFF, 5), body(0, 0, 0xFFFFFFFF), body(0, 2, 0)]


def of(direction: int, operations: list[Any]) -> list[Any]:
    """The same for the response's body."""
    return [[operation[0], direction, *operation[2:]] for operation in operations]


STREAMING = [
    Case(
        f"{number}-{side}-returns-{result}-to-each-chunk",
        {
            f"{side}_body": [body(direction), ["return", result]],
            f"{side}_body!": [body(direction), ["return", result], *([ON_TICK] if result else [])],
            **(later(resume(direction)) if result else {}),
        },
        **exchange,
        ticks=result != 0,
    )
    for direction, side, exchange in ((0, "request", THREE), (1, "response", {"answer": ANSWERED}))
    for number, result in ((41, 0), (42, 1))
]

LAST_ONLY = [
    Case(
        f"42-{side}-buffers-then-continues",
        {f"{side}_body": [ops.PAUSE], f"{side}_body!": [body(direction), *extra, ["return", 0]]},
        **exchange,
    )
    for direction, side, exchange in ((0, "request", THREE), (1, "response", {"answer": ANSWERED}))
    for extra in ([write(direction, 0, MAX, "replaced")],)
] + [
    Case(
        f"43-{side}-{result}-then-continues",
        {f"{side}_body#1": [["return", result]], f"{side}_body": [body(direction)]},
        **exchange,
    )
    for direction, side, exchange in ((0, "request", THREE), (1, "response", {"answer": ANSWERED}))
    for result in (1,)
]

HEADERS = [
    Case(
        f"1.3-{side}-headers-return-{result}",
        {
            f"{side}_headers": [["return", result], *([ON_TICK] if result not in {0, 2} else [])],
            f"{side}_body": [body(direction)],
            **(later(resume(direction)) if result not in {0, 2} else {}),
        },
        **exchange,
        ticks=result not in {0, 2},
    )
    for direction, side, exchange in ((0, "request", ONE), (1, "response", {}))
    for result in (0, 1)
]

TRAILERS = [
    Case(
        f"1.3-{side}-trailers-return-{result}",
        {
            f"{side}_trailers": [["return", result], body(direction), *([ON_TICK] if result else [])],
            **(later(resume(direction)) if result else {}),
        },
        **exchange,
        ticks=result != 0,
    )
    for direction, side, exchange in (
        (0, "request", {"method": "POST", "chunks": [b"abc"], "trailers": TRAILER}),
        (1, "response", {"answer": WITH_TRAILERS}),
    )
    for result in (0, 1)
]

EDITS = [
    Case(
        f"45-{side}-{name}",
        {
            f"{side}_headers": [remove(2 * direction, "content-length")],
            f"{side}_body#1": [write(direction, *arguments), body(direction)],
        },
        **exchange,
    )
    for direction, side, exchange in ((0, "request", ONE), (1, "response", {"answer": Answer(chunks=[b"hello world"])}))
    for name, arguments in WRITES.items()
] + [
    Case("46-request-reads", {"request_body#1": READS}, **ONE),
    Case("46-response-reads", {"response_body#1": of(1, READS)}, answer=Answer(chunks=[b"hello world"])),
    Case("47-content-length-kept", {"request_body#1": [write(0, 0, MAX, "hello world, and some more")]}, **ONE),
    Case(
        "47-content-length-without-a-body",
        {"request_headers": [ops.replace(0, "content-length", "30")]},
        abort_after="request_headers",
        ignore=("upstream",),
    ),
    Case(
        "47-status-of-a-response-without-a-body",
        {"response_headers": [ops.replace(2, ":status", "204")]},
    ),
    Case(
        "48-replaced-in-each-callback",
        {"request_headers": [remove(0, "content-length")], "request_body": [write(0, 0, MAX, "[new]")]},
        **ONE,
    ),
    Case(
        "48-replaced-in-each-callback-of-the-response",
        {"response_headers": [remove(2, "content-length")], "response_body": [write(1, 0, MAX, "[new]")]},
    ),
    Case("54-binary", {"request_body#1": [body(0)]}, method="POST", body=b"\0\xff\r\n\x80"),
]

LIMITS = [
    Case(
        "49-request-over-the-limit-buffered",
        {"request_body": [ops.PAUSE], "log": [call("get_property", "response\0code_details")]},
        method="POST",
        chunks=[b"x" * 5000],
        listener="limited",
        ignore=("upstream",),
    ),
    Case(
        "49-request-under-the-limit-buffered",
        {"request_body": [ops.PAUSE], "request_body!": [["return", 0]]},
        method="POST",
        chunks=[b"x" * 900],
        listener="limited",
    ),
    Case(
        "49-request-over-the-limit-with-headers-held",
        {"request_headers": [ops.PAUSE, ON_TICK], "request_body": [], **later(resume(0))},
        method="POST",
        chunks=[b"x" * 5000],
        listener="limited",
        ticks=1,
    ),
    Case(
        "49-request-over-the-limit-streamed",
        {"request_body": []},
        method="POST",
        chunks=[b"x" * 5000],
        listener="limited",
    ),
    Case(
        "50-response-over-the-limit",
        {"response_body": [ops.PAUSE], "log": [call("get_property", "response\0code_details")]},
        answer=Answer(chunks=[b"y" * 5000]),
        listener="limited",
    ),
    Case("50-response-over-the-limit-streamed", {}, answer=Answer(chunks=[b"y" * 5000]), listener="limited"),
    Case(
        "50-response-over-the-limit-with-headers-held",
        {"response_headers": [ops.PAUSE, ON_TICK], **later(resume(1))},
        answer=Answer(chunks=[b"y" * 800]),
        listener="limited",
        ticks=1,
    ),
]

HELD = [
    Case(
        "51-held-in-headers",
        {
            "request_headers": [http_call(), ops.PAUSE],
            "http_call_response": [SELECT, body(0), write(0, 0, 0, "x"), replace(0, "x-held", "1"), resume(0)],
        },
        calls=[Answer()],
        **ONE,
    ),
    Case(
        "52-held-in-body",
        {
            "request_headers": [remove(0, "content-length")],
            "request_body": [ops.PAUSE],
            "request_body!": [http_call(), ops.PAUSE],
            "http_call_response": [SELECT, body(0), write(0, 0, 0, "pre"), replace(0, "x-held", "1"), resume(0)],
        },
        calls=[Answer()],
        **THREE,
    ),
    Case(
        "53-flag-headers-stopped",
        {
            "request_headers": [ops.PAUSE],
            "request_body": [ops.PAUSE],
            "request_body!": [replace(0, "x-flag", "1"), get(0, "x-case"), ["return", 0]],
        },
        listener="flag",
        **THREE,
    ),
    Case(
        "53-flag-response",
        {
            "response_headers": [ops.PAUSE],
            "response_body": [ops.PAUSE],
            "response_body!": [replace(2, "x-flag", "1"), ["return", 0]],
        },
        listener="flag",
        answer=ANSWERED,
    ),
    Case(
        "53-flag-without-body",
        {"request_headers": [ops.PAUSE, ON_TICK], **later(replace(0, "x-flag", "1"), resume(0))},
        listener="flag",
        ticks=1,
    ),
    Case(
        "53-flag-streams-body",
        {"request_headers": [ops.PAUSE], "request_body": [["return", 0]]},
        listener="flag",
        **ONE,
    ),
    Case(
        "55-trailers-with-body-buffered",
        {
            "request_body": [ops.PAUSE],
            "request_trailers": [body(0), write(0, 0, 0, "pre"), add(0, "x-late", "1"), pairs(1)],
        },
        method="POST",
        chunks=[b"abc", b"def"],
        trailers=TRAILER,
    ),
    Case(
        "56-edit-request-trailers",
        {"request_trailers": [replace(1, "x-t", "9"), add(1, "x-new", "1"), remove(1, "x-u"), pairs(1), size(1)]},
        method="POST",
        chunks=[b"abc"],
        trailers=[("x-t", "1"), ("x-t", "2"), ("x-u", "3")],
    ),
    Case(
        "57-create-request-trailers",
        {
            "request_body#1": [add(1, "x-early", "1")],
            "request_body!": [add(1, "x-new", "1"), pairs(1)],
            "request_headers": [add(1, "x-never", "1")],
        },
        **THREE,
    ),
    *(
        Case(
            f"57-create-request-trailers-by-{name}",
            {"request_body!": [operation, pairs(1)]},
            method="POST",
            chunks=[b"abc"],
        )
        for name, operation in (
            ("replace", replace(1, "x-a", "1")),
            ("remove", remove(1, "x-a")),
            ("size", size(1)),
            ("set", call("set_header_map_pairs", 1, [("x-a", "1")])),
            ("get", get(1, "x-a")),
        )
    ),
    Case("57-no-trailers-without-a-body", {"request_headers": [add(1, "x-new", "1"), size(1)]}),
    Case(
        "58-create-response-trailers",
        {"response_body#1": [add(3, "x-early", "1")], "response_body!": [add(3, "x-new", "1")]},
        answer=Answer(chunks=[b"abc"], chunked=True),
    ),
    Case(
        "59-response-trailers",
        {"response_trailers": [add(3, "x-t", "3"), pairs(3)], "log": [get(3, "x-t"), pairs(3)]},
        answer=WITH_TRAILERS,
    ),
    Case(
        "59-trailers-only-names",
        {"response_trailers": [replace(3, "X-Upper", "1"), get(3, "x-UPPER"), remove(3, "x-t"), pairs(3)]},
        answer=WITH_TRAILERS,
    ),
]

CASES = [*STREAMING, *LAST_ONLY, *HEADERS, *TRAILERS, *EDITS, *LIMITS, *HELD]
