"""A buffered body that ends with trailers: two callbacks in one of the host's, each with its own stream selected."""

from __future__ import annotations

import pytest

import pwasm
from pwasm import Action
from pwasm.testing import HostEmulator


class Looks(pwasm.HttpContext):
    """Its body callback looks at another stream, and its trailers callback refuses the request."""

    buffer_request_body = True
    other = 0

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if pwasm.get_http_request_header(":authority") == "a.org":
            Looks.other = self.context_id
            return Action.PAUSE
        return Action.CONTINUE

    def look(self) -> None:
        pwasm.set_effective_context(Looks.other)
        assert pwasm.get_http_request_header(":authority") == "a.org"

    def on_http_request_body(self, size: int, end_of_stream: bool) -> None:
        self.look()

    def on_http_request_trailers(self, num_trailers: int) -> Action:
        pwasm.send_http_response(403)
        return Action.PAUSE


class LooksLater(Looks):
    async def on_http_request_body(self, size: int, end_of_stream: bool) -> None:  # type: ignore[override]
        self.look()


@pytest.mark.parametrize("kind", [Looks, LooksLater])
def test_the_trailers_callback_acts_on_its_own_stream(kind: type[pwasm.HttpContext]) -> None:
    host = HostEmulator(kind)
    other = host.begin("GET", "/", {":authority": "a.org"}, end_of_stream=True)
    mine = host.request("POST", "/", {":authority": "b.org"}, body=b"abc", trailers=[("x", "1")])
    assert (other.paused, other.local_response) == ("request", None)
    assert mine.local_response is not None
    assert mine.local_response.status == 403
