"""The bits of `Stream.marks`: what has happened to a stream's messages. The shim knows some of them (streams.c)."""

from __future__ import annotations

from .._typing import Final

# Of one message: shifted by the direction, 0 or 1.
LENGTH_LEFT: Final = 1 << 0  # content-length was removed or looked for, when the headers left
BODY_SEEN: Final = 1 << 2  # a whole body was delivered or refused, or there is none
HEADERS_PAUSED: Final = 1 << 4  # by the filter, or by its coroutine: the body must wait
HEADERS_HELD: Final = 1 << 6  # by the SDK, until the body has been decided
BODY_SHOWN: Final = 1 << 8  # a body callback has run
EARLY: Final = 1 << 10  # a whole body was delivered before its end: content-length tells that nothing follows
NO_LENGTH: Final = 1 << 12  # the message has no content-length: it was removed, or there never was one
RESUMED_OUTSIDE: Final = 1 << 14  # a body that was paused goes on, since a resume outside of its callbacks
HEADERS_RESUMED: Final = 1 << 20  # headers that kept the body away were resumed outside of their callback

# Of the stream.
UPGRADE_ASKED: Final = 1 << 16
UPGRADED: Final = 1 << 17
CONNECT_ASKED: Final = 1 << 18
OWN_RESPONSE: Final = 1 << 19  # the response is the filter's local response, which passes its response callbacks

NEEDS_CARE: Final = (HEADERS_PAUSED | RESUMED_OUTSIDE) * 0b11
"""What keeps a stream without traits from the fast path: of either message."""
