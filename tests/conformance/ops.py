"""Short names of the operations that the cases' scripts are made of; see tests/projects/probe/interpreter.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Op = list[Any]
Pairs = Sequence[tuple[str, str]]

REQUEST, RESPONSE, DOWNSTREAM, UPSTREAM = range(4)
PAUSE: Op = ["return", 1]
SELECT: Op = ["proxy_set_effective_context", "$stream"]
WANTED = [(":method", "GET"), (":path", "/call"), (":authority", "callee")]


def call(name: str, *arguments: Any) -> Op:
    """Any hostcall."""
    return [f"proxy_{name}", *arguments]


def quiet(operation: Op) -> Op:
    """The same; of its outcome only the status is compared, because values differ from run to run."""
    return ["?", *operation]


def sized(operation: Op) -> Op:
    """The same; of its outcome the status and the length are compared."""
    return ["#", *operation]


def keep(name: str, operation: Op) -> Op:
    """The same; its first result is kept as `$name`."""
    return [f"={name}", *operation]


def sdk(name: str, *arguments: Any) -> Op:
    """A function of `pwasm`."""
    return ["sdk", name, *arguments]


def get(map_type: int, name: str) -> Op:
    return call("get_header_map_value", map_type, name)


def add(map_type: int, name: str, value: Any) -> Op:
    return call("add_header_map_value", map_type, name, value)


def replace(map_type: int, name: str, value: Any) -> Op:
    return call("replace_header_map_value", map_type, name, value)


def remove(map_type: int, name: str) -> Op:
    return call("remove_header_map_value", map_type, name)


def pairs(map_type: int) -> Op:
    return call("get_header_map_pairs", map_type)


def size(map_type: int) -> Op:
    return call("get_header_map_size", map_type)


def body(buffer: int, start: int = 0, most: int = 0x7FFFFFFF) -> Op:
    return call("get_buffer_bytes", buffer, start, most)


def write(buffer: int, start: int, length: int, data: Any) -> Op:
    return call("set_buffer_bytes", buffer, start, length, data)


def prop(path: str) -> Op:
    return call("get_property", path.replace(".", "\0"))


def tick(milliseconds: int) -> Op:
    return call("set_tick_period_milliseconds", milliseconds)


def resume(stream: int) -> Op:
    return call("continue_stream", stream)


def close(stream: int) -> Op:
    return call("close_stream", stream)


def reply(status: int, body: Any = "", headers: Any = (), details: str = "", grpc: int = -1) -> Op:
    return call("send_local_response", status, details, body, list(headers) if headers != "" else "", grpc)


def http_call(cluster: str = "web", headers: Any = None, body: Any = "", trailers: Any = "", timeout: int = 5000) -> Op:
    head = [list(pair) for pair in WANTED] if headers is None else headers
    return keep("call", call("http_call", cluster, head, body, trailers, timeout))


def foreign(name: str, argument: Any = "") -> Op:
    return call("call_foreign_function", name, argument)


def later(*operations: Op) -> dict[str, list[Op]]:
    """An action that the next tick performs for the stream, once."""
    return {"tick": [tick(0), SELECT, *operations]}


ON_TICK: Op = tick(10)
