"""A filter that lets everything pass and logs it: what a chain shows to a filter that holds nothing."""

import pwasm


class Passing(pwasm.HttpContext):
    """Logs each callback."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.log_info("request")

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> None:
        self._log("request", pwasm.get_http_request_body(0, body_size), end_of_stream)

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.log_info("response " + (pwasm.get_http_response_header(":status") or ""))

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> None:
        self._log("response", pwasm.get_http_response_body(0, body_size), end_of_stream)

    def _log(self, which: str, data: bytes, end_of_stream: bool) -> None:
        if data:
            pwasm.log_info(f"{which} {data.decode()}")
        if end_of_stream:
            pwasm.log_info(f"{which} end")


pwasm.set_http_context(Passing)
