"""Shared data, queues, metrics, properties, foreign functions, time, logs: docs/abi.md §5, cases 15 to 18
and 89 to 109.
"""

from __future__ import annotations

from typing import Any

from .. import ops
from ..case import Case
from ..ops import ON_TICK, PAUSE, SELECT, Op, call, foreign, get, keep, prop, quiet, resume, sized, tick

# --- shared data and queues ---------------------------------------------------------------------------------------


def at_once(name: str, *operations: Op, **options: Any) -> Case:
    """Everything in on_request_headers."""
    return Case(name, {"request_headers": list(operations)}, **options)


def data(key: str = "{id}") -> Op:
    return call("get_shared_data", key)


def put(value: str, cas: object = 0, key: str = "{id}") -> Op:
    return call("set_shared_data", key, value, cas)


SHARED = [
    at_once("89-missing", data()),
    at_once("89-cas-of-what-is-missing", put("one", 5), quiet(data())),
    at_once("89-set-and-get", put("one"), quiet(data())),
    at_once("89-wrong-cas", put("one"), put("two", 999999999), quiet(data())),
    at_once("90-empty-value", put(""), quiet(data())),
    at_once("90-empty-key", put("x", 0, ""), quiet(data(""))),
    at_once("90-binary", put("\0\xff", 0, "{id}\0\xff"), quiet(data("{id}\0\xff"))),
    at_once("90-other-key", put("one"), data("{id}-other")),
]
QUEUES = [
    at_once(
        "92-register-and-resolve",
        keep("a", call("register_shared_queue", "{id}")),
        keep("b", call("register_shared_queue", "{id}")),
        keep("c", call("resolve_shared_queue", "", "{id}")),
        keep("d", call("resolve_shared_queue", "probe", "{id}")),
        call("resolve_shared_queue", "", "{id}-none"),
        call("resolve_shared_queue", "nobody", "{id}"),
    ),
    at_once("93-empty", keep("q", call("register_shared_queue", "{id}")), call("dequeue_shared_queue", "$q")),
    at_once("93-unknown", call("dequeue_shared_queue", 999999), call("enqueue_shared_queue", 999999, "x")),
    Case(
        "93-first-in-first-out",
        {
            "request_headers": [
                keep("q", call("register_shared_queue", "{id}")),
                *(call("enqueue_shared_queue", "$q", item) for item in ("one", "", "\0\xff")),
                *[call("dequeue_shared_queue", "$q")] * 4,
            ]
        },
        wait=["queue_ready"] * 3,
    ),
    Case(
        "94-queue-ready",
        {
            "request_headers": [
                keep("q", call("register_shared_queue", "{id}")),
                call("enqueue_shared_queue", "$q", "item"),
                PAUSE,
            ],
            "queue_ready": [call("dequeue_shared_queue", "$q"), call("dequeue_shared_queue", "$q"), SELECT, resume(0)],
        },
    ),
    Case(
        "94-queue-ready-each",
        {
            "request_headers": [
                keep("q", call("register_shared_queue", "{id}")),
                call("enqueue_shared_queue", "$q", "a"),
                call("enqueue_shared_queue", "$q", "b"),
            ],
            "queue_ready": [call("dequeue_shared_queue", "$q")],
        },
        wait=["queue_ready"] * 2,
        ignore=("upstream",),
    ),
    at_once("92-empty-name", quiet(call("register_shared_queue", ""))),
]

# --- metrics ------------------------------------------------------------------------------------------------------


def metric(kind: int, *operations: tuple[str, int]) -> list[Op]:
    """Define a metric, use it, read it."""
    return [
        keep("m", call("define_metric", kind, "{id}")),
        *(call(f"{name}_metric", "$m", value) for name, value in operations),
        call("get_metric", "$m"),
    ]


METRICS = [
    at_once("95-counter", *metric(0, ("increment", 1), ("increment", 5), ("record", 7))),
    at_once("95-counter-zero", *metric(0, ("increment", 0))),
    at_once("95-counter-negative", *metric(0, ("increment", 3), ("increment", -1))),
    at_once("96-gauge", *metric(1, ("increment", 5), ("increment", -7), ("record", 9), ("increment", 1))),
    at_once("96-gauge-negative", *metric(1, ("record", 4), ("increment", -3))),
    at_once("96-gauge-record-zero", *metric(1, ("record", 0), ("increment", 0))),
    at_once("97-histogram", *metric(2, ("record", 7), ("record", 8), ("increment", 1))),
    at_once("97-unknown-type", call("define_metric", 3, "{id}"), call("define_metric", 99, "{id}")),
    at_once(
        "97-unknown-id",
        call("get_metric", 400),
        call("increment_metric", 400, 1),
        call("record_metric", 400, 1),
        call("get_metric", 401),
        call("get_metric", 402),
        call("get_metric", 403),
        call("record_metric", 403, 1),
        call("increment_metric", 402, 1),
    ),
    at_once(
        "98-define-twice",
        keep("a", call("define_metric", 0, "{id}")),
        keep("b", call("define_metric", 0, "{id}")),
        call("increment_metric", "$a", 2),
        call("increment_metric", "$b", 3),
        call("get_metric", "$a"),
        call("get_metric", "$b"),
    ),
    at_once(
        "98-counter-and-gauge",
        keep("a", call("define_metric", 0, "{id}")),
        call("increment_metric", "$a", 2),
        call("get_metric", "$a"),
    ),
]

# --- properties ---------------------------------------------------------------------------------------------------

VALUES = [
    "request.path",
    "request.url_path",
    "request.host",
    "request.scheme",
    "request.method",
    "request.referer",
    "request.useragent",
    "request.query",
    "request.protocol",
    "request.headers.x-case",
    "request.headers.none",
    "response.code_details",
    "plugin_name",
    "plugin_root_id",
    "plugin_vm_id",
    "source.nothing",
    "nothing",
    "",
    "filter_state",
    "request",
    "request.nothing",
    "response",
    "connection",
    "source",
    "upstream",
    "xds",
    "xds.nothing",
    "route_name",
    "cluster_name",
    "node.id",
    "listener_direction",
]
SIZES = [
    "request.time",
    "request.size",
    "request.total_size",
    "response.code",
    "response.size",
    "response.flags",
    "source.port",
    "destination.port",
    "connection.id",
    "connection.mtls",
    "request.duration",
    "connection_id",
]
PRESENT = [
    "request.id",
    "request.headers",
    "request.headers_bytes",
    "response.headers",
    "response.headers_bytes",
    "response.trailers",
    "response.total_size",
    "response.grpc_status",
    "response.backend_latency",
    "source.address",
    "destination.address",
    "connection.requested_server_name",
    "connection.tls_version",
    "connection.subject_local_certificate",
    "connection.uri_san_peer_certificate",
    "connection.termination_details",
    "connection.transport_failure_reason",
    "upstream.address",
    "upstream.port",
    "upstream.local_address",
    "upstream.tls_version",
    "upstream.transport_failure_reason",
    "upstream.request_attempt_count",
    "metadata",
    "metadata.filter_metadata.none",
    "xds.node",
    "xds.node.id",
    "xds.cluster_name",
    "xds.route_name",
    "xds.virtual_host_name",
    "xds.listener_direction",
    "xds.listener_metadata",
    "xds.route_metadata",
    "xds.cluster_metadata",
    "xds.upstream_host_metadata",
    "xds.filter_chain_name",
    "filter_state.none",
]
PHASES = ("request_headers", "response_headers", "log")


def label(path: str) -> str:
    return path.replace(".", "-") or "empty"


PROPERTIES = [
    *(
        Case(
            f"99-{label(path)}",
            {phase: [prop(path)] for phase in PHASES},
            path="/a/b?c=d&e",
            headers=[("referer", "http://r/"), ("user-agent", "ua")],
        )
        for path in VALUES
    ),
    *(Case(f"99-{label(path)}", {phase: [sized(prop(path))] for phase in PHASES}) for path in SIZES),
    *(Case(f"99-{label(path)}", {phase: [quiet(prop(path))] for phase in PHASES}) for path in PRESENT),
    Case(
        "99-on-the-root",
        {
            "request_headers": [ON_TICK, PAUSE],
            "tick": [
                tick(0),
                prop("request.path"),
                prop("plugin_name"),
                prop("plugin_root_id"),
                quiet(prop("xds.node.id")),
                prop("xds.route_name"),
                SELECT,
                prop("request.path"),
                resume(0),
            ],
        },
        ticks=1,
    ),
    Case(
        "99-response-code-value",
        {"response_headers": [prop("response.code")], "log": [prop("response.code"), prop("request.headers.x-twice")]},
        headers=[("x-twice", "1"), ("x-twice", "2")],
    ),
    at_once(
        "100-set-and-get",
        call("set_property", "{id}", "value"),
        call("get_property", "{id}"),
        call("set_property", "{id}", "other"),
        call("get_property", "{id}"),
    ),
    at_once("100-empty-value", call("set_property", "e", ""), call("get_property", "e")),
    at_once("100-inner-nul", call("set_property", "a\0b", "1"), call("get_property", "a\0b")),
    at_once("100-trailing-nul", call("set_property", "{id}", "1"), call("get_property", "{id}\0")),
    Case(
        "100-on-the-root",
        {
            "request_headers": [ON_TICK, PAUSE],
            "tick": [
                tick(0),
                call("set_property", "a", "1"),
                SELECT,
                call("set_property", "a", "2"),
                call("get_property", "a"),
                resume(0),
            ],
            "log": [call("get_property", "a")],
        },
        ticks=1,
    ),
    at_once(
        "101-reserved",
        call("set_property", "request\0path", "/x"),
        call("get_property", "request\0path"),
        call("set_property", "plugin_name", "x"),
        call("get_property", "plugin_name"),
    ),
    Case(
        "101-seen-later",
        {
            "request_headers": [call("set_property", "{id}", "v")],
            "response_headers": [call("get_property", "{id}")],
            "log": [call("get_property", "{id}")],
        },
    ),
]

# --- foreign functions --------------------------------------------------------------------------------------------

FOREIGN = [
    at_once("102-unknown", foreign("nothing", "x"), foreign("")),
    at_once("102-compress", keep("z", foreign("compress", "hello")), foreign("uncompress", "$z")),
    at_once("102-bad-zlib", foreign("uncompress", "garbage"), foreign("uncompress", "")),
    at_once("102-clear-route-cache", foreign("clear_route_cache"), ops.replace(0, "x-a", "1")),
    at_once("103-bad-expression", foreign("expr_create", "a b c"), foreign("expr_create", "")),
    at_once(
        "103-unknown-token",
        foreign("expr_evaluate", "\x63\0\0\0"),
        foreign("expr_evaluate", "x"),
        foreign("expr_delete", "x"),
        foreign("expr_delete", "\x63\0\0\0"),
    ),
    at_once(
        "104-declare-twice",
        foreign("declare_property", "\x0a\x05abcde"),
        foreign("declare_property", "\x0a\x05abcde"),
        foreign("declare_property", "\xff"),
    ),
    at_once(
        "104-filter-state",
        foreign("set_envoy_filter_state", "\x0a\x04none\x12\x01x"),
        foreign("set_envoy_filter_state", "\xff"),
        foreign("set_envoy_filter_state", "\x0a\x17envoy.tcp_proxy.cluster\x12\x01x"),
    ),
]

# --- time, contexts, log ------------------------------------------------------------------------------------------

TIME = [
    Case(
        "105-ticks-until-stopped",
        {
            "request_headers": [ON_TICK, PAUSE],
            "tick#1": [],
            "tick#2": [tick(20)],
            "tick#3": [tick(0), SELECT, resume(0)],
        },
        ticks=3,
    ),
    Case(
        "105-set-from-a-selected-stream",
        {"request_headers": [ON_TICK, PAUSE], "tick#1": [SELECT, tick(10)], "tick#2": [tick(0), SELECT, resume(0)]},
        ticks=2,
    ),
    at_once("105-current-time", quiet(call("get_current_time_nanoseconds"))),
    at_once(
        "107-select-in-a-stream",
        call("set_effective_context", 999999),
        get(0, "x-case"),
        call("set_effective_context", 0),
        get(0, "x-case"),
        call("set_effective_context", "$stream"),
        get(0, "x-case"),
        call("set_effective_context", "$root"),
        get(0, "x-case"),
        call("set_effective_context", "$stream"),
        get(0, "x-case"),
    ),
    Case(
        "107-reset-at-the-next-callback",
        {"request_headers": [call("set_effective_context", "$root")], "response_headers": [get(2, ":status")]},
    ),
    Case(
        "106-after-the-stream",
        {"log": [ON_TICK], "tick": [tick(0), SELECT, get(0, "x-case"), resume(0)]},
        ticks=1,
        wait=("tick",),
    ),
    Case("111-done-returns-false", {"done": [["return", 0]]}),
    at_once("111-done-without-need", call("done")),
    Case("111-done-in-other-callbacks", {"log": [call("done")], "done": [call("done")], "delete": [call("done")]}),
    Case(
        "109-order",
        {"log": [get(0, ":path"), get(2, ":status")], "done": [get(0, ":path")], "delete": [get(0, ":path")]},
    ),
    *(at_once(f"17-log-level-{level}", call("log", level, f"level {level}")) for level in (0, 1, 2, 3, 4, 5, 6, 99)),
    at_once(
        "16-log-lines",
        call("log", 2, "one\ntwo\n"),
        call("log", 2, ""),
        call("log", 3, "\xff\x80"),
        call("log", 2, "a\tb"),
    ),
    at_once("15-log-level", call("get_log_level")),
    at_once("17-long-log", call("log", 2, {"x": 5000})),
]

CASES = [*SHARED, *QUEUES, *METRICS, *PROPERTIES, *FOREIGN, *TIME]
