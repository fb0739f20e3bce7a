"""The "headers" scenario with pwasm; what every peer does stands in scenarios.py."""

import pwasm
from pwasm import Action, HttpContext


class Headers(HttpContext):
    """Logs one message that Envoy filters out, and adds one response header."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.log_debug("request headers")
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.add_http_response_header("x-wasm-custom", "FOO")
        return Action.CONTINUE


pwasm.set_http_context(Headers)
