"""Every fault in every callback: a request's header `x-fault: <callback> <fault>` arms one, which strikes once.

One for `new_http_context` or a TCP callback strikes the next request or connection, one in the plugin's or the VM's
configuration while these start. What a request of this filter does beside: it holds itself until
its callout was answered, and puts an item into a queue, so that each callback of a plugin has its turn. Nothing of
this may trap, and the next request is served as if nothing had been.
"""

import contextlib
import copy
import functools
import gc
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import urllib.request
import warnings
import weakref
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator

import pwasm
from pwasm import Action, HttpContext, PluginContext, TcpContext, VMContext

armed: list[str] = []


def strike(callback: str) -> None:
    """Run the fault that is armed for `callback`, once."""
    if armed and armed[0] == callback:
        fault = FAULTS[armed[1]]
        armed.clear()
        fault()


def raising(error: Callable[[], BaseException]) -> Callable[[], None]:
    def fault() -> None:
        raise error()

    return fault


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        return by_sorted()


class Own(BaseException):
    pass


class Dropped:
    def __del__(self) -> None:
        raise RuntimeError("in __del__")


def by_sorted(_: object = None) -> str:
    return sorted(["a"], key=by_sorted)[0]


def recurse() -> None:
    recurse()


def nested(depth: int = 50_000) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def unlimited() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**9)
    try:
        by_sorted()
    finally:
        sys.setrecursionlimit(limit)


def cycle_with_del() -> None:
    first, second = Dropped(), Dropped()
    first.other, second.other = second, first  # type: ignore[attr-defined]
    del first, second
    gc.collect()


def weak_callback() -> None:
    def fail(_: object) -> None:
        raise RuntimeError("in a weakref's callback")

    value: Dropped = Dropped.__new__(type("Plain", (), {}))
    reference = weakref.ref(value, fail)
    del value
    assert reference() is None


def generator_left_open() -> None:
    def items() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise RuntimeError("in finally")

    next(items())


def chained() -> None:
    error: BaseException = ValueError("first")
    for number in range(3000):
        following = ValueError(f"number {number}")
        following.__cause__ = error
        error = following
    raise error


def group() -> None:
    raise BaseExceptionGroup("many", [ValueError(str(number)) for number in range(200)] + [SystemExit(1)])


def lists_until_the_end() -> None:
    kept = []
    while True:
        kept.append(bytearray(1 << 24))


def strings_until_the_end() -> None:
    kept: list[str] = []
    while True:
        kept.append("x" * 1000 + str(len(kept)))


def quietly(function: Callable[..., object], *arguments: object) -> None:
    """Run code that must fail with an ordinary exception, or not at all."""
    with contextlib.suppress(Exception):
        function(*arguments)


def host_calls() -> None:
    """Functions of the API, whether the callback is the right one for them or not."""
    for name, arguments in CALLS:
        quietly(getattr(pwasm, name), *arguments)


def wrong_arguments() -> None:
    for name, arguments in CALLS:
        for value in (None, -1, 2**70, "\0", "\udcff", b"\xff" * 10, [], {"": ""}, object(), float("nan")):
            quietly(getattr(pwasm, name), *[value] * len(arguments))


def unknown_things() -> None:
    for token in (0, 1, 2**31, 2**32 - 1):
        quietly(pwasm.cancel_grpc_call, token)
        quietly(pwasm.cancel_grpc_stream, token)
        quietly(pwasm.close_grpc_stream, token)
        quietly(pwasm.send_grpc_stream_message, token, b"x", True)
        quietly(pwasm.dequeue_shared_queue, token)
        quietly(pwasm.enqueue_shared_queue, token, b"x")
    quietly(pwasm.set_effective_context, 2**31)


def operating_system() -> None:
    quietly(open, "/etc/passwd")
    quietly(os.listdir, "/")
    quietly(os.mkdir, "/new")
    quietly(urllib.request.urlopen, "http://127.0.0.1:1/")
    quietly(subprocess.run, ["true"])
    quietly(threading.Thread(target=print).start)
    quietly(time.sleep, 1)
    quietly(time.sleep, -1)
    quietly(__import__, "a_module_that_does_not_exist")
    quietly(os.urandom, 200_000)
    quietly(input)


def noise() -> None:
    print("one line", "\n" * 20, "\udcff".encode(errors="surrogateescape"))
    sys.stderr.write("x" * 3000 + "\n")
    warnings.warn("a warning", stacklevel=1)
    pwasm.log_info("y" * 300_000)


CALLS: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("add_http_request_header", ("x-added", "1")),
    ("add_http_response_header", ("x-added", "1")),
    ("add_http_request_trailer", ("x-added", "1")),
    ("add_http_response_trailer", ("x-added", "1")),
    ("remove_http_request_header", ("x-fault",)),
    ("replace_http_response_header", ("x-replaced", "1")),
    ("get_http_request_headers", ()),
    ("get_http_response_headers", ()),
    ("get_http_request_trailers", ()),
    ("get_http_response_trailers", ()),
    ("get_http_call_response_headers", ()),
    ("get_http_call_response_body", (0, 100)),
    ("get_http_request_body", (0, 100)),
    ("get_http_response_body", (0, 100)),
    ("append_http_request_body", (b"more",)),
    ("prepend_http_response_body", (b"more",)),
    ("get_property", (["source", "address"],)),
    ("set_property", (["faults"], b"1")),
    ("get_plugin_configuration", ()),
    ("get_vm_configuration", ()),
    ("set_shared_data", ("faults", b"1", 0)),
    ("get_shared_data", ("faults",)),
    ("get_grpc_receive_buffer", ()),
    ("get_call_status", ()),
    ("call_foreign_function", ("no_such_function", b"")),
    ("dispatch_http_call", ("nowhere", {":method": "GET", ":path": "/", ":authority": "a"}, b"", {}, 1000, print)),
    ("define_counter_metric", ("faults.counter",)),
    ("set_tick_period_milliseconds", (20,)),
    ("resume_http_request", ()),
    ("resume_http_response", ()),
    ("continue_tcp_stream", ()),
    ("send_http_response", (299, {"x-by": "fault"}, b"from a fault")),
    ("resume_http_request", ()),
    ("resume_http_response", ()),
    ("close_http_request", ()),
    ("close_http_response", ()),
    ("close_downstream", ()),
    ("close_upstream", ()),
)

RAISE: dict[str, Callable[[], None]] = {
    "exception": raising(lambda: RuntimeError("boom")),
    "key": raising(lambda: KeyError("missing")),
    "assertion": raising(lambda: AssertionError()),
    "exit": raising(lambda: SystemExit(3)),
    "interrupt": raising(lambda: KeyboardInterrupt()),
    "generator_exit": raising(lambda: GeneratorExit()),
    "stop_iteration": raising(lambda: StopIteration(1)),
    "memory_error": raising(lambda: MemoryError()),
    "own": raising(lambda: Own("own")),
    "unprintable": raising(lambda: UnprintableError()),
    "surrogate": raising(lambda: ValueError("\udcff\n[critical] forged")),
    "huge_message": raising(lambda: ValueError("x" * 500_000)),
    "chained": chained,
    "group": group,
    "os_exit": functools.partial(os._exit, 1),
    "os_abort": os.abort,
    "sys_exit": sys.exit,
    "recursion": recurse,
    "recursion_unlimited": unlimited,
    "recursion_sorted": lambda: print(by_sorted()),
    "json": lambda: json.loads("[" * 3000),
    "json_dumps": lambda: print(json.dumps(nested())),
    "repr": lambda: print(repr(nested())),
    "pickle": lambda: print(pickle.dumps(nested())),
    "deepcopy": lambda: print(copy.deepcopy(nested())),
    "xml": lambda: print(copy.deepcopy(ET.fromstring("<a>" * 9000 + "</a>" * 9000))),
    "allocation": lambda: print(bytearray(1 << 31)),
    "allocations": lists_until_the_end,
}
SURVIVE: dict[str, Callable[[], None]] = {
    "free": lambda: print(len(nested())),
    "del": lambda: print(Dropped()),
    "cycle_with_del": cycle_with_del,
    "weakref_callback": weak_callback,
    "generator_left_open": generator_left_open,
    "operating_system": operating_system,
    "noise": noise,
    "host_calls": host_calls,
    "wrong_arguments": wrong_arguments,
    "unknown_things": unknown_things,
}
FAULTS = RAISE | SURVIVE


class Machine(VMContext):
    def on_vm_start(self, vm_configuration_size: int) -> bool:
        armed.extend(pwasm.get_vm_configuration().decode().split())
        strike("on_vm_start")
        return True


class Plugin(PluginContext):
    """Its callbacks strike as well: a tick every 20 ms, a queue, the answer of a callout."""

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        armed.extend(pwasm.get_plugin_configuration().decode().split())
        self.queue = pwasm.register_shared_queue("faults")
        pwasm.set_tick_period_milliseconds(20)
        strike("on_plugin_start")
        return True

    def new_http_context(self, context_id: int) -> HttpContext:
        strike("new_http_context")
        return Stream(self)

    def on_tick(self) -> None:
        strike("on_tick")

    def on_queue_ready(self, queue_id: int) -> None:
        for _ in pwasm.drain_shared_queue(queue_id):
            pass
        strike("on_queue_ready")

    def on_plugin_done(self) -> bool:
        strike("on_plugin_done")
        return True


class Stream(HttpContext):
    """Holds the request until its callout was answered."""

    plugin: Plugin

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        fault = pwasm.get_http_request_header("x-fault")
        if fault is not None:
            armed[:] = fault.split()
        calls = pwasm.get_http_request_header("x-call") is not None
        strike("on_http_request_headers")
        if not calls:
            return Action.CONTINUE
        try:  # the fault may have answered or closed the stream
            pwasm.enqueue_shared_queue(self.plugin.queue, b"item")
            pwasm.dispatch_http_call("upstream", CALL, b"", {}, 5000, self.on_answer)
        except pwasm.HostcallError:
            return Action.CONTINUE
        return Action.PAUSE

    def on_answer(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        pwasm.resume_http_request()
        strike("on_http_call_response")

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        strike("on_http_request_body")
        return Action.CONTINUE

    def on_http_request_trailers(self, num_trailers: int) -> Action:
        strike("on_http_request_trailers")
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        strike("on_http_response_headers")
        return Action.CONTINUE

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        strike("on_http_response_body")
        return Action.CONTINUE

    def on_http_response_trailers(self, num_trailers: int) -> Action:
        strike("on_http_response_trailers")
        return Action.CONTINUE

    def on_http_stream_done(self) -> None:
        strike("on_http_stream_done")


CALL = {":method": "GET", ":path": "/call", ":authority": "faults"}


class Connection(TcpContext):
    def on_new_connection(self) -> Action:
        strike("on_new_connection")
        return Action.CONTINUE

    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        strike("on_downstream_data")
        return Action.CONTINUE

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        strike("on_upstream_data")
        return Action.CONTINUE

    def on_downstream_close(self, peer_type: object) -> None:
        strike("on_downstream_close")

    def on_upstream_close(self, peer_type: object) -> None:
        strike("on_upstream_close")

    def on_stream_done(self) -> None:
        strike("on_stream_done")


def new_plugin_context(context_id: int) -> Plugin:
    strike("new_plugin_context")
    return Plugin()


pwasm.set_vm_context(Machine)
pwasm.set_plugin_context(new_plugin_context)
pwasm.set_http_context(Stream)
pwasm.set_plugin_context(PluginContext, root_id="tcp")
pwasm.set_tcp_context(Connection, root_id="tcp")
