"""Random scripts of operations: what a filter does in each of its callbacks, and what happens to its stream meanwhile.

A script is plain JSON, so that a failure can be written down and run again; see tests/projects/operations/filter.py.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator
from typing import Any

import pwasm
from pwasm import foreign, properties

Script = dict[str, Any]
Op = list[Any]
CHAINS = ("alone", "authz-before", "authz-after", "lua-before", "lua-after", "grpc-after", "body-after", "twice")
MODES = ("drain", "headers")
KINDS = ("http", "edits", "buffers")
HTTP = ("request_headers", "request_body", "request_trailers", "response_headers", "response_body", "response_trailers")
TCP = ("downstream_data", "upstream_data", "downstream_close", "upstream_close")
CLUSTERS = ("gate", "users", "h1", "inventory", "grpc", "refusing", "nope", "")

_NOT_CALLED = {"set_http_context", "set_plugin_context", "set_tcp_context", "set_vm_context", "set_step_budget"}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(pwasm, name) for name in pwasm.__all__ if inspect.isfunction(getattr(pwasm, name))},
    **{
        f"foreign.{name}": getattr(foreign, name)
        for name in foreign.__all__
        if inspect.isfunction(getattr(foreign, name))
    },
}
"""Every public function, except for those that only the build calls."""
for _name in _NOT_CALLED:
    del FUNCTIONS[_name]
PROPERTIES = [
    f"properties.{group.__name__.lower()}.{attribute}"
    for group in (
        properties.Request,
        properties.Response,
        properties.Connection,
        properties.Upstream,
        properties.Source,
    )
    for attribute in vars(group)
    if not attribute.startswith("_")
]

ENDINGS = (
    "send_http_response",
    "resume_http_request",
    "resume_http_response",
    "close_http_request",
    "close_http_response",
)
TCP_ENDINGS = ("close_downstream", "close_upstream", "continue_tcp_stream")
BODIES = tuple(name for name in FUNCTIONS if name.endswith("_body"))
DATA = tuple(name for name in FUNCTIONS if name.endswith("_data") and "shared" not in name)


def _bytes(*values: str) -> list[Any]:
    return [*values, *({"$": "bytes", "of": value} for value in values)]


_HEADERS: list[Any] = [[["x-a", "1"]], [[":path", "/"]], [["x-a", "1"], ["x-b", ""]], [["content-length", "3"]], []]
_CALL = [[":method", "GET"], [":path", "/"], [":authority", "a"]]
_NUMBERS = [0, 1, 3, 100, 2**31, 2**32 - 1]
_CALLBACK: list[Any] = [None, {"$": "calls back"}]
_DATA = [*_bytes("", "a", "\0\xff", "hello"), {"$": "large", "of": 20_000}]
ARGUMENTS: dict[str, list[Any]] = {
    # of a parameter: what it may be
    "args": [],
    "body": [*_bytes("", "no"), {"$": "large", "of": 20_000}],
    "callback": _CALLBACK,
    "cas": [0, 0, 1, 2],
    "cluster": list(CLUSTERS),
    "context_id": [0, 1, 2, 3, *({"$": "context", "of": number} for number in (0, 0, 0, 1, 2, 5))],
    "data": _DATA,
    "default": [None],
    "details": ["", "some details"],
    "end_of_stream": [False, True],
    "grpc_status": [-1, 0, 7],
    "hash_function": ["sha256", "nope"],
    "headers": _HEADERS,
    "initial_metadata": _HEADERS,
    "key": ["k", {"$": "bytes", "of": "other"}],
    "kind": [0],
    "max_size": _NUMBERS,
    "message": _DATA,
    "method": ["Method", "a b"],
    "milliseconds": [5],
    "msg": ["said", "%s %d", "\n"],
    "name": ["x-a", "x-b", "host", "content-length", "transfer-encoding", ":path", ":status", "x-new", "", "A b"],
    "on_close": _CALLBACK,
    "on_initial_metadata": _CALLBACK,
    "on_message": _CALLBACK,
    "on_trailing_metadata": _CALLBACK,
    "param": _DATA,
    "path": ["request.path", "upstream.address", "node", "plugin_root_id", "x.y", "wasm.a", "request.headers"],
    "private_key": ["no key"],
    "public_key": ["no key"],
    "queue_id": [0, 1, {"$": "queue"}],
    "readonly": [False],
    "schema": [{"$": "bytes", "of": ""}],
    "service": ["a.B", ""],
    "signature": [{"$": "bytes", "of": "no"}],
    "span": [0, 1, 2],
    "start": _NUMBERS,
    "status_code": [200, 204, 304, 403, 500],
    "text": ["text"],
    "timeout_ms": [1, 50, 5000],
    "token": [0, 1, {"$": "token"}],
    "trailers": [[], [["x-t", "1"]]],
    "upstream": [*CLUSTERS, *({"$": "bytes", "of": name} for name in CLUSTERS), {"$": "bytes", "of": "\n\6\n\4gate"}],
    "value": ["1", "", "a\tb", {"$": "bytes", "of": "1"}],
    "vm_id": ["", "drain", "nope"],
}
_OF_FUNCTION: dict[str, dict[str, list[Any]]] = {
    "foreign.uncompress": {"data": [{"$": "bomb"}, *_DATA]},
    "call_foreign_function": {
        "name": [
            "uncompress",
            "compress",
            "clear_route_cache",
            "expr_create",
            "expr_evaluate",
            "verify_signature",
            "x",
        ],
        "param": [{"$": "bomb"}, *_DATA],
    },
    "foreign.set_envoy_filter_state": {"name": ["envoy.tcp_proxy.cluster", "x"], "value": ["up", "nope"]},
    "foreign.declare_property": {"name": ["p", "q"]},
    "register_shared_queue": {"name": ["q", "r"]},
    "resolve_shared_queue": {"name": ["q", "nope"]},
    "dispatch_http_call": {"headers": [_CALL, _CALL, []]},
    **{f"define_{kind}_metric": {"name": ["m1", "m2"]} for kind in ("counter", "gauge", "histogram")},
}


def operation(chance: random.Random, name: str, depth: int = 0) -> Op:
    """A call of a function, with any arguments."""
    given: dict[str, Any] = {}
    pools = ARGUMENTS | _OF_FUNCTION.get(name, {})
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        values = pools[parameter.name]
        needed = parameter.default is inspect.Parameter.empty
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL or not (needed or chance.random() < 0.4):
            continue
        value = chance.choice(values)
        if value == {"$": "calls back"}:
            value = {"$": "calls back", "of": operations(chance, http=True, depth=depth + 1)}
        given[parameter.name] = value
    return [name, given]


def operations(chance: random.Random, *, http: bool, depth: int = 0, waits: bool = False) -> list[Op]:
    """What is done in one call."""
    found: list[Op] = []
    if depth > 2:
        return found
    for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4))):
        what = chance.random()
        if what < 0.3:
            found.append(
                operation(chance, chance.choice(ENDINGS if http or chance.random() < 0.1 else TCP_ENDINGS), depth)
            )
        elif what < 0.45:
            found.append(operation(chance, chance.choice(BODIES if http or chance.random() < 0.1 else DATA), depth))
        elif what < 0.6:
            found.append(["pause"])
        elif what < 0.65:
            found.append(["with", chance.choice((0, 0, 1, 2, 3, 7)), operations(chance, http=http, depth=depth + 1)])
        elif what < 0.68:
            found.append(["fail"])
        elif what < 0.78 and waits:
            found.append(chance.choice((["sleep", chance.choice((0, 1, 7))], ["ask", chance.choice(CLUSTERS)])))
        elif what < 0.82:
            found.append([chance.choice(PROPERTIES), {}])
        else:
            found.append(operation(chance, chance.choice(list(FUNCTIONS)), depth))
    return found


def made(seed: int) -> Script:
    """The script of a seed."""
    chance = random.Random(seed)
    http = chance.random() < 0.8
    waits = chance.random() < 0.5
    script: Script = {"seed": seed, "listener": "tcp"}
    if http:
        script["listener"] = f"{chance.choice(CHAINS)}|{chance.choice(MODES)}|{chance.choice(KINDS)}"
    script["do"] = {
        callback: [operations(chance, http=http, waits=waits) for _ in range(chance.choice((1, 1, 2, 3)))]
        for callback in (HTTP if http else TCP)
        if chance.random() < 0.45
    }
    if chance.random() < 0.3:
        script["do"]["done"] = [operations(chance, http=http)]
    if chance.random() < 0.5:
        times = [chance.choice((0, 3, 10, 30)) for _ in range(chance.choice((1, 1, 2)))]
        script["do"]["later"] = [[ms, operations(chance, http=http)] for ms in times]
    for side in ("client", "upstream"):
        script[side] = {
            "pieces": [chance.choice((1, 5, 5000)) for _ in range(chance.choice((0, 1, 2, 3)))],
            "gaps": [chance.choice((0, 0, 2, 15)) for _ in range(4)],
            "framing": chance.choice(("length", "chunked", "trailers")),
            "leaves": chance.choice((None, None, None, 0, 1, 2)),
        }
    script["upstream"]["status"] = chance.choice((200, 200, 200, 204, 503))
    script["upstream"]["begins"] = chance.choice((0, 0, 0, 5, 60))
    script["client"]["waits"] = chance.choice((400, 400, 400, 50, 20))
    return script


_SIMPLEST: dict[str, Any] = {
    "pieces": [],
    "gaps": [0] * 4,
    "framing": "length",
    "leaves": None,
    "begins": 0,
    "waits": 400,
}


def simpler(script: Script) -> Iterator[Script]:
    """Smaller scripts that may fail in the same way."""
    told = script["do"]
    for callback in told:
        yield {**script, "do": {name: value for name, value in told.items() if name != callback}}
    for callback, calls in told.items():
        for smaller in _smaller(calls):
            yield {**script, "do": {**told, callback: smaller}}
    chain, _, rest = script["listener"].partition("|")
    if rest and chain != "alone":
        yield {**script, "listener": f"alone|{rest}"}
    for side in ("client", "upstream"):
        for name, value in _SIMPLEST.items():
            if script[side].get(name, value) != value:
                yield {**script, side: {**script[side], name: value}}


def _smaller(value: Any) -> Iterator[Any]:
    """Lists with an item less, at any depth."""
    if not isinstance(value, list):
        return
    for at, item in enumerate(value):
        if isinstance(item, list):
            if item and isinstance(item[0], str):
                yield value[:at] + value[at + 1 :]
            for smaller in _smaller(item):
                yield [*value[:at], smaller, *value[at + 1 :]]
