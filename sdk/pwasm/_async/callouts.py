"""Pending callouts: which stream or plugin made each of them, and which function takes its answer.

A call stays in its plugin's table (`Root.calls`) from the hostcall that starts it to its last answer. A call made for a
stream (`current.stream`) belongs to that stream: its answer is delivered with the stream selected, and is dropped if
the stream has ended, has failed, or no longer exists in the host. Any other call, including one made after the end of
the stream (in on_http_stream_done), belongs to the plugin.

The SDK keeps its own table because the host's answer is not reliable: right after the end of a stream
`proxy_set_effective_context` still returns OK, and acting on the stream then crashes Envoy (K6).

When a stream ends, its calls are removed. HTTP and unary gRPC calls continue in Envoy, and their answers are dropped;
gRPC streams are cancelled, since nothing else would ever close them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .. import _validate
from .._abi import LogLevel
from .._stream.current import current
from .._stream.guards import select_stream
from .._stream.in_vm import OPEN_CALLOUTS
from .._stream.log import log_lines
from .._stream.policy import name_of, root_failed
from .._stream.records import Call, Phase, Root, Stream
from ..errors import PhaseError
from .tasks import start_for_root

TRACEBACK_STARTS_BELOW = True  # see `report`

Functions = Mapping[str, Callable[..., object] | None]

_CO_ANY_GENERATOR = 0x20 | 0x100 | 0x200
_LAST_ANSWERS = frozenset({"on_http_call_response", "on_grpc_receive"})  # unless it is a stream


def check_functions(functions: Functions) -> dict[str, Callable[..., object]]:
    """The callbacks that are not None, by argument name.

    Raises:
        TypeError: one is neither None nor callable, or is a generator function.
    """
    given: dict[str, Callable[..., object]] = {}
    for argument, function in functions.items():
        if function is None:
            continue
        if not callable(function):
            _validate.type_error(argument, "a callable or None", function)
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & _CO_ANY_GENERATOR:
            raise TypeError(f"{argument} contains `yield`, but a callback must not be a generator")
        given[argument] = function
    return given


def root_for(what: str) -> Root:
    """The plugin for which a call is made."""
    root = current.active_root()
    if root is None:
        raise PhaseError(what, current.phase.method, "no plugin is running")
    return root


class AwaitedCall(Call):
    """A call that a coroutine is waiting for."""

    __slots__ = ()
    awaited = True


def remember(
    root: Root,
    token: int,
    functions: Mapping[str, Callable[..., object]],
    *,
    keeps: bool = False,
    kind: type[Call] = Call,
) -> None:
    """Add a call to the table until its answer arrives."""
    stream = current.stream
    if stream is not None and stream.ended:
        stream = None
    root.calls[token] = kind(stream, functions, keeps=keeps)
    root.vm.add(OPEN_CALLOUTS)
    if stream is not None:
        if stream.calls is None:
            stream.calls = []
        stream.calls.append(token)


def forget(token: int) -> None:
    """Remove a call that the filter has cancelled."""
    root = current.active_root()
    if root is not None:
        _finish(root, token)


def take_out(root: Root, token: int) -> Call | None:
    """Remove a call from the table, and return it."""
    call = root.calls.pop(token, None)
    if call is not None:
        root.vm.add(OPEN_CALLOUTS, -1)
    return call


def forget_calls(stream: Stream) -> None:
    """Remove the calls of a stream that has ended."""
    tokens, stream.calls = stream.calls or [], None
    for token in tokens:
        call = take_out(stream.root, token)
        if call is not None and call.keeps:
            try:
                current.host.proxy_grpc_cancel(token)
            except BaseException as error:
                debug(f"gRPC stream {token} could not be cancelled: {error!r}")


def deliver_answer(phase: Phase, root: Root, token: int, args: tuple[int, ...]) -> None:
    """Run the function or coroutine that waits for an answer."""
    call = root.calls.get(token)
    if call is None:
        debug(f"{phase.export} for unknown call {token} is ignored")
        return
    if phase.method == "on_grpc_close" or (phase.method in _LAST_ANSWERS and not call.keeps):
        _finish(root, token)
    stream = call.stream
    if stream is not None:
        if call.gone or current.host.proxy_set_effective_context(stream.id):
            debug(f"{phase.export}: the stream that made call {token} is over")
            return
        if call.awaited:
            current.stream = stream
        else:
            select_stream(stream)
        stream.resumed = 0
    function = call.functions.get(phase.method)
    name = name_of(root.context, phase) if function is None else getattr(function, "__qualname__", repr(function))
    try:
        if function is not None:
            result = function(*args)
        elif not call.functions:
            result = getattr(root.context, phase.method)(token, *args)
        else:
            return
        if result is not None:
            start_for_root(result, current.phase)
    except BaseException as error:
        root_failed(phase, root, error, name)


def debug(text: str) -> None:
    """Log at debug level; never raises."""
    try:
        log_lines(LogLevel.DEBUG, text)
    except BaseException:
        return


def _finish(root: Root, token: int) -> None:
    call = take_out(root, token)
    if call is not None and call.stream is not None and call.stream.calls:
        call.stream.calls.remove(token)
