"""Options that a class of HTTP contexts declares: whole bodies, edited bodies, the snapshot of the request headers.

    buffer_request_body = True     on_http_request_body is called once, with the whole body
    edits_request_body = True      content-length is removed, so that the body may change its size
    snapshot_request_headers       self.request.headers stays readable after the request was sent upstream

A class without such declarations has no traits (`traits_of` returns None), which costs its streams one test per
callback.

Rules, from docs/abi.md §0.5, §1.3 and §1.5:

- The host never corrects `content-length`. It is removed when the headers callback returns (or the filter resumes),
  the last moment when the headers can be changed; the message is then sent chunked.
- A body ends with `end_of_stream` or with trailers; a request with trailers never has the former.
- A request body over the limit is answered with 413, already at its headers if `content-length` exceeds the limit. A
  response body over the limit is answered with 500 while its headers are held, and cut off afterwards. From then on
  only the stream's last callback is called, as after a failure.
"""

from __future__ import annotations

from types import CoroutineType

from .._abi import Action, Status
from .._typing import Any, Final
from . import upgrades
from .current import current
from .guards import select_stream
from .holding import (
    BODY_SEEN,
    BODY_SHOWN,
    HEADERS_HELD,
    HEADERS_PAUSED,
    IN_HAND,
    LENGTH_REMOVED,
    TOO_LARGE,
    UPGRADE_ASKED,
    begin,
    buffer_size,
    held_of,
    is_held,
    is_over,
    refuse,
    take,
    take_snapshot,
)
from .records import Phase, Stream
from .registration import MESSAGES, Traits

TRACEBACK_STARTS_BELOW = True  # see `report`

CONTENT_LENGTH: Final = "content-length"


# --- while a stream runs ------------------------------------------------------------------------------------------


def call(stream: Stream, phase: Phase, *args: int) -> object:
    """Run a callback of a stream that has traits, or holds or awaits something; returns its unchecked action, or its
    coroutine."""
    # Of the host's callbacks, not for a part that was recorded.
    if (stream.waiting is not None or stream.marks & IN_HAND) and current.phase is phase:
        given = _arrives(stream, phase, args)
        if given is None:
            return Action.PAUSE
        args = given
    return _call(stream, phase, args)


def _arrives(stream: Stream, phase: Phase, args: tuple[int, ...]) -> tuple[int, ...] | None:
    """The arguments of a callback for a part that the host passes; None if the part has to wait."""
    direction = phase.direction
    if direction < 0 or is_over(stream, direction):
        return args
    waiting = stream.waiting
    if phase.part != "headers" and direction in MESSAGES and stream.marks & HEADERS_HELD << direction:
        stream.root.option_seen = True
    awaited = waiting is not None and waiting.held & 1 << direction
    paused = direction in MESSAGES and stream.marks & HEADERS_PAUSED << direction
    held = held_of(stream, direction)
    if held is not None and phase.part == "body":
        if args[0]:
            take(stream, direction, later=bool(awaited))
        if stream.skip:
            return None
        args = (held.shown_size, *args[1:])
    if awaited or paused:
        begin(stream).keep(phase, args)
        return None
    return args


def _call(stream: Stream, phase: Phase, args: tuple[int, ...]) -> object:
    method = getattr(stream.context, phase.method)
    traits = stream.traits
    if traits is None or phase.direction not in MESSAGES:
        return method(*args)
    if phase.part == "headers":
        return _headers(stream, phase.direction, traits, method, args)
    upgrading = stream.marks & UPGRADE_ASKED
    decided = upgrades.decides(stream, phase, traits) if upgrading else None
    if decided is not None:
        return decided
    if not traits.buffers[phase.direction] or (upgrading and upgrades.has_no_end(stream, phase.direction)):
        stream.marks |= BODY_SHOWN << phase.direction
        return method(*args)
    if phase.part == "body":
        return _body(stream, phase, traits, args[0], bool(args[1]))
    return _trailers(stream, phase, traits, method, args)


def _headers(stream: Stream, direction: int, traits: Traits, method: Any, args: tuple[int, ...]) -> object:
    with_body = not args[1]
    too_large = with_body and traits.buffers[direction] and _announced(direction) > traits.max_body_bytes
    if not with_body:
        stream.marks |= BODY_SEEN << direction
    if too_large and not stream.local_response:
        refuse(stream, direction, TOO_LARGE)
        return Action.PAUSE
    if with_body and upgrades.begins(stream, direction, traits):
        return Action.PAUSE
    action: object = method(*args)
    if type(action) is CoroutineType:
        return action  # `tasks` calls leave_headers when it ends
    if current.stream is not stream:  # the filter has selected another one
        current.host.proxy_set_effective_context(stream.id)
        select_stream(stream)
    leave_headers(stream, direction)
    return action


def leave_headers(stream: Stream, direction: int) -> None:
    """The filter lets the headers of this direction pass: remove content-length, take the snapshot."""
    traits = stream.traits
    if traits is None or is_over(stream, direction) or stream.resumed & 1 << direction:
        return
    bit = LENGTH_REMOVED << direction
    has_body = not stream.marks & BODY_SEEN << direction
    if traits.edits[direction] and has_body and not stream.marks & bit:
        stream.marks |= bit
        current.host.proxy_remove_header_map_value(2 * direction, CONTENT_LENGTH)
    take_snapshot(stream, direction)


def _announced(direction: int) -> int:
    """The value of `content-length`; 0 if it is missing or not a number."""
    status, value = current.host.proxy_get_header_map_value(2 * direction, CONTENT_LENGTH)
    return int(value) if status == Status.OK and value.isdigit() and len(value) < 20 else 0


def _body(stream: Stream, phase: Phase, traits: Traits, size: int, end_of_stream: bool) -> object:
    direction = phase.direction
    if stream.marks & BODY_SEEN << direction:
        # The filter has seen the body: what the host may still pass (an empty last part) is no new body.
        return Action.PAUSE if is_held(stream, direction) else Action.CONTINUE
    if size > traits.max_body_bytes and not stream.local_response:
        refuse(stream, direction, TOO_LARGE)
        return Action.PAUSE
    if not end_of_stream:
        return Action.PAUSE
    return _deliver(stream, phase.method, direction, size)


def _deliver(stream: Stream, method: str, direction: int, size: int) -> object:
    stream.marks |= (BODY_SEEN | BODY_SHOWN) << direction
    return getattr(stream.context, method)(size, True)


def _trailers(stream: Stream, phase: Phase, traits: Traits, method: Any, args: tuple[int, ...]) -> object:
    direction = phase.direction
    if stream.marks & BODY_SEEN << direction:
        return method(*args)
    size = buffer_size(stream, direction)
    if size > traits.max_body_bytes and not stream.local_response:
        refuse(stream, direction, TOO_LARGE)
        return Action.PAUSE
    action = _deliver(stream, f"on_http_{MESSAGES[direction]}_body", direction, size)
    if type(action) is CoroutineType:
        return _body_then_trailers(stream, direction, action, method, args)
    if is_over(stream, direction):
        return action
    of_trailers: object = method(*args)
    if type(of_trailers) is CoroutineType and action is not None and action is not Action.CONTINUE:
        return _body_then_trailers(stream, direction, action, method, args, of_trailers)
    return of_trailers if action is None or action is Action.CONTINUE else action


async def _body_then_trailers(
    stream: Stream, direction: int, action: Any, method: Any, args: tuple[int, ...], of_trailers: Any = None
) -> object:
    """Run the callbacks of a whole body and of the trailers after it, if one of the two is `async def`."""
    if type(action) is CoroutineType:
        action = await action
    if is_over(stream, direction):
        return action
    of_trailers = method(*args) if of_trailers is None else of_trailers
    if type(of_trailers) is CoroutineType:
        of_trailers = await of_trailers
    return of_trailers if action is None or action is Action.CONTINUE else action
