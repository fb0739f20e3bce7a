"""What the filters of a stream have in common: the messages, and the ways to end them early."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .base import Part
from .chain import Chain, Link
from .headers import Headers
from .local import LocalResponse

Place: TypeAlias = Callable[[Chain], Link]
"""Makes the link of a filter in a chain of a stream."""


class Exchange:
    """A request and its response, whatever filters they pass."""

    host: Part
    chains: list[Chain]
    """The request and the response on their way."""

    def __init__(self) -> None:
        self.request_headers = Headers()
        self.request_trailers: Headers | None = None
        self.request_body = b""
        """The body that upstream has received so far."""
        self.request_rest = b""
        """What upstream received on the same HTTP/1 connection after the request's end."""
        self.request_size = 0
        self.upstream_began = False
        """Whether upstream received the request's headers."""
        self.upstream_called = False
        """Whether upstream received the whole request."""
        self.has_body = False
        """Whether the request's headers left without being the end."""
        self.unanswered = ""
        """Why upstream does not answer, if it waits for more of the request than the filters let pass."""
        self.status: int | None = None
        """The status that the client received; None while there is none, or if the stream was closed."""
        self.headers = Headers()
        self.body = b""
        self.trailers: Headers | None = None
        self.local_response: LocalResponse | None = None
        self.closed = False
        """Whether the stream was reset: the client got no response, or only part of one."""
        self.details: str | None = None
        """`response.code_details`; None while Envoy has none."""

    @property
    def answered_locally(self) -> bool:
        """Whether a filter, or Envoy, has sent a local response."""
        return self.local_response is not None

    def reply_locally(self, local: LocalResponse) -> None:
        """Send a response that Envoy generates (docs/abi.md §1.16)."""
        raise NotImplementedError

    def reset(self) -> None:
        """A plugin closes the stream."""
        raise NotImplementedError

    def logged_map(self, map_type: int) -> Headers | None:
        """A map as on_log sees it."""
        raise NotImplementedError
