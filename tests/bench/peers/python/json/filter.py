"""The "json" scenario with pwasm; what every peer does stands in scenarios.py."""

import json

import pwasm
from pwasm import Action, HttpContext

NAMES = (
    ":method",
    ":path",
    "content-type",
    "accept",
    "accept-language",
    "authorization",
    "cookie",
    "user-agent",
    "x-tenant",
    "x-trace",
)


class Order(HttpContext):
    """Reads ten request headers and the order's number in the body, and tells what it has read."""

    buffer_request_body = True
    read = 0
    order = ""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        for name in NAMES:
            self.read += len(pwasm.get_http_request_header(name, ""))
        return Action.CONTINUE

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        pwasm.log_debug("request body")
        self.order = json.loads(pwasm.get_http_request_body())["id"]
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.add_http_response_header("x-wasm-custom", "FOO")
        pwasm.add_http_response_header("x-wasm-read", str(self.read))
        pwasm.add_http_response_header("x-wasm-order", self.order)
        return Action.CONTINUE


pwasm.set_http_context(Order)
