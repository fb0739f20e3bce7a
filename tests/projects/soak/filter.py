"""The filter for the soak runs of tests/soak; the path selects the purpose of a request.

/headers   a header read, one added to the request and to the response
/json      the body is held, parsed and counted
/reply     answered by the filter: 403
/call      held until a callout was answered or timed out
/stream    the body is read piece by piece and passed on
/buffer    the body is held to its end, which Envoy's limit comes before
/state     answered with what the VM holds: pending calls, streams, plugin contexts, blocks of Python's allocator
"""

import gc
import json
import sys

import pwasm
from pwasm import Action, HttpContext, PluginContext
from pwasm._stream.current import current

CALL = ((":method", "GET"), (":path", "/called"), (":authority", "soak"))
CALL_TIMEOUT_MS = 200


class Plugin(PluginContext):
    """Counters of the filter's actions, to compare with Envoy's statistics."""

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.version = pwasm.get_plugin_configuration()
        self.replies = pwasm.define_counter_metric("soak.replies")
        self.answered = pwasm.define_counter_metric("soak.answered")
        self.timed_out = pwasm.define_counter_metric("soak.timed_out")
        return True

    def new_http_context(self, context_id: int) -> HttpContext:
        return Soak(self)


class Soak(HttpContext):
    """One request."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self.kind = ""

    plugin: Plugin

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.kind = kind = pwasm.get_http_request_header(":path") or ""
        if kind == "/headers":
            pwasm.add_http_request_header("x-seen", str(num_headers))
        elif kind == "/reply":
            self.plugin.replies.increment(1)
            pwasm.send_http_response(403, {"x-by": "soak"}, b"refused")
            return Action.PAUSE
        elif kind == "/call":
            pwasm.dispatch_http_call("callee", CALL, timeout_ms=CALL_TIMEOUT_MS, callback=self.on_answer)
            return Action.PAUSE
        elif kind == "/state":
            pwasm.send_http_response(200, {"content-type": "application/json"}, state(self.plugin))
            return Action.PAUSE
        return Action.CONTINUE

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        if self.kind == "/json":
            if not end_of_stream:
                return Action.PAUSE
            json.loads(pwasm.get_http_request_body(0, body_size))
        elif self.kind == "/stream":
            pwasm.get_http_request_body(0, body_size)
        elif self.kind == "/buffer" and not end_of_stream:
            return Action.PAUSE
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.add_http_response_header("x-soak", self.kind)
        return Action.CONTINUE

    def on_answer(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        status = dict(pwasm.get_http_call_response_headers()).get(":status")
        (self.plugin.timed_out if status == "504" else self.plugin.answered).increment(1)
        pwasm.resume_http_request()


def state(plugin: Plugin) -> bytes:
    gc.collect()
    root = current.root
    assert root is not None
    found = {
        "version": plugin.version.decode(),
        "calls": len(root.calls),
        "streams": len(root.streams),
        "blocks": sys.getallocatedblocks(),
        "objects": len(gc.get_objects()),
    }
    return json.dumps(found).encode()


pwasm.set_plugin_context(Plugin)
