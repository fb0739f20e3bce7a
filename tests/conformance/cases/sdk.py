"""The SDK's behavior: the statements after "SDK:" in docs/abi.md §5."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..case import Answer, Case
from ..ops import ON_TICK, PAUSE, get, pairs, sdk, tick

BAD = {"line-break": "a\r\nb: c", "newline": "a\nb", "return": "a\rb", "nul": "a\0b", "tab": "a\tb"}
NAMES = {
    "upper": "X-Upper",
    "space": "x y",
    "colon": "x:y",
    "empty": "",
    "line-break": "x\r\ny",
    "nul": "x\0",
    "latin-1": "x-\xe9",
}
SETTERS = (
    "add_http_request_header",
    "replace_http_request_header",
    "add_http_response_header",
    "replace_http_response_header",
)
MANY = [[f"x-{number}", "1"] for number in range(1025)]


def phase(function: str) -> str:
    return "response_headers" if "response" in function else "request_headers"


def seen(function: str) -> list[Any]:
    return pairs(2 if "response" in function else 0)


SETTING = [
    *(
        Case(
            f"33-sdk-{function.replace('_http', '')}-value-{what}",
            {phase(function): [sdk(function, "x-a", value), seen(function)]},
        )
        for function in SETTERS
        for what, value in BAD.items()
    ),
    *(
        Case(
            f"34-sdk-{function.replace('_http', '')}-name-{what}",
            {phase(function): [sdk(function, name, "1"), seen(function)]},
        )
        for function in ("add_http_request_header", "replace_http_response_header")
        for what, name in NAMES.items()
    ),
    *(
        Case(
            f"27-sdk-add-to-{name.strip(':')}",
            {"request_headers": [sdk("add_http_request_header", name, "x"), get(0, name)]},
        )
        for name in (":path", ":method", ":authority")
    ),
    Case("32-sdk-1025-headers", {"request_headers": [sdk("replace_http_request_headers", MANY), ops.size(0)]}),
    Case("30-sdk-keeps-pseudo", {"request_headers": [sdk("replace_http_request_headers", [["x-a", "1"]]), pairs(0)]}),
    Case("30-sdk-keeps-status", {"response_headers": [sdk("replace_http_response_headers", [["x-a", "1"]]), pairs(2)]}),
    Case(
        "23-sdk-empty-and-missing",
        {"request_headers": [sdk("get_http_request_header", "x-empty"), sdk("get_http_request_header", "no")]},
        headers=[("x-empty", "")],
    ),
    Case(
        "36-sdk-response-in-the-request",
        {"request_headers": [sdk("get_http_response_header", ":status"), sdk("add_http_response_header", "x", "1")]},
    ),
    Case(
        "36-sdk-request-in-the-response",
        {"response_headers": [sdk("get_http_request_header", "x-case"), sdk("add_http_request_header", "x", "1")]},
    ),
    Case(
        "36-sdk-in-the-log",
        {"log": [sdk("get_http_request_header", "x-case"), sdk("add_http_response_header", "x", "1")]},
    ),
]

GUARDS = [
    Case("64-sdk-resume-response-too-early", {"request_headers": [sdk("resume_http_response")]}),
    Case("68-sdk-local-response-in-the-log", {"log": [sdk("send_http_response", 403)]}),
    Case("68-sdk-close-in-the-log", {"log": [sdk("close_http_request"), sdk("close_http_response")]}),
    Case(
        "61-sdk-resume-and-pause",
        {"request_headers": [sdk("resume_http_request"), PAUSE]},
        method="POST",
        chunks=[b"abc"],
    ),
    Case(
        "63-sdk-resume-what-is-not-held",
        {
            "request_headers": [ON_TICK, PAUSE],
            "tick": [tick(0), sdk("set_effective_context", "$stream"), sdk("resume_http_request")],
            "response_headers": [sdk("resume_http_request")],
        },
        ticks=1,
    ),
    Case(
        "63-sdk-resume-twice",
        {
            "request_headers": [ON_TICK, PAUSE],
            "tick": [
                tick(0),
                sdk("set_effective_context", "$stream"),
                sdk("resume_http_request"),
                sdk("resume_http_request"),
            ],
        },
        ticks=1,
    ),
    Case("70-sdk-twice", {"request_headers": [sdk("send_http_response", 403), sdk("send_http_response", 401)]}),
    Case(
        "67-sdk-close-after-local-response",
        {"request_headers": [sdk("send_http_response", 403), sdk("close_http_request")]},
    ),
    *(
        Case(f"71-sdk-status-{status}", {"request_headers": [sdk("send_http_response", status)]})
        for status in (0, 99, 100, 199, 600, 1000)
    ),
    Case("73-sdk-line-break-in-a-header", {"request_headers": [sdk("send_http_response", 403, [["x-a", "a\r\nb"]])]}),
    Case(
        "66-sdk-close-in-response-trailers",
        {"response_trailers": [sdk("close_http_response")]},
        answer=Answer(chunks=[b"abc"], trailers=[("x-t", "1")]),
    ),
    Case(
        "66-sdk-close-request-in-response-trailers",
        {"response_trailers": [sdk("close_http_request")]},
        answer=Answer(chunks=[b"abc"], trailers=[("x-t", "1")]),
    ),
    Case(
        "62-sdk-edit-after-resume",
        {"request_headers": [sdk("resume_http_request"), sdk("add_http_request_header", "x", "1")]},
        ignore=("client", "upstream", "log"),
    ),
    Case("107-sdk-unknown-context", {"request_headers": [sdk("set_effective_context", 999999)]}),
    Case(
        "78-sdk-unknown-cluster",
        {
            "request_headers": [
                sdk("dispatch_http_call", "nobody", [[":method", "GET"], [":path", "/"], [":authority", "a"]])
            ]
        },
    ),
    Case("95-sdk-increment", {"request_headers": [["sdk", "define_counter_metric", "{id}"]]}),
    Case("100-sdk-inner-nul", {"request_headers": [sdk("set_property", "a.b", ["bytes", "x"])]}),
    Case("101-sdk-reserved", {"request_headers": [sdk("set_property", "request", ["bytes", "x"])]}),
    Case("102-sdk-unknown-function", {"request_headers": [sdk("call_foreign_function", "nothing")]}),
    Case(
        "92-sdk-unknown-queue",
        {"request_headers": [sdk("resolve_shared_queue", "", "{id}"), sdk("dequeue_shared_queue", 999999)]},
    ),
    Case("89-sdk-missing", {"request_headers": [sdk("get_shared_data", "{id}")]}),
    Case(
        "16-sdk-log",
        {"request_headers": [sdk("log_info", "two\nlines"), sdk("log_warn", "warn"), sdk("log_debug", "not seen")]},
    ),
    Case(
        "45-sdk-edits",
        {
            "request_headers": [sdk("remove_http_request_header", "content-length")],
            "request_body#1": [
                sdk("append_http_request_body", "b"),
                sdk("prepend_http_request_body", "a"),
                sdk("get_http_request_body"),
            ],
        },
        method="POST",
        body=b"x",
    ),
    Case("111-sdk-done", {"request_headers": [sdk("plugin_done")]}),
]

RAISES = [
    Case(
        f"118-raises-in-{part.replace('_', '-').replace('#1', '')}",
        {part: [["raise"]]},
        method="POST",
        chunks=[b"abc"],
        trailers=[("x-t", "1")],
        answer=Answer(chunks=[b"hello"], trailers=[("x-t", "1")]),
        ignore=("log", "upstream"),
    )
    for part in (
        "request_headers",
        "request_body#1",
        "request_trailers",
        "response_headers",
        "response_body#1",
        "response_trailers",
        "log",
    )
]

CASES = [*SETTING, *[case for case in GUARDS if "95-sdk" not in case.id], *RAISES]
