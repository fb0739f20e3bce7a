"""The hostcalls that answer, close or resume a stream, each in one place, with the record of what the host will do.

The host executes them when the running callback has returned, in their order. `guards` says which are permitted.
"""

from __future__ import annotations

from .._abi import Status, StreamType
from .._typing import NamedTuple
from .current import current
from .guards import RESUMED, failed, permits, state_of
from .in_vm import HELD_STREAMS
from .phases import DOWNSTREAM
from .records import Queued, Stream
from .registration import MESSAGES


class Response(NamedTuple):
    """A local response on the SDK's own account."""

    status: int
    details: str
    body: bytes = b""
    grpc_status: int = -1


def answer(stream: Stream, response: Response, headers: bytes = b"") -> int:
    """Send a local response; returns the host's status."""
    status_code, details, body, grpc_status = response
    status = current.host.proxy_send_local_response(status_code, details, body, headers, grpc_status)
    if status == Status.OK:
        stream.local_response = True
        _is_queued(stream)
    return status


def close(stream: Stream, direction: int) -> int:
    """Close a stream, or one of the two connections of a TCP stream; returns the host's status."""
    status = current.host.proxy_close_stream(direction)
    if status == Status.OK:
        if stream.http and direction in MESSAGES:
            stream.closed = True
            _is_queued(stream)
        elif direction == DOWNSTREAM:
            holds_no_more(stream, DOWNSTREAM)  # what is held of it is gone
    return status


def resume(stream: Stream, direction: int) -> None:
    """Resume a direction that the host holds.

    Raises:
        HostcallError: the host refused.
    """
    status = current.host.proxy_continue_stream(direction)
    if status:
        raise failed(status, "proxy_continue_stream", StreamType(direction).name)
    holds_no_more(stream, direction)
    _is_queued(stream)


def hold(stream: Stream, direction: int) -> None:
    """Note that the host holds a direction: the callback returns PAUSE."""
    if not stream.paused:
        stream.root.vm.add(HELD_STREAMS)
    stream.paused |= 1 << direction


def holds_no_more(stream: Stream, direction: int) -> None:
    """Note that the host no longer holds a direction."""
    if stream.paused:
        stream.paused &= ~(1 << direction)
        if not stream.paused:
            stream.root.vm.add(HELD_STREAMS, -1)


def _is_queued(stream: Stream) -> None:
    """Note that the host will act on the stream when the running callback has returned."""
    if current.queued is None:
        current.queued = Queued()
    current.queued.add(stream)


def refuse(stream: Stream, response: Response | None, direction: int) -> bool:
    """Answer a stream on the SDK's own account, or close it if there is no response; False if it must be tried again.

    It must if the host refused, or if the stream was resumed in this callback: it may be over when that has returned.
    """
    if not permits(stream, "answer"):
        return state_of(stream) != RESUMED
    if response is not None:
        return answer(stream, response) == Status.OK
    stream.closed = close(stream, direction) == Status.OK
    return stream.closed
