"""TCP connections: docs/abi.md §5, cases 109, 114 to 117."""

from __future__ import annotations

from typing import Any

from ..case import Case, Script
from ..ops import (
    DOWNSTREAM,
    ON_TICK,
    PAUSE,
    REQUEST,
    RESPONSE,
    UPSTREAM,
    body,
    call,
    close,
    get,
    later,
    pairs,
    prop,
    quiet,
    reply,
    resume,
    size,
    write,
)

MAX = 0x7FFFFFFF
HELLO = (("send", "hello"), ("read", "5"), ("finish", ""))
SHOW = {"downstream_data": [body(2), body(3)], "upstream_data": [body(3), body(2)]}


def tcp(name: str, script: Script, steps: tuple[tuple[str, str], ...] = HELLO, **options: Any) -> Case:
    return Case(name, script, tcp=steps, **options)


CASES = [
    tcp("114-echo", SHOW),
    tcp("114-two-pieces", SHOW, (("send", "one"), ("read", "3"), ("send", "two"), ("read", "6"), ("finish", ""))),
    tcp("114-nothing-sent", SHOW, (("finish", ""),)),
    tcp("114-binary", SHOW, (("send", "\0\xff\r\n"), ("read", "4"), ("finish", ""))),
    tcp(
        "109-order-of-tcp",
        {"log": [quiet(prop("source.address"))], "done": [call("get_buffer_status", 2)], "delete": [body(3)]},
    ),
    tcp("115-replace-downstream", {"downstream_data#1": [write(2, 0, MAX, "other"), body(2)]}),
    tcp("115-append-upstream", {"upstream_data#1": [write(3, MAX, 0, "+more"), body(3)]}),
    tcp("115-prepend-both", {"downstream_data#1": [write(2, 0, 0, "a")], "upstream_data#1": [write(3, 0, 0, "b")]}),
    tcp("115-in-the-middle", {"downstream_data#1": [write(2, 2, 1, "x"), write(3, 0, 0, "y")]}),
    tcp("116-hold-the-connection", {"new_connection": [ON_TICK, PAUSE], **later(resume(DOWNSTREAM)), **SHOW}, ticks=1),
    tcp("116-hold-data", {"downstream_data#1": [ON_TICK, PAUSE], **later(body(2), resume(DOWNSTREAM))}, ticks=1),
    tcp(
        "116-held-data-comes-again",
        {"downstream_data#1": [body(2), PAUSE], "downstream_data#2": [body(2)]},
        (("send", "ab"), ("await", "downstream_data"), ("send", "cd"), ("read", "4"), ("finish", "")),
    ),
    tcp(
        "116-held-data-of-upstream-comes-again",
        {"upstream_data#1": [body(3), PAUSE], "upstream_data#2": [body(3)]},
        (("send", "one"), ("await", "upstream_data"), ("send", "two"), ("read", "6"), ("finish", "")),
    ),
    tcp("116-continue-in-the-callback-and-pause", {"downstream_data#1": [resume(DOWNSTREAM), PAUSE]}),
    tcp("117-close-downstream", {"downstream_data#1": [close(DOWNSTREAM), PAUSE]}, (("send", "hello"),)),
    tcp("117-close-upstream", {"downstream_data#1": [close(UPSTREAM), PAUSE]}, (("send", "hello"),)),
    tcp("117-close-other-streams", {"downstream_data#1": [close(REQUEST), close(RESPONSE), close(4)]}),
    tcp("117-continue-other-streams", {"downstream_data#1": [resume(REQUEST), resume(UPSTREAM), resume(4)]}),
    tcp("117-headers", {"downstream_data#1": [get(0, "x"), pairs(0), size(0), get(2, "x"), pairs(2)]}),
    tcp("117-local-response", {"downstream_data#1": [reply(403, "no")]}),
    tcp(
        "117-properties",
        {
            "downstream_data#1": [
                quiet(prop("source.address")),
                prop("request.path"),
                quiet(prop("connection.id")),
                quiet(prop("connection.mtls")),
                prop("plugin_root_id"),
                quiet(prop("xds.node.id")),
                quiet(prop("destination.port")),
            ]
        },
    ),
    tcp(
        "117-own-property",
        {"new_connection": [call("set_property", "{id}", "v")], "downstream_data#1": [call("get_property", "{id}")]},
    ),
]
