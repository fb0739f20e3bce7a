"""Holds requests for a minute, if their path says so."""

import pwasm
from pwasm import aio


class Held(pwasm.HttpContext):
    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        if pwasm.get_http_request_header(":path") == "/held":
            await aio.sleep(60)

    def on_http_request_trailers(self, num_trailers: int) -> None:
        """Replaced by a trap in the test."""


pwasm.set_http_context(Held)
