"""multiple_dispatches: makes ten calls for each response, and resumes it when the last answer has arrived."""

import pwasm
from pwasm import Action, HttpContext

CLUSTER = "httpbin"
CALLS = 10
REQUEST = {":path": "/", ":method": "GET", ":authority": "httpbin.org"}


class MultipleDispatches(HttpContext):
    pending = CALLS

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.log_info("dispatching %d calls to %s", CALLS, CLUSTER)
        for _ in range(CALLS):
            pwasm.dispatch_http_call(CLUSTER, REQUEST, timeout_ms=5000, callback=self.on_answer)
        return Action.PAUSE

    def on_answer(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        self.pending -= 1
        if self.pending:
            pwasm.log_info("pending dispatched requests: %d", self.pending)
            return
        self.response.headers["total-dispatched"] = str(CALLS)
        pwasm.log_info("response resumed after processed %d dispatched request", CALLS)
        pwasm.resume_http_response()


pwasm.set_http_context(MultipleDispatches)
