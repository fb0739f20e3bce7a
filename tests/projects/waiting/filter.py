"""A neighbour: asks the cluster "gate" before a request passes, and refuses what that refuses."""

import pwasm
from pwasm import Action


class Waiting(pwasm.HttpContext):
    """Pauses at the headers."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = [(":method", "GET"), (":path", "/"), (":authority", "gate")]
        pwasm.dispatch_http_call("gate", headers, timeout_ms=5000, callback=self.on_answer)
        return Action.PAUSE

    def on_answer(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        status = dict(pwasm.get_http_call_response_headers())[":status"]
        if status == "200":
            pwasm.resume_http_request()
        else:
            pwasm.send_http_response(int(status))


pwasm.set_http_context(Waiting)
