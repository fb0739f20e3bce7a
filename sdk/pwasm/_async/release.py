"""Lets a part of a body pass at the next tick, where CONTINUE in its callback would not do.

While a PAUSE in a body callback is in force, the host's buffer has all that this filter and those behind it hold of the
body. Two things follow:

- CONTINUE ends that view, so bytes that a later filter holds would come to light again only with the next PAUSE: mixed
  with new ones, behind those that the module has taken out. A class that may wait for the next piece (`async def`)
  therefore never says CONTINUE to a piece before the end.
- Once the PAUSE has been ended from outside, by a resume in a tick or an answer, CONTINUE in the next callback loses
  that piece in Envoy 1.36 (not in 1.40; docs/abi.md §6).
"""

from __future__ import annotations

from .._stream.acts import hold
from .._stream.holding import begin, has_begun, held_of, is_over, let_go, lost_in_trailers, take
from .._stream.marks import BODY_SEEN, RESUMED_OUTSIDE
from .._stream.phases import RESPONSE
from .._stream.policy import CONTINUE
from .._stream.records import Ended, Phase, Stream, Task
from .._stream.registration import MESSAGES
from .tasks import release
from .timers import Timer


class _Release(Timer):
    """Lets a piece pass at the next tick."""

    __slots__ = ()

    def fire(self) -> None:
        if self.task is not None:
            release(self.task)


def passes_later(stream: Stream, phase: Phase, result: object, *, awaited: bool) -> bool:
    """Let what a callback has let pass go on at the next tick; False if CONTINUE is as good.

    Args:
        result: what the callback has returned.
        awaited: it was a coroutine.
    """
    direction = phase.direction
    if phase.part == "headers" or direction not in MESSAGES or result not in (None, CONTINUE):
        return False
    if is_over(stream, direction):
        return False
    if phase.part == "trailers":
        return direction == RESPONSE and lost_in_trailers(stream, direction) and _schedule(stream, phase)
    if phase.part != "body" or stream.resumed & 1 << direction or _may_go_on(stream, direction, awaited=awaited):
        return False
    take(stream, direction)
    held = held_of(stream, direction)
    if stream.skip or held is None or not held.size:
        return stream.skip
    return _schedule(stream, phase)


def _may_go_on(stream: Stream, direction: int, *, awaited: bool) -> bool:
    """Whether CONTINUE lets this part of a body go on."""
    if stream.marks & RESUMED_OUTSIDE << direction:
        return False
    seen = bool(stream.marks & BODY_SEEN << direction)
    return not awaited or stream.last or has_begun(stream, direction) or seen


def _schedule(stream: Stream, phase: Phase) -> bool:
    """Let what is held go on at the next tick."""
    direction = phase.direction
    if stream.last or phase.part == "trailers":
        let_go(stream, direction)  # nothing follows that would be mixed with it, and the end may go on without us
    waiting = begin(stream)
    waiting.held |= 1 << direction
    hold(stream, direction)
    task = Task(Ended(), stream.root, stream, phase)
    task.holds = True
    waiting.tasks.append(task)
    timer = _Release(0)
    timer.task, task.wait = task, timer
    timer.set(task)
    return True
