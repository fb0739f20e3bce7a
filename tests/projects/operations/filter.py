"""Does what the script of a stream says, in every callback: any public function, in any order.

A request brings its script in the header `x-script`, a connection in its first line. It is JSON: under the name of a
callback one list of operations for each of its calls, under "answers" one for each answer to a callout, and under
"later" pairs of milliseconds and operations, which a tick performs. An operation is a list:

    ["name", {argument: value}]   a function of `pwasm`, or of its modules ("foreign.uncompress", "properties.node.id")
    ["pause"]                     the callback returns PAUSE
    ["fail"]                      the callback raises
    ["sleep", milliseconds]       a coroutine goes on with the operations that follow
    ["ask", cluster]              likewise, with the answer to an HTTP call
    ["with", n, operations]       for the n-th of the streams seen last, which may be over

What the functions raise is ignored. Values are JSON; {"$": name} stands for what only the filter knows, see `VALUES`.
"""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pwasm
from pwasm import Action, aio

_MS = 1_000_000
SEEN = 16


class Shared:
    """What the streams of a VM know of each other."""

    def __init__(self) -> None:
        self.bomb = b""
        self.seen: list[int] = []
        self.token = 0
        self.queue = 0
        self.due: list[tuple[int, int, list[Any]]] = []

    def see(self, context_id: int) -> None:
        self.seen = [*self.seen[1 - SEEN :], context_id]

    def nth(self, number: int) -> int:
        return self.seen[-1 - number % len(self.seen)] if self.seen else 0


shared = Shared()

VALUES: dict[str, Callable[[Any], Any]] = {
    "bytes": lambda value: value.encode("latin-1"),
    "bomb": lambda _: shared.bomb,
    "token": lambda _: shared.token,
    "queue": lambda _: shared.queue,
    "context": lambda number: shared.nth(number),
    "calls back": lambda operations: lambda *_: perform(operations),
    "large": lambda size: b"x" * size,
}


def value_of(value: Any) -> Any:
    """The value of an argument."""
    if isinstance(value, dict) and "$" in value:
        return VALUES[value["$"]](value.get("of"))
    return value


def find(name: str) -> Any:
    found: Any = pwasm
    for part in name.split("."):
        found = getattr(found, part)
    return found


def perform(operations: list[Any]) -> Action:
    """Perform all of them; returns the callback's action."""
    action = Action.CONTINUE
    for operation in operations:
        name, *rest = operation
        if name == "pause":
            action = Action.PAUSE
        elif name == "fail":
            raise ValueError("as the script says")
        else:
            try:
                act(name, rest)
            except Exception as error:
                del error
    return action


def act(name: str, rest: list[Any]) -> None:
    """One of them."""
    if name == "with":
        with pwasm.effective_context(shared.nth(rest[0])):
            perform(rest[1])
        return
    if name.startswith("properties."):
        find(name)
        return
    if name.startswith("metric."):
        _, kind, method = name.split(".")
        metric = find(f"define_{kind}_metric")(rest[0]["name"])
        getattr(metric, method)(rest[0]["amount"])
        return
    result = find(name)(**{key: value_of(value) for key, value in rest[0].items()})
    if name in ("dispatch_grpc_call", "dispatch_http_call", "open_grpc_stream"):
        shared.token = result
    elif name == "register_shared_queue":
        shared.queue = result
    elif name == "drain_shared_queue":
        list(result)


def waits(operations: list[Any]) -> bool:
    return any(operation[0] in ("sleep", "ask") for operation in operations)


async def slowly(operations: list[Any]) -> Action:
    """The same in a coroutine."""
    action, rest = Action.CONTINUE, []
    for operation in operations:
        if operation[0] not in ("sleep", "ask"):
            rest.append(operation)
            continue
        action = perform(rest) or action
        rest = []
        try:
            if operation[0] == "sleep":
                await aio.sleep(operation[1] / 1000)
            else:
                headers = [(":method", "GET"), (":path", "/"), (":authority", "a")]
                await aio.dispatch_http_call(operation[1], headers, timeout_ms=50)
        except pwasm.HostcallError as error:
            del error
    return perform(rest) or action


class Ticker(pwasm.PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        shared.bomb = base64.b64decode(json.loads(self.configuration or b"{}").get("bomb", "")) or shared.bomb
        pwasm.set_tick_period_milliseconds(5)
        return True

    def on_tick(self) -> None:
        now = time.monotonic_ns()
        due, shared.due = (
            [item for item in shared.due if item[0] <= now],
            [item for item in shared.due if item[0] > now],
        )
        for _, context_id, operations in due:
            try:
                pwasm.set_effective_context(context_id)
            except pwasm.HostcallError:
                continue
            perform(operations)

    def on_queue_ready(self, queue_id: int) -> None:
        try:
            list(pwasm.drain_shared_queue(queue_id))
        except pwasm.HostcallError as error:
            del error


class Scripted:
    """What both kinds of streams do."""

    context_id: int
    script: dict[str, Any] | None = None

    def read(self, text: str) -> None:
        self.script = json.loads(text or "{}")
        assert self.script is not None
        shared.see(self.context_id)
        now = time.monotonic_ns()
        shared.due += [(now + ms * _MS, self.context_id, operations) for ms, operations in self.script.get("later", ())]

    def run(self, callback: str) -> Any:
        """What the script says of this call."""
        calls = self.script and self.script.get(callback)
        if not calls:
            return Action.CONTINUE
        operations = calls.pop(0)
        return slowly(operations) if waits(operations) else perform(operations)


class Http(Scripted, pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Any:
        self.read(pwasm.get_http_request_header("x-script") or "")
        return self.run("request_headers")

    def on_http_request_body(self, size: int, end_of_stream: bool) -> Any:
        return self.run("request_body")

    def on_http_request_trailers(self, num_trailers: int) -> Any:
        return self.run("request_trailers")

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Any:
        return self.run("response_headers")

    def on_http_response_body(self, size: int, end_of_stream: bool) -> Any:
        return self.run("response_body")

    def on_http_response_trailers(self, num_trailers: int) -> Any:
        return self.run("response_trailers")

    def on_http_stream_done(self) -> None:
        if self.script:
            for operations in self.script.get("done", ()):
                perform(operations)


class Edits(Http):
    edits_request_body = True
    edits_response_body = True
    on_error = "fail_open"


class Buffers(Http):
    buffer_request_body = True
    buffer_response_body = True


class Tcp(Scripted, pwasm.TcpContext):
    def on_downstream_data(self, size: int, end_of_stream: bool) -> Any:
        if self.script is None:
            line, found, _ = pwasm.get_downstream_data().partition(b"\n")
            if not found:
                return Action.PAUSE
            self.read(line.decode())
        return self.run("downstream_data")

    def on_upstream_data(self, size: int, end_of_stream: bool) -> Any:
        return self.run("upstream_data")

    def on_downstream_close(self, peer_type: int) -> Any:
        self.run("downstream_close")

    def on_upstream_close(self, peer_type: int) -> Any:
        self.run("upstream_close")

    def on_stream_done(self) -> None:
        if self.script:
            for operations in self.script.get("done", ()):
                perform(operations)


for kind in (Http, Edits, Buffers):
    pwasm.set_http_context(kind, root_id=kind.__name__.lower())
    pwasm.set_plugin_context(Ticker, root_id=kind.__name__.lower())
pwasm.set_tcp_context(Tcp, root_id="tcp")
pwasm.set_plugin_context(Ticker, root_id="tcp")
