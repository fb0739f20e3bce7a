"""Asks a service about each request, in the trace of the request."""

import pwasm
from pwasm import aio


class Traced(pwasm.HttpContext):
    passes_trace_context = True

    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        headers = [(":method", "GET"), (":path", "/"), (":authority", "service")]
        await aio.dispatch_http_call("service", headers)


pwasm.set_http_context(Traced)
