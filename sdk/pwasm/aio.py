"""Wait for other services, for time, and for several things at once, inside a callback.

    from pwasm import aio

    class ApiKey(pwasm.HttpContext):
        async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            headers = [(":method", "GET"), (":path", "/check"), (":authority", "auth")]
            answer = await aio.dispatch_http_call("auth", headers, timeout_ms=500)
            if answer.status != 200:
                pwasm.send_http_response(401)

Callbacks of streams, ticks, queues and callouts may be `async def`. While a callback awaits something, Envoy holds its
stream, as after PAUSE, and serves others. Whatever arrives in the same direction in the meantime is held too, and is
passed to its own callbacks afterwards, in order, each byte of a body once. When the coroutine returns, its Action
applies: None or CONTINUE lets the stream continue, PAUSE leaves it for the filter to resume. After a local response or
a close, nothing more happens. A tick that falls due while `on_tick` is still waiting is skipped.

If the stream ends first (the client disconnects, say), the coroutine is closed: `finally` blocks run, but cannot await
anything. An exception is handled as `on_error` says, as in any callback, even if it was raised after an await.
Callbacks whose result Envoy needs immediately cannot be `async def`: `on_vm_start`, `on_plugin_start`,
`on_plugin_done`, those at the end of a stream, and `on_upstream_data`, which Envoy cannot resume.

A failed call raises one of these:

    CalloutError            a call without a usable answer; `.upstream`
    ├── CalloutTimeout          no answer in time (also a `TimeoutError`)
    ├── CalloutReset            the connection was refused or broke; `.response` is what Envoy answered in its place
    ├── CalloutRefused          Envoy did not make the call: no such cluster, no healthy host; the cause says which
    └── GrpcError               a gRPC call ended with a status other than 0; `.status`, `.message`

A status such as 404 or 503 from the service itself is an answer, not an error. Only the coroutines of this module and
your own `async def` functions can be awaited: there is no asyncio in a proxy.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import CoroutineType

from ._abi import BufferType, MapType
from ._async.callouts import AwaitedCall, remember, take_out
from ._async.results import (
    TIMED_OUT,
    CalloutError,
    CalloutRefused,
    CalloutReset,
    CalloutTimeout,
    GrpcError,
    HttpResponse,
    percent_decoded,
)
from ._async.tasks import close_task, over, refuse_to_wait, run_child, scheduler, select
from ._async.timers import Timer, nanoseconds
from ._hostcalls import grpc, http_call
from ._serde import to_text
from ._stream.current import current
from ._stream.records import AnyCoroutine, Root, Task, Wait
from ._typing import Any, TypeVar, overload
from ._validate import Headers
from .errors import HostcallError

__all__ = [
    "CalloutError",
    "CalloutRefused",
    "CalloutReset",
    "CalloutTimeout",
    "GrpcError",
    "HttpResponse",
    "dispatch_grpc_call",
    "dispatch_http_call",
    "gather",
    "sleep",
    "wait_for",
]

_T = TypeVar("_T")
_A = TypeVar("_A")
_B = TypeVar("_B")
_C = TypeVar("_C")

_GRPC_DEADLINE_EXCEEDED, _GRPC_UNAVAILABLE = 4, 14


# --- calls --------------------------------------------------------------------------------------------------------


class _Call(Wait):
    """A call that was sent."""

    __slots__ = ("root", "token", "upstream")

    def __init__(self, upstream: str | bytes, root: Root, token: int) -> None:
        self.done = False  # inlined from `Wait.__init__`, which would cost a call
        self.error = None
        self.upstream = upstream
        self.root = root
        self.token = token

    def functions(self) -> dict[str, Callable[..., object]]:
        """The functions that take the answer, keyed by the callback that delivers it."""
        raise NotImplementedError

    def begin(self, task: Task) -> bool:
        if task.stream is None:
            current.stream = None
        else:
            select(task.stream)  # the answer belongs to the waiting task, whatever the filter has selected
        remember(self.root, self.token, self.functions(), kind=AwaitedCall)
        return False

    def cancel(self) -> None:
        take_out(self.root, self.token)
        stream = current.stream
        if stream is not None and stream.calls and self.token in stream.calls:
            stream.calls.remove(self.token)


class _HttpCall(_Call):
    __slots__ = ()

    def functions(self) -> dict[str, Callable[..., object]]:
        return {"on_http_call_response": self.answered}

    def answered(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        host = current.host
        if not num_headers:
            reason = to_text(host.proxy_get_status()[2])
            self.error = CalloutReset(self.upstream, f"the call was reset{': ' + reason if reason else ''}")
            over(self)
            return
        response = HttpResponse(
            host.proxy_get_header_map_pairs(MapType.HTTP_CALL_RESPONSE_HEADERS)[1],
            host.proxy_get_buffer_bytes(BufferType.HTTP_CALL_RESPONSE_BODY, 0, body_size)[1] if body_size else b"",
            host.proxy_get_header_map_pairs(MapType.HTTP_CALL_RESPONSE_TRAILERS)[1] if num_trailers else b"",
        )
        self.value = response
        if response.status >= 500 and response.by_envoy:
            if (response.status, response.body) == TIMED_OUT:
                self.error = CalloutTimeout(self.upstream, "no answer in time")
            else:
                self.error = CalloutReset(self.upstream, response.text, response)
        over(self)


class _GrpcCall(_Call):
    __slots__ = ()

    def functions(self) -> dict[str, Callable[..., object]]:
        return {"on_grpc_receive": self.received, "on_grpc_close": self.closed}

    def received(self, message_size: int) -> None:
        self.value = current.host.proxy_get_buffer_bytes(BufferType.GRPC_CALL_MESSAGE, 0, message_size)[1]
        over(self)

    def closed(self, status_code: int) -> None:
        message = percent_decoded(current.host.proxy_get_status()[2])
        # Envoy's own timeout is an HTTP timeout, which it reports as status 14 with this text; measurements saw it
        # before anything else.
        in_envoy = status_code == _GRPC_UNAVAILABLE and message.startswith(TIMED_OUT[1].decode())
        if in_envoy or status_code == _GRPC_DEADLINE_EXCEEDED:
            self.error = CalloutTimeout(self.upstream, message or "no answer in time")
        else:
            self.error = GrpcError(self.upstream, status_code, message)
        over(self)

    def cancel(self) -> None:
        known = self.token in self.root.calls
        super().cancel()
        if known:
            current.host.proxy_grpc_cancel(self.token)


async def dispatch_http_call(
    cluster: str,
    headers: Headers,
    body: bytes | str = b"",
    trailers: Headers = (),
    timeout_ms: int = 5000,
) -> HttpResponse:
    """Send an HTTP request to a cluster of Envoy's configuration, and wait for the answer.

    Arguments as for `pwasm.dispatch_http_call`; with `timeout_ms=0` the call may take as long as its stream lives.

    Returns:
        The answer, whatever its status.

    Raises:
        TypeError, ValueError: an argument cannot be sent, or a pseudo-header is missing.
        CalloutRefused: no such cluster, or no healthy host.
        CalloutTimeout: no answer within `timeout_ms`.
        CalloutReset: the connection was refused or broke.
    """
    if scheduler.closing:
        refuse_to_wait("dispatch_http_call")
    try:
        root, token = http_call.send_http_call(cluster, headers, body, trailers, timeout_ms)
    except HostcallError as error:
        raise CalloutRefused(cluster, str(error)) from error
    response: HttpResponse = await _HttpCall(cluster, root, token)
    return response


async def dispatch_grpc_call(
    upstream: str | bytes,
    service: str,
    method: str,
    initial_metadata: Headers = (),
    message: bytes | str = b"",
    timeout_ms: int = 5000,
) -> bytes:
    """Make a unary gRPC call, and wait for the answer. Arguments as for `pwasm.dispatch_grpc_call`.

    Returns:
        The encoded response message.

    Raises:
        TypeError, ValueError: an argument cannot be sent.
        CalloutRefused: no such cluster, or the call could not be started.
        CalloutTimeout: no answer within `timeout_ms`, or the service returned DEADLINE_EXCEEDED.
        GrpcError: the call ended with another status than 0.
    """
    if scheduler.closing:
        refuse_to_wait("dispatch_grpc_call")
    try:
        root, token = grpc.send_grpc_call(upstream, service, method, initial_metadata, message, timeout_ms)
    except HostcallError as error:
        raise CalloutRefused(upstream, str(error)) from error
    answer: bytes = await _GrpcCall(upstream, root, token)
    return answer


# --- time ---------------------------------------------------------------------------------------------------------


async def sleep(seconds: float) -> None:
    """Wait for `seconds` seconds.

    Envoy's timer for plugins has a resolution of one millisecond: the coroutine resumes up to one millisecond early, or
    late if the worker is busy. The filter's own ticks (`set_tick_period_milliseconds`) are not affected.

    Raises:
        TypeError, ValueError: `seconds` is not a number from 0 to 2147483.
    """
    if scheduler.closing:
        refuse_to_wait("sleep")
    await Timer(nanoseconds("seconds", seconds))


class _Deadline(Timer):
    """A coroutine with a time limit."""

    __slots__ = ("child", "coroutine")

    def __init__(self, coroutine: AnyCoroutine, seconds: float, limit: int) -> None:
        super().__init__(limit)
        self.coroutine = coroutine
        self.error = CalloutTimeout("wait_for", f"did not finish within {seconds} s")
        self.child: Task | None = None

    def begin(self, task: Task) -> bool:
        child = self.child = Task(self.coroutine, task.root, task.stream, task.phase, self.finished)
        try:
            if run_child(child):
                self.value, self.error = child.result, None
                return True
            self.set(task)
        except BaseException as error:
            self.error = error
            close_task(child)
            return True
        return False

    def finished(self, child: Task, error: BaseException | None) -> None:
        super().cancel()
        self.value, self.error = child.result, error
        over(self)

    def fire(self) -> None:
        child = self.child
        if child is not None:
            close_task(child, "it took too long")
        over(self)

    def cancel(self) -> None:
        super().cancel()
        if self.child is not None:
            close_task(self.child)


async def wait_for(coroutine: Coroutine[Any, Any, _T], seconds: float) -> _T:
    """Wait for a coroutine, but no longer than `seconds`; after that it is closed.

    Raises:
        CalloutTimeout: it has not finished by then (also a `TimeoutError`).
        TypeError, ValueError: not a coroutine, or not a number of seconds; see `sleep`.
        Whatever the coroutine raises.
    """
    if scheduler.closing:
        refuse_to_wait("wait_for")
    _check_coroutines("wait_for", (coroutine,))
    value: _T = await _Deadline(coroutine, seconds, nanoseconds("seconds", seconds))
    return value


# --- several at once ----------------------------------------------------------------------------------------------


class _Group(Wait):
    """Several coroutines at once."""

    __slots__ = ("children", "coroutines", "left", "results", "return_exceptions")

    def __init__(self, coroutines: tuple[AnyCoroutine, ...], *, return_exceptions: bool) -> None:
        super().__init__()
        self.coroutines = coroutines
        self.return_exceptions = return_exceptions
        self.children: list[Task] = []
        self.results: list[Any] = [None] * len(coroutines)
        self.left = len(coroutines)

    def begin(self, task: Task) -> bool:
        self.children = [Task(one, task.root, task.stream, task.phase, self.finished) for one in self.coroutines]
        for child in self.children:
            try:
                if run_child(child):
                    self._keep(child, child.result)
            except BaseException as error:
                if self._failed(child, error):
                    return True
        self.value = self.results
        return self.left == 0

    def _keep(self, child: Task, result: object) -> None:
        self.results[self.children.index(child)] = result
        self.left -= 1

    def _failed(self, child: Task, error: BaseException) -> bool:
        if self.return_exceptions and isinstance(error, Exception):
            self._keep(child, error)
            return self.left == 0
        self.error = error
        self._close(child)
        return True

    def finished(self, child: Task, error: BaseException | None) -> None:
        if error is None:
            self._keep(child, child.result)
        elif self._failed(child, error):
            over(self)
            return
        if self.left == 0:
            over(self)

    def _close(self, but: Task | None = None) -> None:
        children, self.children = self.children, []
        for child in children:
            if child is not but:
                close_task(child)

    def cancel(self) -> None:
        self._close()


@overload
async def gather(a: Coroutine[Any, Any, _A], b: Coroutine[Any, Any, _B], /) -> tuple[_A, _B]: ...
@overload
async def gather(
    a: Coroutine[Any, Any, _A], b: Coroutine[Any, Any, _B], c: Coroutine[Any, Any, _C], /
) -> tuple[_A, _B, _C]: ...
@overload
async def gather(*coroutines: Coroutine[Any, Any, _T]) -> tuple[_T, ...]: ...
@overload
async def gather(*coroutines: Coroutine[Any, Any, _T], return_exceptions: bool) -> tuple[_T | Exception, ...]: ...


async def gather(*coroutines: Coroutine[Any, Any, Any], return_exceptions: bool = False) -> tuple[Any, ...]:
    """Wait for several coroutines at once: their calls are sent one after another, and their answers awaited together.

    Returns:
        The results, in the order of the arguments.

    Raises:
        TypeError: an argument is not a coroutine.
        The first exception that any of them raises; the others are then closed. With `return_exceptions`, exceptions
        are returned as results instead.
    """
    if scheduler.closing:
        refuse_to_wait("gather")
    _check_coroutines("gather", coroutines)
    results: list[Any] = await _Group(coroutines, return_exceptions=return_exceptions)
    return tuple(results)


def _check_coroutines(what: str, given: tuple[AnyCoroutine, ...]) -> None:
    """Refuse arguments that are not coroutines, or are already being awaited."""
    problem: Exception | None = None
    for number, coroutine in enumerate(given):
        if type(coroutine) is not CoroutineType:
            problem = TypeError(f"{what}: argument {number + 1} must be a coroutine, not {type(coroutine).__name__}")
        elif coroutine.cr_frame is None or coroutine.cr_suspended or any(one is coroutine for one in given[:number]):
            problem = RuntimeError(f"{what}: argument {number + 1} ({coroutine.__qualname__}) has already been awaited")
    if problem is None:
        return
    for coroutine in given:
        if type(coroutine) is CoroutineType and not coroutine.cr_suspended:
            coroutine.close()  # or Python would warn that it was never awaited
    raise problem
