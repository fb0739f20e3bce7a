"""hello_world: adds the header `x-wasm-custom: FOO` to each response."""

import pwasm
from pwasm import Action, HttpContext


class AddHeader(HttpContext):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.log_info("adding the header")
        try:
            pwasm.add_http_response_header("x-wasm-custom", "FOO")
        except pwasm.HostcallError as error:
            pwasm.log_critical("failed to add the header: %s", error)
            # As in the tutorial. Nothing resumes this response, so the client waits until it gives up. To answer the
            # request, call pwasm.send_http_response(500) first, or do not catch the exception, with the same result.
            return Action.PAUSE
        return Action.CONTINUE


pwasm.set_http_context(AddHeader)
