"""Requests that ask for another protocol: WebSockets, CONNECT.

After the upgrade the "bodies" of both messages are the two directions of a connection, which have no end, so they can
neither be buffered nor be read as what the content type says. `HttpContext.upgrades` is the class's choice. What counts
as an upgrade is what upstream has agreed to: 101, or 2xx for CONNECT (RFC 9110 § 7.8 and § 9.3.6). Before that a client
has nothing to send, so with "pass" the request's bytes are held until then: who sends `upgrade` to slip past a filter
that inspects bodies gets no byte upstream, and the answer of an upstream that ignores the field is inspected.

Envoy shows HTTP/2's extended CONNECT (RFC 8441) to filters in the form of HTTP/1.1, with `upgrade` and status 101.
"""

from __future__ import annotations

from .._abi import Action, MapType, Status
from .acts import Response, refuse, resume
from .current import current
from .holding import let_go_outside
from .marks import CONNECT_ASKED, UPGRADE_ASKED, UPGRADED
from .phases import REQUEST, RESPONSE
from .records import Stream
from .registration import Traits

_REFUSED = Response(403, "pwasm_upgrade_refused", b"this filter inspects bodies and refuses protocol upgrades\n")


def begins(stream: Stream, direction: int, traits: Traits) -> bool:
    """Note the upgrade for which these headers ask, or to which they agree; True if the request was refused."""
    if direction == RESPONSE:
        if stream.marks & UPGRADE_ASKED and _agreed(stream):
            stream.marks |= UPGRADED
            _let_request_go(stream)
        return False
    if traits.upgrade == "stream" and not any(traits.buffers):
        return False
    asked = _asked()
    stream.marks |= asked
    if not asked:
        return False
    if traits.upgrade != "refuse" or stream.local_response:
        return False
    stream.skip = True
    stream.refuse = not refuse(stream, _REFUSED, REQUEST)
    return True


def decides(stream: Stream, direction: int, traits: Traits, size: int) -> Action | None:
    """The action for a part of the body without any callback, or None if the callback decides."""
    if traits.upgrade != "pass":
        return None
    if stream.marks & UPGRADED:
        return Action.CONTINUE
    if direction == RESPONSE:
        return None
    # Envoy passes an empty part at once. To hold that would mean to let all others go on at ticks (`_async.release`).
    return Action.PAUSE if size else Action.CONTINUE


def has_no_end(stream: Stream, direction: int) -> bool:
    """Whether a message is, or asks to be, a direction of a connection."""
    return bool(stream.marks & UPGRADED or (direction == REQUEST and stream.marks & UPGRADE_ASKED))


def _asked() -> int:
    """The marks for what the request headers ask."""
    get = current.host.proxy_get_header_map_value
    if get(MapType.HTTP_REQUEST_HEADERS, "upgrade")[0] == Status.OK:
        return UPGRADE_ASKED
    return UPGRADE_ASKED | CONNECT_ASKED if get(MapType.HTTP_REQUEST_HEADERS, ":method")[1] == b"CONNECT" else 0


def _agreed(stream: Stream) -> bool:
    status = current.host.proxy_get_header_map_value(MapType.HTTP_RESPONSE_HEADERS, ":status")[1]
    return status == b"101" or (bool(stream.marks & CONNECT_ASKED) and status[:1] == b"2")


def _let_request_go(stream: Stream) -> None:
    if stream.paused & 1 << REQUEST:
        let_go_outside(stream, REQUEST)
        resume(stream, REQUEST)
