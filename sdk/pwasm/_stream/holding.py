"""Holding a message so that nothing of it passes the filter, whatever else is in the chain.

PAUSE in a body callback does not hold: Envoy's buffered body belongs to all filters, and any of them that continues
releases it (docs/abi.md §6). There are two ways to hold all the same, and the configuration decides which:

    mode      the host has                                 what holds
    ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
    headers   allow_on_headers_stop_iteration: true, and   PAUSE in the headers callback until the body has been
              PWASM_HOLD_HEADERS=1 in the VM's             decided: no later filter has the stream, and the bytes may
              environment                                  stay in Envoy. For classes that buffer a body, or declare
                                                           `holds_request_headers` or `holds_response_headers`
    drain     neither                                      the module takes the bytes out of the host's buffer, and puts
                                                           them back in the callback that lets them pass

Draining cannot hold the *end* of a message: if a callback returns PAUSE at the end, or awaits there, another filter's
continue gives upstream a finished message without the bytes. And the headers have left before the body is decided.

The two settings must come together. The variable alone would make the module wait for body callbacks that never come
(see `_async.missing_option`), so the mode is never guessed: what writes the option also writes the variable.

What of a body has gone on may still be in Envoy's buffer, if a later filter holds it, and PAUSE would mix it with what
arrives next: the buffer is shown whole from then on. Once a part has gone on, PAUSE therefore takes the bytes out and
lets nothing go on, which for the host is CONTINUE; the bytes go on with a later part, or with the end. In trailers that
is too late: the stream is refused. A class whose callback is `async def` never says CONTINUE before the end (see
`_async.release`), so that it can let pass a part between two callbacks.

PAUSE in a headers callback, while it lasts, keeps the body callbacks away, as Envoy does without the option; with the
option it is this file that answers PAUSE to the body, or a request whose authorization is pending would pass with it.
"""

from __future__ import annotations

from .._abi import Action, MapType, Status
from .._typing import Final, NamedTuple
from . import acts
from .acts import Response
from .current import current
from .guards import failed
from .held import Held
from .in_vm import REFUSED
from .marks import (
    BODY_SEEN,
    BODY_SHOWN,
    EARLY,
    HEADERS_HELD,
    HEADERS_PAUSED,
    HEADERS_RESUMED,
    NEEDS_CARE,
    OWN_RESPONSE,
    RESUMED_OUTSIDE,
    UPGRADE_ASKED,
    UPGRADED,
)
from .phases import REQUEST, RESPONSE, UPSTREAM
from .records import Phase, Stream, Waiting
from .registration import MESSAGES, NOTHING

CONTINUE, PAUSE = int(Action.CONTINUE), int(Action.PAUSE)
ALL_BYTES: Final = 2**31 - 1

_DEFAULT_LIMIT = 1024 * 1024
_GRPC_RESOURCE_EXHAUSTED = 8


class Refusal(NamedTuple):
    """The answer to a message that cannot be held, or let go as it should be."""

    request_status: int
    response_status: int
    details: str
    text: str


TOO_LARGE: Final = Refusal(413, 500, "pwasm_{}_body_too_large", "the {} body is larger than {} bytes\n")
TOO_LONG: Final = Refusal(400, 502, "pwasm_{}_body_too_long", "the {} body is longer than its content-length\n")
HELD_BY_ANOTHER: Final = Refusal(
    500, 502, "pwasm_{}_body_held_twice", "another filter still holds a part of the {} body\n"
)
TRAILERS: Final = Refusal(
    500, 500, "pwasm_{}_trailers_not_held", "a {} with trailers cannot be held after its headers have left\n"
)
NOT_HELD: Final = Refusal(500, 500, "pwasm_headers_not_held", "the proxy does not hold headers\n")
VM_IS_FULL: Final = Refusal(503, 503, "pwasm_held_bytes_limit", "the proxy holds too many bodies; try again later\n")


def begin(stream: Stream) -> Waiting:
    """The record of what waits; from now on the dispatcher leaves its fast path."""
    if stream.traits is None:
        stream.traits = NOTHING
    if stream.waiting is None:
        stream.waiting = Waiting()
    return stream.waiting


def tidy(stream: Stream) -> None:
    """Drop `Stream.waiting` once nothing is left in it."""
    if stream.waiting is not None and stream.waiting.idle:
        stream.waiting = None
    if stream.waiting is None and stream.traits is NOTHING and not stream.marks & NEEDS_CARE:
        stream.traits = None


def is_over(stream: Stream, direction: int) -> bool:
    """Whether nothing that the filter decides about this direction has an effect any more."""
    own = direction == RESPONSE and stream.marks & OWN_RESPONSE
    return stream.ended or stream.closed or stream.skip or (stream.local_response and not own)


def held_of(stream: Stream, direction: int) -> Held | None:
    """The bytes of a direction that the module holds."""
    return None if stream.waiting is None else stream.waiting.bytes.get(direction)


def headers_in_hand(stream: Stream, direction: int) -> bool:
    """Whether the headers have not left: no filter after this one has the stream."""
    return direction in MESSAGES and bool(stream.marks & (HEADERS_PAUSED | HEADERS_HELD) << direction)


def headers_can_change(stream: Stream, direction: int) -> bool:
    """Whether the headers of a message can still be changed, in their own callback or because they are held."""
    phase = current.phase
    own = phase.part == "headers" and phase.direction == direction and phase.origin is None
    return (own and not stream.resumed & 1 << direction) or headers_in_hand(stream, direction)


def has_request_headers(stream: Stream) -> bool:
    """Whether the request has not gone upstream yet, so that its headers may be written and its route selected (K17).

    The host keeps the address of headers that it has held and that a body callback let go. To write them clears the
    route, which Envoy uses when it has a connection to upstream; it does not survive that the new path has no route.
    """
    phase = current.phase
    own = phase.origin is None and phase.direction == REQUEST
    if own and phase.part == "headers":
        return True
    return headers_in_hand(stream, REQUEST) and (own or bool(stream.paused & 1 << REQUEST))


def host_holds(stream: Stream, direction: int) -> bool:
    """Whether PAUSE in a body callback suffices: the headers are in our hands, and nothing can arrive unseen."""
    return headers_in_hand(stream, direction) and not stream.marks & EARLY << direction


def has_begun(stream: Stream, direction: int) -> bool:
    """Whether a part of a message's body has gone on; of a connection nobody asks."""
    return stream.response_begun if direction == RESPONSE else direction == REQUEST and stream.request_begun


def is_held(stream: Stream, direction: int) -> bool:
    """Whether a body is held, in the module or by its headers."""
    return held_of(stream, direction) is not None or bool(stream.marks & HEADERS_HELD << direction)


def buffer_size(stream: Stream, direction: int) -> int:
    """The number of bytes that a body callback would see now."""
    held = held_of(stream, direction)
    return current.host.proxy_get_buffer_status(direction)[1] if held is None else held.shown_size


# --- when a callback has returned -----------------------------------------------------------------------------------


def leave(stream: Stream, phase: Phase, action: int) -> int:
    """Do what the action of a host's callback means for what is held; returns the action for the host."""
    direction = phase.direction
    if direction < 0:
        return action
    if is_over(stream, direction):
        if stream.waiting is not None:
            stream.waiting.forget()
    elif action == CONTINUE:
        action = _goes_on(stream, phase)
    elif phase.part == "headers":
        stream.marks |= HEADERS_PAUSED << direction
        if stream.traits is None:
            stream.traits = NOTHING
    elif phase.part == "body":
        return _holds(stream, phase)
    elif phase.part == "trailers" and trailers_cannot_wait(stream, direction):
        refuse(stream, direction, TRAILERS)
    if action == PAUSE:
        acts.hold(stream, direction)
    return action


def _goes_on(stream: Stream, phase: Phase) -> int:
    direction = phase.direction
    if phase.part == "headers":
        return PAUSE if hold_headers(stream, direction) or stream.skip else CONTINUE
    if phase.part == "trailers" and lost_in_trailers(stream, direction):
        refuse(stream, direction, TRAILERS)
        return PAUSE
    if direction in MESSAGES:
        stream.marks &= ~(RESUMED_OUTSIDE << direction)
        if phase.part == "body" and not stream.last and _has_bytes(stream, direction):  # after the end nobody asks
            stream.request_begun |= direction == REQUEST
            stream.response_begun |= direction == RESPONSE
    let_go(stream, direction)
    return CONTINUE


def _has_bytes(stream: Stream, direction: int) -> bool:
    held = held_of(stream, direction)
    return held.size > 0 if held is not None else buffer_size(stream, direction) > 0


def _holds(stream: Stream, phase: Phase) -> int:
    direction = phase.direction
    if direction == UPSTREAM or host_holds(stream, direction):
        acts.hold(stream, direction)
        return PAUSE
    take(stream, direction)
    if not stream.skip and waits(stream, phase) == CONTINUE:
        put_back(stream, direction, passed=True)
        return CONTINUE
    return PAUSE


def lost_in_trailers(stream: Stream, direction: int) -> bool:
    """Whether Envoy loses the body that is held if the trailers' callback lets it go.

    It does if PAUSE in headers kept body and trailers away, and they come together after the resume: a PAUSE to that
    body has no effect on the trailers behind it (docs/abi.md §6).
    """
    held = held_of(stream, direction)
    return held is not None and held.size > 0 and bool(stream.marks & HEADERS_RESUMED << direction)


def trailers_cannot_wait(stream: Stream, direction: int) -> bool:
    """Whether trailers would be sent twice if another filter had continued by the time of this filter's resume.

    On HTTP/1 that is a second end of a chunked body, which upstream takes for the beginning of the next request.
    Responses with trailers are common, and filters that pause them in front of this one are not, so these may wait.
    """
    return direction == REQUEST and not headers_in_hand(stream, direction)


def waits(stream: Stream, phase: Phase) -> int:
    """The action for a part that has to wait; its bytes have been taken out, or the headers are in our hands."""
    direction = phase.direction
    if has_begun(stream, direction) and phase.part == "body" and not stream.last and not stream.skip:
        return CONTINUE  # with nothing
    acts.hold(stream, direction)
    return PAUSE


def hold_headers(stream: Stream, direction: int) -> bool:
    """Hold the headers, which the filter would let pass, until the body has been decided; False if they may leave."""
    traits = stream.traits
    if traits is None or direction not in MESSAGES or not traits.hold[direction]:
        return False
    upgrade = UPGRADE_ASKED if direction == REQUEST else UPGRADED
    if stream.marks & (BODY_SEEN << direction | upgrade):
        return False
    if stream.root.option_seen is False:
        if traits.holds[direction]:
            refuse(stream, direction, NOT_HELD)
        return False
    stream.marks = stream.marks & ~(HEADERS_PAUSED << direction) | HEADERS_HELD << direction
    return True


def let_go(stream: Stream, direction: int) -> None:
    """A message goes on: put back the bytes that are held; raises like `put_back`."""
    held = held_of(stream, direction)
    if held is not None:
        put_back(stream, direction)
        held.forget_sent()
        assert stream.waiting is not None
        del stream.waiting.bytes[direction]
    if direction in MESSAGES and stream.marks & HEADERS_HELD << direction:
        let_headers_go(stream, direction)
    if stream.traits is not None:
        tidy(stream)


def let_headers_go(stream: Stream, direction: int) -> None:
    """Headers that were held until the body has been decided go on."""
    stream.marks &= ~(HEADERS_HELD << direction)
    take_snapshot(stream, direction)


def let_go_outside(stream: Stream, direction: int) -> None:
    """A message goes on by a resume outside of its callbacks: put back what is held, and remember what it was.

    Raises:
        HostcallError: as in `put_back`.
    """
    message = direction in MESSAGES
    more = message and not stream.last and not stream.marks & BODY_SEEN << direction
    if more and stream.marks & BODY_SHOWN << direction and stream.marks & HEADERS_HELD << direction:
        take(stream, direction)  # what the headers have held so far, if the module does not
    held = held_of(stream, direction)
    if message and (held is not None or stream.marks & BODY_SHOWN << direction):
        stream.marks |= RESUMED_OUTSIDE << direction
    if held is None or not more:
        let_go(stream, direction)
        return
    if direction == REQUEST or not held.sent:
        held.counted = counted(direction)
    data = put_back(stream, direction)
    if held.size + len(data) <= limit_of(stream) and held.vm.size + len(data) <= held.vm.limit:
        held.remember(data)
    else:
        held.forget_sent()  # more than a later filter can hold either
    if stream.marks & HEADERS_HELD << direction:
        let_headers_go(stream, direction)


def put_back(stream: Stream, direction: int, *, passed: bool = False) -> bytes:
    """Append held bytes to the host's buffer: all of them, or only those that callbacks have let pass; returns them.

    Raises:
        HostcallError: the host refused; the bytes are lost, so the message must not go on.
    """
    assert stream.waiting is not None
    held = stream.waiting.bytes[direction]
    data = held.take_passed() if passed else held.release()
    status = current.host.proxy_set_buffer_bytes(direction, ALL_BYTES, 0, data) if data else 0
    if status:
        raise failed(status, "proxy_set_buffer_bytes", direction)
    return data


def take_snapshot(stream: Stream, direction: int) -> None:
    """Keep a copy of the request headers, which are about to leave, if the class wants one."""
    if direction == REQUEST and stream.traits is not None and stream.traits.snapshot:
        status, data = current.host.proxy_get_header_map_pairs(MapType.HTTP_REQUEST_HEADERS)
        if status == Status.OK and data:
            stream.snapshot = data


# --- bytes ----------------------------------------------------------------------------------------------------------


def take(stream: Stream, direction: int, *, later: bool = False) -> None:
    """Move the bytes in the host's buffer into the module, or refuse the message if they are too many.

    Raises:
        HostcallError: the host refused.
    """
    status, data = current.host.proxy_get_buffer_bytes(direction, 0, ALL_BYTES)
    if status:
        raise failed(status, "proxy_get_buffer_bytes", direction)
    held = held_of(stream, direction) or Held(stream.root.vm)
    new = data
    if held.sent and data:
        new = _new(stream, direction, held, data)
        if stream.skip:
            return
    if new and held.size + len(new) > limit_of(stream):
        refuse(stream, direction, TOO_LARGE)
        return
    if new and held.vm.size + len(new) > held.vm.limit:
        refuse(stream, direction, VM_IS_FULL)
        return
    status = current.host.proxy_set_buffer_bytes(direction, 0, ALL_BYTES, b"") if data else 0
    if status:
        raise failed(status, "proxy_set_buffer_bytes", direction)
    if new:
        held.arrived(new, later=later)
    begin(stream).bytes[direction] = held


def _new(stream: Stream, direction: int, held: Held, data: bytes) -> bytes:
    """What of the host's buffer is new: a later filter may hold what has gone on, and then it comes again.

    Envoy 1.40 shows it while a PAUSE is in force, 1.36 always after one. If it may be so, Envoy's counts tell: of the
    bytes that came, for a request, and of those that left, for a response. They do not where another filter changes
    sizes; then the message is refused: to guess wrongly would be to hide bytes from the filter, or to change their
    order.
    """
    sent, now = held.sent, counted(direction)
    counts = now - held.counted  # for a response since all of it went on, for a request since the last part
    if direction == REQUEST:
        held.counted = now
    if not data.startswith(sent):
        return data
    if direction == REQUEST:
        again, gone = counts == len(data) - len(sent), counts == len(data)
    else:
        again, gone = counts == 0, counts == len(sent)
    if again and not gone:
        held.comes_again()
        return data[len(sent) :]
    if not gone and held.size:
        refuse(stream, direction, HELD_BY_ANOTHER)
        return b""
    return data  # nothing is held before it: it is in the right order, and at worst shown once more


def counted(direction: int) -> int:
    """The bytes of a request's body that have come, or of a response's body that have left."""
    size = size_property(b"request\0total_size" if direction == REQUEST else b"response\0size")
    if direction == REQUEST:
        status, headers = current.host.proxy_get_header_map_size(MapType.HTTP_REQUEST_HEADERS)
        size -= headers if status == Status.OK else 0  # they count as long as they have not left
    return size


def size_property(path: bytes) -> int:
    """A size that Envoy has as a property; 0 if it does not."""
    status, value = current.host.proxy_get_property(path)
    return int.from_bytes(value, "little") if status == Status.OK else 0


def limit_of(stream: Stream) -> int:
    """The most bytes of a message that may be held."""
    if stream.traits is not None and stream.traits is not NOTHING:
        return stream.traits.max_body_bytes
    limit = getattr(stream.context, "max_body_bytes", _DEFAULT_LIMIT)
    return limit if isinstance(limit, int) else _DEFAULT_LIMIT


def refuse(stream: Stream, direction: int, why: Refusal) -> None:
    """Refuse a message; a response whose headers have left can only be cut off.

    The response is not the filter's own, so only its last callback is still called, as after a failure.
    """
    if direction in MESSAGES:
        stream.marks |= BODY_SEEN << direction
    stream.skip = True
    if why is VM_IS_FULL:
        stream.root.vm.add(REFUSED)
    begun = direction == RESPONSE and current.phase.part != "headers" and not headers_in_hand(stream, RESPONSE)
    response = None
    if direction in MESSAGES and not begun:
        name = MESSAGES[direction]
        response = Response(
            why.request_status if direction == REQUEST else why.response_status,
            why.details.format(name),
            why.text.format(name, limit_of(stream)).encode(),
            _GRPC_RESOURCE_EXHAUSTED,
        )
    stream.refuse = not acts.refuse(stream, response, direction)
    if stream.waiting is not None:
        stream.waiting.forget()
