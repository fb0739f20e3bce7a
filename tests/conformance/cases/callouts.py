"""HTTP and gRPC calls: docs/abi.md §1.6, §1.7, §5, cases 78 to 88."""

from __future__ import annotations

from .. import ops
from ..case import Answer, Case
from ..ops import ON_TICK, PAUSE, SELECT, WANTED, add, body, call, get, http_call, pairs, quiet, resume, tick

LET_GO = [SELECT, resume(0)]
STATUS = call("get_status")


def refused(name: str, operation: list[object]) -> Case:
    """A call that fails at once: no callback."""
    return Case(f"78-{name}", {"request_headers": [operation]})


REFUSED = [
    refused("unknown-cluster", http_call("nobody")),
    refused("empty-cluster-name", http_call("")),
    refused("cluster-without-hosts", http_call("empty")),
    *(
        refused(f"without-{name.strip(':')}", http_call(headers=[list(pair) for pair in WANTED if pair[0] != name]))
        for name, _ in WANTED
    ),
    refused("malformed-headers", http_call(headers="\1\0\0\0garbage")),
    refused("no-headers", http_call(headers="")),
    refused("negative-timeout", http_call(timeout=0xFFFFFFFF)),
    refused("control-in-a-value", http_call(headers=[*map(list, WANTED), ["x-bad", "a\1b"]])),
    refused("grpc-unknown-cluster", call("grpc_call", "nobody", "s", "m", "", "", 1000)),
    refused("grpc-stream-unknown-cluster", call("grpc_stream", "nobody", "s", "m", "")),
    *(
        refused(f"grpc-{what}-unknown-{token}", call(f"grpc_{what}", token))
        for what in ("close", "cancel")
        for token in (4, 5, 6, 99)
    ),
    *(refused(f"grpc-send-unknown-{token}", call("grpc_send", token, "x", 0)) for token in (4, 5, 6)),
]


def answered(name: str, answer: Answer, operations: list[object], **options: object) -> Case:
    """A call whose answer is inspected; then the stream is resumed."""
    request = options.pop("request", http_call())
    script = {"request_headers": [request, PAUSE], "http_call_response": [*operations, *LET_GO]}
    return Case(name, script, calls=[answer], **options)  # type: ignore[arg-type]


ANSWERED = [
    answered("79-success", Answer(), [pairs(6), get(6, ":STATUS"), body(4), call("get_buffer_status", 4), STATUS]),
    answered(
        "79-read-only",
        Answer(),
        [
            add(6, "x", "1"),
            ops.replace(6, "x", "1"),
            ops.remove(6, "x"),
            ops.size(6),
            ops.write(4, 0, 0, "x"),
            call("set_header_map_pairs", 6, [("a", "b")]),
            pairs(7),
            get(0, ":path"),
        ],
    ),
    answered("79-not-in-other-callbacks", Answer(), [pairs(6)]),
    answered("79-part-of-the-body", Answer(), [body(4, 2, 3), body(4, 14, 1), body(4, 99, 1)]),
    answered(
        "79-with-a-body",
        Answer(),
        [body(4)],
        request=http_call(body="a body", headers=[*map(list, [(":method", "POST"), *WANTED[1:]])]),
    ),
    answered(
        "79-with-headers",
        Answer(),
        [],
        request=http_call(headers=[*map(list, WANTED), ["X-Upper", "1"], ["x-twice", "1"], ["x-twice", "2"]]),
    ),
    answered(
        "79-with-trailers",
        Answer(),
        [],
        request=http_call(body="b", headers=[*map(list, [(":method", "POST"), *WANTED[1:]])], trailers=[["x-t", "1"]]),
    ),
    answered("79-404", Answer(404, chunks=[b"nothing"]), [get(6, ":status"), body(4)]),
    answered("80-timeout", Answer(chunks=None), [pairs(6), body(4), STATUS], request=http_call(timeout=100)),
    answered(
        "80-refused",
        Answer(),
        [get(6, ":status"), quiet(body(4)), STATUS],
        request=http_call("refusing"),
        ignore=("calls",),
    ),
    answered("80-no-time-limit", Answer(), [get(6, ":status")], request=http_call(timeout=0)),
    answered("81-trailers", Answer(trailers=[("x-t", "1"), ("x-t", "2")]), [pairs(7), get(7, "x-t"), add(7, "x", "1")]),
    answered("81-header-only", Answer(204, chunks=[]), [pairs(6), body(4), pairs(7)]),
    answered("81-empty-body", Answer(chunks=[]), [call("get_buffer_status", 4), body(4)]),
    answered("88-malformed-trailers", Answer(), [], request=http_call(trailers="\1\0\0\0garbage")),
    answered("88-root-has-no-stream", Answer(), [pairs(0), get(0, "x-case"), ops.size(0), add(0, "x", "1"), body(0)]),
    answered(
        "107-unknown-context",
        Answer(),
        [
            call("set_effective_context", 999999),
            get(6, ":status"),
            call("set_effective_context", 0),
            get(0, ":path"),
            call("set_effective_context", "$root"),
        ],
    ),
]

SEVERAL = [
    Case(
        "83-two-calls",
        {
            "request_headers": [http_call(), http_call(), PAUSE],
            "http_call_response#1": [get(6, "x-n"), SELECT, add(0, "x-first", "1")],
            "http_call_response#2": [get(6, "x-n"), SELECT, add(0, "x-second", "1"), resume(0)],
        },
        calls=[Answer(headers=[("x-n", "1")]), Answer(headers=[("x-n", "2")])],
        ignore=("calls",),
    ),
    Case(
        "83-call-in-a-callback",
        {
            "request_headers": [http_call(), PAUSE],
            "http_call_response#1": [http_call(), get(6, "x-n")],
            "http_call_response#2": [get(6, "x-n"), *LET_GO],
        },
        calls=[Answer(headers=[("x-n", "1")]), Answer(headers=[("x-n", "2")])],
    ),
    Case(
        "84-stream-gone",
        {
            "request_headers": [http_call(timeout=100), ops.reply(403, "no")],
            "http_call_response": [get(6, ":status"), SELECT, get(0, ":path")],
        },
        calls=[Answer(chunks=None)],
        wait=("http_call_response",),
    ),
    *(
        Case(
            f"87-from-{part}",
            {part: [http_call()], "http_call_response": [get(6, ":status"), get(0, "x-case")]},
            calls=[Answer()],
            wait=("http_call_response",),
        )
        for part in ("log", "done", "delete")
    ),
    Case(
        "87-from-a-tick",
        {
            "request_headers": [ON_TICK, PAUSE],
            "tick": [tick(0), http_call()],
            "http_call_response": [get(6, ":status"), *LET_GO],
        },
        ticks=1,
        calls=[Answer()],
    ),
    Case(
        "87-from-the-response",
        {"response_headers": [http_call(), PAUSE], "http_call_response": [SELECT, add(2, "x-called", "1"), resume(1)]},
        calls=[Answer()],
    ),
    Case(
        "82-large-answer",
        {"request_headers": [http_call(), PAUSE], "http_call_response": [call("get_buffer_status", 4), *LET_GO]},
        calls=[Answer(chunks=[b"z" * 300_000])],
    ),
]

CASES = [*REFUSED, *ANSWERED, *SEVERAL]
