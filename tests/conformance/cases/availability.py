"""Which map and buffer may be read and written in which callback: docs/abi.md §1.5, cases 10, 11, 36, 37, 40, 79."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..case import Answer, Case, Script
from ..ops import SELECT, Op, body, call, get, pairs, replace, size, write

TRAILERS = [("x-trailer", "1")]
ANSWER = Answer(chunks=[b"hello upstream"], trailers=[("x-trailer", "2")])
PLAIN: dict[str, Any] = {"method": "POST", "chunks": [b"a body"]}
WITH_TRAILERS: dict[str, Any] = {**PLAIN, "trailers": TRAILERS, "answer": ANSWER}

# Callback → what the exchange must have for it to come.
CALLBACKS: dict[str, dict[str, Any]] = {
    "request_headers": WITH_TRAILERS,
    "request_body#1": WITH_TRAILERS,
    "request_body!": PLAIN,
    "request_trailers": WITH_TRAILERS,
    "response_headers": WITH_TRAILERS,
    "response_body#1": WITH_TRAILERS,
    "response_body!": PLAIN,
    "response_trailers": WITH_TRAILERS,
    "log": WITH_TRAILERS,
    "done": WITH_TRAILERS,
    "delete": WITH_TRAILERS,
}


def of_map(number: int) -> list[Op]:
    """Every way to use a map."""
    return [get(number, "x-case"), pairs(number), size(number), replace(number, "x-new", "1"), get(number, "x-new")]


def of_buffer(number: int) -> list[Op]:
    """Every way to use a buffer; writes do not change the contents."""
    if number in {6, 7, 8}:  # configurations: long
        return [["#", *body(number, 0, 5)], write(number, 0, 0, "x")]
    return [call("get_buffer_status", number), body(number), write(number, 0, 0, "x"), body(number)]


def name(callback: str) -> str:
    return callback.replace("#1", "").replace("!", "-end")


MAPS = [
    Case(f"36-map{number}-in-{name(callback)}", {callback: of_map(number)}, **exchange)
    for callback, exchange in CALLBACKS.items()
    for number in range(9)
]

BUFFERS = [
    Case(f"{10 if number == 7 else 11}-buffer{number}-in-{name(callback)}", {callback: of_buffer(number)}, **exchange)
    for callback, exchange in CALLBACKS.items()
    for number in (0, 1, 4, 5, 6, 7, 9)
]

CALL: dict[str, Any] = {"calls": [ANSWER]}


def during_a_call(where: str, operations: list[Op], resumes: int) -> Script:
    """The stream is held in a callback; the answer to a call runs the operations and lets it go."""
    return {
        where: [ops.http_call(), ops.PAUSE],
        "http_call_response": [*operations, ["proxy_set_effective_context", "$stream"], ops.resume(resumes)],
    }


HELD = [
    Case(
        f"{52 if 'body' in where else 51}-map{number}-{'selected' if select else 'root'}-while-held-in-{name(where)}",
        during_a_call(where, ([SELECT] if select else []) + of_map(number), "response" in where),
        **exchange,
        **CALL,
    )
    for where, exchange in CALLBACKS.items()
    for number, select in ((0, True), (0, False), (1, True), (2, True), (3, True), (6, True), (7, False))
    if where in {"request_headers", "request_body!", "request_trailers", "response_headers", "response_body!"}
]

HELD_BUFFERS = [
    Case(
        f"{52 if 'body' in where else 51}-buffers-while-held-in-{name(where)}",
        during_a_call(where, [SELECT, *of_buffer(0), *of_buffer(1), *of_buffer(4)], "response" in where),
        **exchange,
        **CALL,
    )
    for where, exchange in CALLBACKS.items()
    if "re" in where[:2]
    and where in {"request_headers", "request_body!", "request_trailers", "response_headers", "response_body!"}
]

FROM_A_TICK = [
    Case(
        f"106-map{number}-from-a-tick-{'selected' if select else 'root'}",
        {
            "request_headers": [ops.ON_TICK, ops.PAUSE],
            "tick": [ops.tick(0), *([SELECT] if select else []), *of_map(number), SELECT, ops.resume(0)],
        },
        ticks=1,
        **WITH_TRAILERS,
    )
    for number in (0, 2, 6)
    for select in (True, False)
]

CONFIGURATION = Case(
    "10-buffer7-from-a-tick",
    {
        "request_headers": [ops.ON_TICK, ops.PAUSE],
        "tick": [ops.tick(0), *of_buffer(7), *of_buffer(6), SELECT, ops.resume(0)],
    },
    ticks=1,
)

CASES = [CONFIGURATION, *MAPS, *BUFFERS, *HELD, *HELD_BUFFERS, *FROM_A_TICK]
