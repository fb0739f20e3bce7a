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

from collections.abc import Callable
from types import CoroutineType

from .._abi import Action, Status
from .._typing import Any, Final
from .._validate import CONTENT_LENGTH
from . import upgrades
from .current import current
from .guards import act_on
from .holding import (
    TOO_LARGE,
    TOO_LONG,
    TRAILERS,
    begin,
    buffer_size,
    held_of,
    is_held,
    is_over,
    refuse,
    take,
    take_snapshot,
    trailers_cannot_wait,
)
from .marks import BODY_SEEN, BODY_SHOWN, EARLY, HEADERS_HELD, HEADERS_PAUSED, LENGTH_LEFT, NO_LENGTH, UPGRADE_ASKED
from .phases import REQUEST, RESPONSE
from .records import Phase, Stream
from .registration import MESSAGES, Traits

TRACEBACK_STARTS_BELOW = True  # see `report`


# --- while a stream runs ------------------------------------------------------------------------------------------


def call(stream: Stream, phase: Phase, *args: int) -> object:
    """Run a callback of a stream that has traits, or holds or awaits something, also for a part that was recorded.

    Returns:
        The unchecked action of the callback, or its coroutine.
    """
    method = getattr(stream.context, phase.method)
    if stream.traits is None or phase.direction not in MESSAGES or not phase.part:
        return method(*args)
    return CALLS[phase.part](stream, phase, method, *args)


def arrives(stream: Stream, phase: Phase, args: tuple[int, ...]) -> tuple[int, ...] | None:
    """The arguments of a callback for a part that the host passes; None if the part has to wait, or was refused."""
    direction = phase.direction
    if direction < 0 or is_over(stream, direction):
        return args
    message = direction in MESSAGES
    if message and phase.part != "headers" and stream.marks & HEADERS_HELD << direction:
        stream.root.option_seen = True
    waiting = stream.waiting
    if waiting is not None and waiting.held & 1 << direction:
        waiting.overtake(direction)
    awaited = waiting is not None and waiting.held & 1 << direction
    held = held_of(stream, direction)
    early = held is not None and message and stream.marks & EARLY << direction
    if held is not None and phase.part == "body":
        if args[0] and early:
            refuse(stream, direction, TOO_LONG)
        elif args[0]:
            take(stream, direction, later=bool(awaited))
        if early or stream.skip:
            return None  # only the end of a body that the filter has seen and holds
        args = (held.shown_size, *args[1:])
    # The filter holds a body that it has seen whole: its trailers wait, too.
    if awaited or early or (message and stream.marks & HEADERS_PAUSED << direction):
        if phase.part == "trailers" and trailers_cannot_wait(stream, direction):
            refuse(stream, direction, TRAILERS)
            return None
        begin(stream).keep(phase, args)
        return None
    return args


def headers(stream: Stream, phase: Phase, method: Any, count: int, end_of_stream: int) -> object:
    """Call a headers callback, after a look at what the headers announce."""
    direction = phase.direction
    traits: Traits = stream.traits  # type: ignore[assignment]  # the caller has checked it
    if not traits.at_headers[direction]:
        return method(count, end_of_stream)
    if end_of_stream:
        stream.marks |= BODY_SEEN << direction
    elif _announces(stream, direction, traits) and not _admits(stream, direction, traits):
        return Action.PAUSE
    try:
        action: object = method(count, end_of_stream)
    except BaseException:  # with on_error = "fail_open" the headers leave all the same
        _leave(stream, direction)
        raise
    if type(action) is CoroutineType:
        return action  # `tasks` calls leave_headers when it ends
    _leave(stream, direction)
    return action


def _leave(stream: Stream, direction: int) -> None:
    _select_again(stream)
    leave_headers(stream, direction)


def _select_again(stream: Stream) -> None:
    """One callback has run, and what follows is another one: it begins with its own stream selected."""
    if current.stream is not stream:
        act_on(stream)


def _announces(stream: Stream, direction: int, traits: Traits) -> bool:
    """Whether it matters what the headers say about the body."""
    if traits.buffers[direction]:
        return True
    if direction == RESPONSE:
        return bool(stream.marks & UPGRADE_ASKED)
    return traits.upgrade != "stream" or traits.buffers[RESPONSE]


def _admits(stream: Stream, direction: int, traits: Traits) -> bool:
    """Note the length of the body and the upgrade that the headers announce; False if the message was refused.

    With a length there is a body, so what follows an upgrade counts as more than that: see `TOO_LONG`.
    """
    length = _announced(direction)
    if length > traits.max_body_bytes and traits.buffers[direction] and not stream.local_response:
        refuse(stream, direction, TOO_LARGE)
        return False
    if direction == RESPONSE:
        stream.response_length = length
    else:
        stream.request_length = length
    return bool(length) or not upgrades.begins(stream, direction, traits)


def leave_headers(stream: Stream, direction: int) -> None:
    """The filter lets the headers of this direction pass: remove content-length, take the snapshot."""
    traits = stream.traits
    if traits is None or stream.resumed & 1 << direction:
        return
    if (stream.local_response or stream.closed or stream.skip) and is_over(stream, direction):
        return
    if traits.edits[direction] or traits.watches[direction]:
        _leave_length(stream, direction, traits)
    if traits.snapshot and direction == REQUEST:
        held = traits.hold[direction] and not stream.marks & (BODY_SEEN << direction | UPGRADE_ASKED)
        if not held or stream.root.option_seen is False:
            take_snapshot(stream, direction)


def _leave_length(stream: Stream, direction: int, traits: Traits) -> None:
    """Remove `content-length` if the body may change, or note whether there is one."""
    marks, host = stream.marks, current.host
    if marks & (LENGTH_LEFT | NO_LENGTH) << direction:
        return
    edits, has_body = traits.edits[direction], not marks & BODY_SEEN << direction
    stream.marks = marks | LENGTH_LEFT << direction
    if not (edits and has_body):
        if not edits and not has_body:
            return
        status, value = host.proxy_get_header_map_value(2 * direction, CONTENT_LENGTH)
        if status == Status.NOT_FOUND:
            stream.marks |= NO_LENGTH << direction
        # In a response to HEAD, or a 304, it would announce the body that this filter changes (RFC 9110 § 8.6).
        if status or not edits or direction == REQUEST or value == b"0":
            return
    host.proxy_remove_header_map_value(2 * direction, CONTENT_LENGTH)
    stream.marks |= NO_LENGTH << direction


def _announced(direction: int) -> int:
    """The value of `content-length`; 0 if it is missing or not a number."""
    status, value = current.host.proxy_get_header_map_value(2 * direction, CONTENT_LENGTH)
    return int(value) if status == Status.OK and value.isdigit() and len(value) < 20 else 0


def body(stream: Stream, phase: Phase, method: Any, size: int, end_of_stream: int) -> object:
    """Call a body callback, for a buffered body once it is whole."""
    direction = phase.direction
    traits: Traits = stream.traits  # type: ignore[assignment]  # the caller has checked it
    marks = stream.marks
    if marks & UPGRADE_ASKED:
        decided = upgrades.decides(stream, direction, traits, size)
        if decided is not None:
            return decided
    if not traits.buffers[direction] or (marks & UPGRADE_ASKED and upgrades.has_no_end(stream, direction)):
        stream.marks = marks | BODY_SHOWN << direction
        return method(size, end_of_stream)
    if marks & BODY_SEEN << direction:
        return _after_the_body(stream, direction, size)
    if size > traits.max_body_bytes and not stream.local_response:
        refuse(stream, direction, TOO_LARGE)
        return Action.PAUSE
    if not end_of_stream:
        # Envoy's codecs see to it that a body has the length that its headers announce, and tell its end separately.
        length = stream.response_length if direction else stream.request_length
        if size != length or not length or not traits.early:
            return Action.PAUSE
        marks |= EARLY << direction
    stream.marks = marks | (BODY_SEEN | BODY_SHOWN) << direction
    return method(size, True)


def _after_the_body(stream: Stream, direction: int, size: int) -> Action:
    """The filter has seen the whole body. An empty last part is no new one; more bytes are not what was announced."""
    if is_held(stream, direction):
        return Action.PAUSE
    if not size:
        return Action.CONTINUE
    refuse(stream, direction, TOO_LONG)
    return Action.PAUSE


def trailers(stream: Stream, phase: Phase, method: Any, count: int) -> object:
    """Call a trailers callback, after the body callback for a buffered body that ends with them."""
    direction = phase.direction
    traits: Traits = stream.traits  # type: ignore[assignment]  # the caller has checked it
    if not traits.buffers[direction] or stream.marks & BODY_SEEN << direction:
        return method(count)
    size = buffer_size(stream, direction)
    if size > traits.max_body_bytes and not stream.local_response:
        refuse(stream, direction, TOO_LARGE)
        return Action.PAUSE
    stream.marks |= (BODY_SEEN | BODY_SHOWN) << direction
    action = getattr(stream.context, f"on_http_{MESSAGES[direction]}_body")(size, True)
    if type(action) is CoroutineType:
        return _body_then_trailers(stream, direction, action, method, count)
    if is_over(stream, direction):
        return action
    _select_again(stream)
    of_trailers: object = method(count)
    if type(of_trailers) is CoroutineType and action is not None and action is not Action.CONTINUE:
        return _body_then_trailers(stream, direction, action, method, count, of_trailers)
    return of_trailers if action is None or action is Action.CONTINUE else action


CALLS: Final[dict[str, Callable[..., object]]] = {"headers": headers, "body": body, "trailers": trailers}
"""How to call the method of a stream that has traits, by the part of the message."""


async def _body_then_trailers(
    stream: Stream, direction: int, action: Any, method: Any, count: int, of_trailers: Any = None
) -> object:
    """Run the callbacks of a whole body and of the trailers after it, if one of the two is `async def`."""
    if type(action) is CoroutineType:
        action = await action
    if is_over(stream, direction):
        return action
    _select_again(stream)
    of_trailers = method(count) if of_trailers is None else of_trailers
    if type(of_trailers) is CoroutineType:
        of_trailers = await of_trailers
    return of_trailers if action is None or action is Action.CONTINUE else action
