"""Pause, resume, close: docs/abi.md §5, cases 60 to 67."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..case import Answer, Case
from ..ops import ON_TICK, SELECT, call, get, later, replace, resume, tick

TRAILER = [("x-t", "1"), ("x-u", "2")]
ONE: dict[str, Any] = {"method": "POST", "body": b"hello world"}
ONE_PIECE = Answer(chunks=[b"hello"], trailers=[("x-t", "1"), ("x-t", "2")])

CASES = [
    *(
        Case(
            f"60-hold-{side}-{part}-and-resume-from-a-tick",
            {f"{side}_{part}": [ops.PAUSE, ON_TICK], **later(resume(direction))},
            ticks=1,
            method="POST",
            chunks=[b"abc"],
            trailers=TRAILER,
            answer=ONE_PIECE,
        )
        for direction, side in ((0, "request"), (1, "response"))
        for part in ("headers", "trailers")
    ),
    *(
        Case(
            f"60-hold-{side}-body-and-resume-from-a-tick",
            {f"{side}_body!": [ops.PAUSE, ON_TICK], **later(resume(direction))},
            ticks=1,
            method="POST",
            chunks=[b"abc"],
            answer=Answer(chunks=[b"abc"]),
        )
        for direction, side in ((0, "request"), (1, "response"))
    ),
    *(
        Case(
            f"60-hold-{side}-headers-without-a-body",
            {f"{side}_headers": [ops.PAUSE, ON_TICK], **later(resume(direction))},
            ticks=1,
            answer=Answer(chunks=[]),
        )
        for direction, side in ((0, "request"), (1, "response"))
    ),
    Case(
        "60-hold-everything",
        {
            "request_headers": [ops.PAUSE, ON_TICK],
            "request_body": [ops.PAUSE],
            "request_trailers": [ops.PAUSE, ON_TICK],
            "response_headers": [ops.PAUSE, ON_TICK],
            "response_body": [ops.PAUSE],
            "response_trailers": [ops.PAUSE, ON_TICK],
            "tick#1": [tick(0), SELECT, resume(0)],
            "tick#2": [tick(0), SELECT, resume(0)],
            "tick#3": [tick(0), SELECT, resume(1)],
            "tick#4": [tick(0), SELECT, resume(1)],
        },
        ticks=4,
        method="POST",
        chunks=[b"abc"],
        trailers=TRAILER,
        answer=ONE_PIECE,
    ),
    Case("61-resume-before-pause-without-body", {"request_headers": [resume(0), ops.PAUSE]}),
    Case(
        "62-edit-before-resume",
        {
            "request_headers": [ops.PAUSE, ON_TICK],
            **later(replace(0, "x-held", "1"), resume(0), replace(0, "x-late", "1"), get(0, "x-case")),
        },
        ticks=1,
        **ONE,
    ),
    Case(
        "62-edit-response-after-resume",
        {
            "response_headers": [ops.PAUSE, ON_TICK],
            **later(replace(2, "x-held", "1"), resume(1), replace(2, "x-late", "1"), get(2, "x-held")),
        },
        ticks=1,
    ),
    Case("65-continue-stream-types", {"request_headers": [resume(2), resume(3), resume(4), resume(99)]}),
    Case(
        "65-close-stream-types",
        {"request_headers": [call("close_stream", 2), call("close_stream", 3), call("close_stream", 4)]},
    ),
    Case(
        "65-continue-on-the-root",
        {"request_headers": [ON_TICK, ops.PAUSE], "tick": [tick(0), resume(0), resume(1), SELECT, resume(0)]},
        ticks=1,
    ),
    *(
        Case(
            f"66-close-{stream}-in-{where}",
            {where: [call("close_stream", stream)]},
            method="POST",
            chunks=[b"abc"],
            trailers=TRAILER,
            answer=ONE_PIECE,
            ignore=("upstream",),
        )
        for stream in (0, 1)
        for where in ("request_headers", "request_body#1", "request_trailers", "response_headers", "response_body#1")
    ),
    Case(
        "66-close-while-held",
        {"request_headers": [ops.PAUSE, ON_TICK], **later(call("close_stream", 0))},
        ticks=1,
        **ONE,
    ),
    Case(
        "66-details",
        {"request_headers": [call("close_stream", 0)], "log": [call("get_property", "response\0code_details")]},
    ),
    *(
        Case(
            f"66-close-{stream}-in-response_trailers-and-pause",
            {"response_trailers": [call("close_stream", stream), ops.PAUSE]},
            answer=ONE_PIECE,
        )
        for stream in (0, 1)
    ),
]
