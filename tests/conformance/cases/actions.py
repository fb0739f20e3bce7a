"""Actions that Envoy knows and the SDK never returns: docs/abi.md §1.3 and §5, cases 43 and 44, measured there.

main.wasm refuses them itself, so they are not in the table; a Go or Rust module may return them in the emulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..case import LIMIT, Case
from ..ops import ON_TICK, body, later, resume

POST: dict[str, Any] = {"method": "POST", "chunks": [b"abcde", b" ", b"world"]}


def upstream(case: str, content: str) -> tuple[dict[str, Any]]:
    headers = [["host", "test.example"], ["x-case", case], ["x-forwarded-proto", "http"]]
    return ({"start": "POST / HTTP/1.1", "headers": headers, **({"body": content} if content else {})},)


def pieces(*sizes: tuple[int, int]) -> list[dict[str, int]]:
    return [{"body_size": size, "end_of_stream": end} for size, end in sizes]


def headers_case(action: int, *, holds: bool) -> Case:
    tick: dict[str, Any] = later(resume(0)) if holds else {}
    script = {"request_headers": [["raw", action], *([ON_TICK] if holds else [])], **tick}
    return Case(f"1.3-headers-return-{action}-raw", script, ticks=int(holds), **POST)


def headers_rows() -> dict[Case, dict[str, Any]]:
    found: dict[Case, dict[str, Any]] = {}
    for action, holds in ((2, False), (3, True), (4, True), (5, True), (-1, True)):
        case = headers_case(action, holds=holds)
        found[case] = {"upstream": upstream(case.id, "abcde world"), "bodies": pieces((11, 1)) if holds else PIECES}
        if not holds:
            found[case]["client"] = {"status": 200, "body": "hello upstream", "headers": HELLO}
    return found


PIECES = pieces((5, 0), (1, 0), (5, 0), (0, 1))
HELLO = [["content-type", "text/plain"], ["x-empty", ""], ["x-twice", "1"], ["x-twice", "2"]]


def data_case(action: int) -> Case:
    script = {
        "request_body": [body(0), ["raw", action]],
        "request_body!": [body(0), ["raw", action], ON_TICK],
        **later(resume(0)),
    }
    return Case(f"{43 if action == 2 else 44}-body-return-{action}-raw", script, ticks=1, **POST)


def data_rows() -> dict[Case, dict[str, Any]]:
    """2 holds everything and shows only what is new; anything above loses it."""
    found = {}
    for action in (2, 3, 4, 5, -1):
        case = data_case(action)
        found[case] = {"upstream": upstream(case.id, "abcde world" if action == 2 else ""), "bodies": PIECES}
    held = Case("43-body-return-2-raw-and-no-resume", {"request_body": [["raw", 2]]}, **POST)
    return {**found, held: {"upstream": (), "bodies": PIECES}}


def limit_rows() -> dict[Case, dict[str, Any]]:
    """What streams is not limited: no 413."""
    size = 5 * LIMIT
    script = {"request_body": [["raw", 2]], "request_body!": [["raw", 0]]}
    case = Case("43-over-the-limit-streamed-raw", script, method="POST", chunks=[b"x" * size], listener="limited")
    return {case: {"upstream": upstream(case.id, f"xxxxxxxx…{size}…xxxxxxxx")}}


ACTIONS: Mapping[Case, dict[str, Any]] = {**headers_rows(), **data_rows(), **limit_rows()}
