"""http_body_chunk: searches a request body for a pattern chunk by chunk, and responds with 403 once it is found.

Envoy holds back the chunks seen so far, so upstream gets either the whole body or nothing.
"""

import pwasm
from pwasm import Action, HttpContext

PATTERN = b"pattern"


class FindPattern(HttpContext):
    def __init__(self) -> None:
        self.chunks = 0
        self.seen = 0

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        pwasm.log_info(
            "on_http_request_body called. body_size: %d, seen before: %d, end_of_stream: %s",
            body_size,
            self.seen,
            end_of_stream,
        )
        if body_size > self.seen and self.found(body_size):
            pwasm.log_info("pattern found in chunk: %d", self.chunks)
            pwasm.send_http_response(403, {"powered-by": "pwasm"}, b"access forbidden")
            return Action.PAUSE
        if not end_of_stream:
            return Action.PAUSE
        pwasm.log_info("pattern not found")
        return Action.CONTINUE

    def found(self, body_size: int) -> bool:
        """Whether the new chunk completes a pattern; includes the bytes just before it, since chunks may split one."""
        self.chunks += 1
        start = max(self.seen - len(PATTERN) + 1, 0)
        self.seen = body_size
        return PATTERN in pwasm.get_http_request_body(start, body_size - start)


pwasm.set_http_context(FindPattern)
