"""Callbacks that are `async def`: running them, parking them while they wait, and handling their stream meanwhile.

There is no event loop, since Envoy has one. `start` runs the coroutine that a callback returns up to its first wait. A
wait (`Wait`) registers whatever ends it (a callout's answer, a timer, other coroutines), and `resume` continues there:

    host → callback → start ──▶ the coroutine waits: the host gets PAUSE      (`Waiting.held`)
    host → answer, tick → resume ──▶ it returns: its Action decides whether   (`_settle`)
                                     the host keeps holding the stream

A coroutine that never waits costs its call and nothing else. When a stream ends, `close_stream` closes its coroutines:
GeneratorExit is raised at the await, so that `finally` blocks run. An exception is handled as in a synchronous callback
(`policy`), except that the stream is resumed instead of continued.

Coroutines of callbacks without a stream (ticks, queues, their callouts) belong to the plugin and end with it.
"""

from __future__ import annotations

from types import CoroutineType
from types import coroutine as coroutine_function

from .._abi import Action, LogLevel
from .._stream import acts
from .._stream.body_options import call, leave_headers
from .._stream.current import current
from .._stream.holding import (
    PAUSE,
    begin,
    buffer_size,
    held_of,
    hold_headers,
    host_holds,
    is_over,
    let_go_outside,
    take,
    tidy,
)
from .._stream.log import log_lines
from .._stream.marks import BODY_SHOWN, HEADERS_HELD, HEADERS_PAUSED, HEADERS_RESUMED
from .._stream.phases import PHASES, UPSTREAM
from .._stream.policy import CONTINUE, refuse_late, root_failed, stream_failed, verdict
from .._stream.records import AnyCoroutine, Driver, Phase, Root, Stream, Task, Wait
from .._stream.registration import MESSAGES, NOTHING
from .._stream.report import report
from .._typing import Any, NoReturn
from ..errors import PhaseError

TRACEBACK_STARTS_BELOW = True  # see `report`

# The phases of coroutines that continue during another callback (an answer, a tick). Their origin tells the resume
# functions that no action will be returned to the host.
_CONTINUED = {
    export: phase.but(phase.no_read, phase.no_write, (PHASES["proxy_on_tick"], None))
    for export, phase in PHASES.items()
    if phase.direction >= 0 or export.endswith("_close")
}


class _Scheduler:
    """State between a coroutine's steps."""

    __slots__ = ("closing", "driver", "never_awaited", "result")

    def __init__(self) -> None:
        self.driver: Driver | None = None  # an idle one
        self.result: Any = None  # the result of the coroutine that has just ended
        self.closing = ""  # why coroutines are being closed
        self.never_awaited: BaseException | None = None


scheduler = _Scheduler()


# A driver is sent a coroutine and yields its waits, and IDLE once it has ended. This avoids the StopIteration at the
# end of the coroutine, which is most of the cost of an `async def` (125 ns instead of 473 ns, CPython 3.11).

IDLE: Any = object()


@coroutine_function
def _drive() -> Driver:
    while True:
        scheduler.result = yield from (yield IDLE)


def _new_driver() -> Driver:
    driver = _drive()
    next(driver)
    return driver


def refuse_to_wait(what: str) -> NoReturn:
    """Refuse to wait in a coroutine that is being closed, since nothing would resume it."""
    raise PhaseError(
        f"await {what}",
        current.phase.method,
        f"the coroutine is being closed, because {scheduler.closing}",
        "`finally` and `except GeneratorExit` may clean up, but not await",
    )


def start(coroutine: AnyCoroutine, stream: Stream | None, phase: Phase) -> object:
    """Run a callback's coroutine to its end or to its first wait; returns its action, or PAUSE while it waits.

    Exceptions of the coroutine are raised; the dispatcher handles them as exceptions of the callback.
    """
    driver = scheduler.driver
    if driver is None:
        driver = _new_driver()
    else:
        scheduler.driver = None
    wait = driver.send(coroutine)
    if wait is IDLE:
        scheduler.driver = driver
        result = scheduler.result
        if scheduler.never_awaited is not None:
            raise _take_never_awaited()
        if stream is not None and stream.traits is not None:  # also set while a coroutine of the stream waits
            _left(stream, phase)
        return result
    root = stream.root if stream is not None else current.root
    assert root is not None  # a callback without a stream is a plugin's
    task = Task(coroutine, root, stream, _CONTINUED.get(phase.export, phase) if phase.origin is None else phase)
    task.driver = driver
    if _follow(task, wait):
        if stream is not None and stream.traits is not None:
            _left(stream, phase)
        return task.result
    if stream is None:
        _park_in_root(task)
        return None
    _park(task, stream)
    return Action.PAUSE


def start_for_root(coroutine: object, phase: Phase) -> None:
    """Run the result of a plugin's callback, if it is a coroutine."""
    if type(coroutine) is not CoroutineType:
        return
    root = current.root
    ticking = phase.export == "proxy_on_tick" and root is not None and root.tasks
    if ticking and any(task.phase is phase for task in ticking):
        coroutine.close()
        log_lines(LogLevel.DEBUG, "on_tick is still waiting: this tick is skipped")
        return
    start(coroutine, current.stream, phase)


def run_child(task: Task) -> bool:
    """Run a coroutine that another one waits for; True if it has ended. Its exceptions are raised."""
    task.driver, scheduler.driver = scheduler.driver or _new_driver(), None
    return _follow(task, task.driver.send(task.coroutine))


def resume(task: Task) -> None:
    """Continue a coroutine whose wait has ended; its stream is selected. Never raises."""
    stream = task.stream
    current.phase = task.phase
    if stream is not None:
        select(stream)
    task.wait = None
    driver = task.driver
    assert driver is not None
    try:
        over = _follow(task, driver.send(None))
        if scheduler.never_awaited is not None:
            raise _take_never_awaited()
        if task.parent is not None:
            if over:
                task.parent(task, None)
            return
        if over:
            _finish(task)
    except BaseException as error:
        _fail(task, error)


def release(task: Task) -> None:
    """Finish a task whose coroutine has let its part pass; its stream is selected. Never raises."""
    current.phase = _CONTINUED[task.phase.export]
    try:
        _finish(task)
    except BaseException as error:
        _fail(task, error)


def over(wait: Wait) -> None:
    """End a wait; called with the stream of its task selected."""
    wait.done = True
    if wait.task is not None:
        resume(wait.task)


def _follow(task: Task, wait: object) -> bool:
    """Make `task` wait for what its coroutine has yielded; True if the coroutine has ended without waiting."""
    driver = task.driver
    assert driver is not None
    while wait is not IDLE:
        if not isinstance(wait, Wait):
            wait = _refuse_foreign(task, driver, wait)
            continue
        if scheduler.never_awaited is not None:
            driver.close()
            raise _take_never_awaited()
        wait.task = task
        if not wait.begin(task):
            task.wait = wait
            return False
        wait.done = True
        wait = driver.send(None)
    task.result = scheduler.result
    task.driver = None
    scheduler.driver = driver
    return True


def _refuse_foreign(task: Task, driver: Driver, wait: object) -> object:
    error = TypeError(
        f"await of {type(wait).__module__}.{type(wait).__qualname__}, which nothing in a proxy will ever complete\n"
        "hint: await functions of pwasm.aio: dispatch_http_call, dispatch_grpc_call, sleep, gather, wait_for"
    )
    if task.strange:
        driver.close()
        raise error
    task.strange = True  # the coroutine may catch this once; a loop that retries would block the worker
    return driver.throw(error)


# --- the stream of a coroutine ------------------------------------------------------------------------------------


def _park(task: Task, stream: Stream) -> None:
    """Park a waiting coroutine of a stream, and hold its direction unless the filter itself has resumed it."""
    waiting = begin(stream)
    waiting.tasks.append(task)
    phase = task.phase
    direction = phase.direction
    if direction < 0 or stream.resumed & 1 << direction or is_over(stream, direction):
        return
    task.holds = True
    waiting.held |= 1 << direction
    # Even if the headers are in our hands: what arrives from now on is not for this callback to see.
    if phase.part == "body" and direction != UPSTREAM and not _sees_all(stream, direction):
        take(stream, direction)


def _sees_all(stream: Stream, direction: int) -> bool:
    """Whether the body in the host's buffer is whole, and held by its headers."""
    traits = stream.traits
    return traits is not None and traits.buffers[direction % 2] and host_holds(stream, direction)


def _park_in_root(task: Task) -> None:
    if task.root.tasks is None:
        task.root.tasks = []
    task.root.tasks.append(task)


def _forget(task: Task) -> None:
    """Remove a task that has ended; it no longer holds its direction."""
    stream = task.stream
    if stream is None:
        if task.root.tasks and task in task.root.tasks:
            task.root.tasks.remove(task)
        return
    waiting = stream.waiting
    if waiting is not None and task in waiting.tasks:
        waiting.tasks.remove(task)
        if task.holds:
            waiting.held &= ~(1 << task.phase.direction)


def _finish(task: Task) -> None:
    """Handle the return of a coroutine: its result is the action of its callback."""
    stream, phase = task.stream, task.phase
    if stream is None:
        _forget(task)
        return
    waiting = stream.waiting
    simple = task.holds and task.result is None and waiting is not None and waiting.is_only(task)
    if simple and stream.traits is NOTHING and not is_over(stream, phase.direction):
        # Shortcut for the usual case: nothing else waits, nothing has arrived, and the stream continues.
        stream.traits = stream.waiting = None
        if phase.part == "headers":
            _headers_decided(stream, phase.direction)
        _continue(stream, phase.direction)
        return
    _forget(task)
    if phase.direction >= 0:
        action = verdict(task.result, phase)
        if task.holds:
            select(stream)
            if phase.part == "headers" and action == CONTINUE:
                leave_headers(stream, phase.direction)
            _settle(stream, phase, action)
    tidy(stream)


def _fail(task: Task, error: BaseException) -> None:
    """Handle a failure of the coroutine, or of a wait that belongs to it."""
    if task.wait is not None:
        _close(task)
    if task.parent is not None:
        task.parent(task, error)
        return
    _forget(task)
    stream, phase = task.stream, task.phase
    if stream is None or phase.direction < 0:
        root_failed(phase, task.root, error)
        if stream is not None:
            tidy(stream)
        return
    action = stream_failed(phase, stream, error)
    try:
        if stream.skip:
            close_all(stream, "the stream has failed")
        elif task.holds:
            _settle(stream, phase, action)
        tidy(stream)
    except BaseException as second:  # trailers have come, and the host no longer has a buffer for the body
        report(LogLevel.ERROR, f"the bytes held for context {stream.id} could not be put back", second)
        stream.skip = True
        refuse_late(stream, phase)


def _settle(stream: Stream, phase: Phase, action: int) -> None:
    """After a callback that held its direction: deliver what has arrived since, then let the host continue."""
    direction = phase.direction
    if phase.part == "headers":
        if action != CONTINUE or is_over(stream, direction):
            return  # as HEADERS_PAUSED says, until the filter resumes it
        if _headers_decided(stream, direction):
            return
    action = _deliver_parts(stream, direction, action)
    if action == CONTINUE and not is_over(stream, direction):
        _continue(stream, direction)


def _headers_decided(stream: Stream, direction: int) -> bool:
    """The filter lets the headers pass: whether they wait for the body all the same, and none has arrived."""
    held = hold_headers(stream, direction)
    stream.marks &= ~(HEADERS_PAUSED << direction)
    if not held and not stream.root.holds_headers:
        stream.marks |= HEADERS_RESUMED << direction
    return held and not (stream.waiting is not None and stream.waiting.has_parts(direction))


def _deliver_parts(stream: Stream, direction: int, action: int) -> int:
    """Run the callbacks for what has arrived, after one with this action; returns the last action."""
    while not is_over(stream, direction):
        waiting = stream.waiting
        held = held_of(stream, direction)
        if held is not None and action == CONTINUE:
            held.pass_on()
        part = None if waiting is None else waiting.take(direction)
        if part is None:
            return action
        action = _deliver(stream, *part)
        if stream.waiting is not None and stream.waiting.held & 1 << direction:
            return PAUSE  # that callback waits too, and settles when it returns
    return PAUSE


def _deliver(stream: Stream, phase: Phase, args: tuple[int, ...]) -> int:
    """Run the callback for a part that arrived while the direction was held."""
    continued = _CONTINUED[phase.export]
    try:
        select(stream)
        current.phase = continued
        if phase.part == "body":  # the filter may have changed the bytes before this part
            args = (_shown_now(stream, phase.direction), *args[1:])
            if stream.skip:
                return PAUSE
        action = call(stream, phase, *args)
        if type(action) is CoroutineType:
            action = start(action, stream, continued)
        return verdict(action, phase)
    except BaseException as error:
        return stream_failed(phase, stream, error)


def _shown_now(stream: Stream, direction: int) -> int:
    """Show what arrived while the direction was held; returns how much that is, with what is shown already."""
    held = held_of(stream, direction)
    if held is not None:
        held.show_later()
    elif direction != UPSTREAM and not _sees_all(stream, direction):
        take(stream, direction)
    return buffer_size(stream, direction)


def may_resume(stream: Stream, direction: int) -> bool:
    """The filter itself resumes a direction: deliver to its callbacks what arrived in the meantime.

    Returns:
        Whether everything may go on. If not, a callback has asked for more, or awaits: what is held stays held, and
        the message goes on with that callback.
    """
    message = direction in MESSAGES
    if message and stream.marks & HEADERS_HELD << direction and not stream.marks & BODY_SHOWN << direction:
        return False  # the filter does not hold it
    if message and stream.marks & HEADERS_PAUSED << direction and _headers_decided(stream, direction):
        return False
    waiting = stream.waiting
    if waiting is None:
        return True
    waiting.held &= ~(1 << direction)
    for task in waiting.tasks:
        if task.phase.direction == direction:
            task.holds = False
    selected, phase = current.stream, current.phase
    action = _deliver_parts(stream, direction, CONTINUE)
    if selected is not None:
        select(selected)
    current.phase = phase
    return action == CONTINUE


def _continue(stream: Stream, direction: int) -> None:
    """Make the host continue a direction, if it holds it; otherwise it would send the data twice."""
    if stream.paused & 1 << direction:
        select(stream)
        let_go_outside(stream, direction)
        acts.resume(stream, direction)
        return
    held = held_of(stream, direction)
    if held is not None:  # the host has seen CONTINUE, with nothing: the bytes go on with the next part
        held.pass_on()


def select(stream: Stream) -> None:
    """Act on a stream, in a phase that the caller sets."""
    if current.stream is not stream:
        current.host.proxy_set_effective_context(stream.id)
        current.stream = stream


def _left(stream: Stream, phase: Phase) -> None:
    """Handle a coroutine that has run to its end within its callback."""
    if phase.part == "headers":
        if current.stream is not stream:
            select(stream)
            current.phase = phase
        leave_headers(stream, phase.direction)


# --- the end ------------------------------------------------------------------------------------------------------


def close_stream(stream: Stream) -> None:
    """Close the coroutines of a stream that has ended."""
    current.stream = stream
    close_all(stream, "its stream is over")
    stream.waiting = None


def close_root(root: Root) -> None:
    """Close the coroutines of a plugin that is being deleted."""
    current.root, current.stream = root, None
    current.phase = PHASES["proxy_on_delete"]
    tasks, root.tasks = root.tasks or [], None
    for task in tasks:
        _close(task, "its plugin has been removed")


def close_all(stream: Stream, why: str) -> None:
    waiting = stream.waiting
    if waiting is None:
        return
    tasks, waiting.tasks, waiting.held = waiting.tasks, [], 0
    waiting.forget()
    for task in tasks:
        _close(task, why)


def _close(task: Task, why: str = "another coroutine has failed") -> None:
    """Close a coroutine where it waits; an exception it raises is logged."""
    before = scheduler.closing
    scheduler.closing = why
    try:
        wait, task.wait = task.wait, None
        if wait is not None:
            wait.task = None
            wait.cancel()
        if task.driver is None:
            task.coroutine.close()  # it has not started, or has already ended
        else:
            task.driver.close()
    except BaseException as error:
        name = getattr(task.coroutine, "__qualname__", "a coroutine")
        report(LogLevel.ERROR, f"{name} could not be closed cleanly ({why})", error)
    finally:
        scheduler.closing = before


close_task = _close


# --- coroutines that are never awaited ----------------------------------------------------------------------------


def _take_never_awaited() -> BaseException:
    error, scheduler.never_awaited = scheduler.never_awaited, None
    assert error is not None
    return error
