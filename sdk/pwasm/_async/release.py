"""Lets pass what an `async def` callback of a body has decided without waiting, a moment later and not in the callback.

While a callback's PAUSE is in force, the host's buffer has all that this filter and those behind it hold of the body. A
CONTINUE in the callback would end that view, so bytes that a later filter holds would come to light again only with the
next PAUSE: mixed with new ones, behind those that the module has taken out. A class that may wait for the next piece
therefore releases every piece in the same way: from outside, at the next event. See `holding`.
"""

from __future__ import annotations

from .._stream.holding import BODY_SEEN, begin, held_of, host_holds, is_over, take
from .._stream.policy import CONTINUE
from .._stream.records import AnyCoroutine, Phase, Stream, Task
from .._stream.registration import MESSAGES
from .._typing import cast
from .tasks import release
from .timers import Timer


class _Ended:
    """In place of a coroutine that has returned."""

    def close(self) -> None:
        """It has nothing to clean up."""


class _Release(Timer):
    """Lets a piece pass at the next tick."""

    __slots__ = ()

    def fire(self) -> None:
        if self.task is not None:
            release(self.task)


def passes_later(stream: Stream, phase: Phase, result: object) -> bool:
    """Take a piece that a coroutine has let pass at once, and release it at the next tick; False if that is not needed.

    At the end, and where the headers are in our hands, CONTINUE is as good.
    """
    direction = phase.direction
    if phase.part != "body" or direction not in MESSAGES or stream.last or stream.marks & BODY_SEEN << direction:
        return False
    if result not in (None, CONTINUE) or is_over(stream, direction) or stream.resumed & 1 << direction:
        return False
    if host_holds(stream, direction):
        return False
    take(stream, direction)
    if stream.skip:
        return True
    held = held_of(stream, direction)
    if held is None or not held.size:
        return False
    waiting = begin(stream)
    waiting.held |= 1 << direction
    stream.paused |= 1 << direction
    task = Task(cast("AnyCoroutine", _Ended()), stream.root, stream, phase)
    task.holds = True
    waiting.tasks.append(task)
    timer = _Release(0)
    timer.task = task
    timer.set(task)
    return True
