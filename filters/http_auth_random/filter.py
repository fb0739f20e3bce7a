"""http_auth_random: asks another service about each request, and decides by the hash of its answer: even may pass."""

import pwasm
from pwasm import Action, HttpContext

CLUSTER = "httpbin"
TIMEOUT_MILLISECONDS = 50_000


class RandomAuth(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = self.request.headers.items()
        for name, value in headers:
            pwasm.log_info("request header: %s: %s", name, value)
        pwasm.dispatch_http_call(CLUSTER, headers, timeout_ms=TIMEOUT_MILLISECONDS, callback=self.on_answer)
        pwasm.log_info("http call dispatched to %s", CLUSTER)
        return Action.PAUSE

    def on_answer(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        headers = pwasm.get_http_call_response_headers()
        for name, value in headers:
            pwasm.log_info("response header from %s: %s: %s", CLUSTER, name, value)
        # Without an answer there are no headers, and 503 and 504 are Envoy's own.
        answered = dict(headers).get(":status") == "200"
        if answered and fnv1a_32(pwasm.get_http_call_response_body()) % 2 == 0:
            pwasm.log_info("access granted")
            pwasm.resume_http_request()
        else:
            pwasm.log_info("access forbidden")
            pwasm.send_http_response(403, {"powered-by": "pwasm"}, b"access forbidden")


def fnv1a_32(data: bytes) -> int:
    """The hash FNV-1a in 32 bits."""
    number = 0x811C9DC5
    for byte in data:
        number = (number ^ byte) * 0x01000193 & 0xFFFFFFFF
    return number


pwasm.set_http_context(RandomAuth)
