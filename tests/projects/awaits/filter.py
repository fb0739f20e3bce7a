"""One coroutine for each path; tests/support/aio_cases.py has the expected outcomes."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any

import configured

import pwasm
from pwasm import Action, aio


class Foreign:
    """Awaitable, and nothing to do with the proxy."""

    def __await__(self) -> Generator[Any, None, None]:
        yield 42


async def get(word: str, *, cluster: str = "web", timeout_ms: int = 5000) -> aio.HttpResponse:
    """Call upstream, which answers as the word specifies."""
    headers = [(":method", "GET"), (":path", f"/asked?{word}"), (":authority", "web")]
    return await aio.dispatch_http_call(cluster, headers, timeout_ms=timeout_ms)


async def noting(name: str, awaited: Awaitable[Any]) -> Any:
    """Log when something that is awaited ends, however it does."""
    try:
        return await awaited
    finally:
        pwasm.log_info(f"finally {name}")


async def failure(awaited: Awaitable[Any]) -> str:
    """The error that something ends with."""
    try:
        await awaited
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def no_event_loop(_coroutine: object) -> None:
    """What `asyncio.run` does in a VM."""
    raise RuntimeError("no event loop")


def reply(value: object, status: int = 200) -> None:
    """Answer the request with the text of a value."""
    pwasm.send_http_response(status, body=str(value))


class Awaits(pwasm.HttpContext):
    def __init__(self) -> None:
        self.path = "?"

    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        self.path = (pwasm.get_http_request_header(":path") or "").partition("?")[0].strip("/")
        case = getattr(self, f"case_{self.path}", None)
        result: Action | None = None if case is None else await case()
        return result

    # --- answers ---

    async def case_one(self) -> None:
        answer = await get("plain")
        reply((answer.status, answer.body, answer.header("X-From"), answer.headers[0], answer.trailers))

    async def case_trailers(self) -> None:
        reply((await get("trailers")).trailers_bytes)

    async def case_in_turn(self) -> None:
        reply([(await get(word)).status for word in ("plain", "404", "empty")])

    async def case_gather(self) -> None:
        answers = await aio.gather(get("plain"), get("404"), get("empty"))
        reply([answer.status for answer in answers])

    async def case_gather_nothing(self) -> None:
        reply(await aio.gather())

    async def case_gather_fails(self) -> None:
        both = aio.gather(noting("silent", get("silent")), noting("refused", get("plain", cluster="refusing")))
        reply((await failure(both)).partition(":")[0])

    async def case_gather_all(self) -> None:
        results = await aio.gather(get("plain"), get("plain", cluster="nobody"), return_exceptions=True)
        reply([getattr(result, "status", type(result).__name__) for result in results])

    async def case_grpc(self) -> None:
        reply(await aio.dispatch_grpc_call("grpc", "test.Service", "Echo", message=b"hello"))

    async def case_grpc_fails(self) -> None:
        try:
            await aio.dispatch_grpc_call("grpc", "test.Service", "Fail")
        except aio.GrpcError as error:
            reply((error.status, error.message.partition("{")[0]))

    async def case_grpc_slow(self) -> None:
        reply((await failure(aio.dispatch_grpc_call("grpc", "test.Service", "Slow", timeout_ms=200))).partition(":")[0])

    # --- failures ---

    async def case_timeout(self) -> None:
        reply(await failure(get("silent", timeout_ms=200)))

    async def case_cut(self) -> None:
        reply((await failure(get("cut"))).partition(":")[0])

    async def case_reset(self) -> None:
        reply((await failure(get("reset"))).partition(":")[0])

    async def case_refused(self) -> None:
        reply((await failure(get("plain", cluster="refusing"))).partition(":")[0])

    async def case_no_cluster(self) -> None:
        reply(await failure(get("plain", cluster="nobody")))

    async def case_after_failure(self) -> None:
        await failure(get("plain", cluster="nobody"))
        await failure(get("silent", timeout_ms=200))
        reply((await get("plain")).status)

    # --- time ---

    async def case_sleep(self) -> None:
        before = pwasm.get_current_time_nanoseconds()
        await aio.sleep(0.05)
        slept = (pwasm.get_current_time_nanoseconds() - before) / 1e9
        reply("enough" if 0.045 < slept < 5 else slept)

    async def case_sleeps(self) -> None:
        await aio.gather(*(noting(f"{number}", aio.sleep(number / 20)) for number in (3, 1, 2)))
        reply("all")

    async def case_wait_for(self) -> None:
        reply(await failure(aio.wait_for(noting("inner", get("silent", timeout_ms=0)), 0.1)))

    async def case_in_time(self) -> None:
        reply((await aio.wait_for(get("plain"), 5)).status)

    async def case_nested(self) -> None:
        inner = aio.gather(get("plain"), aio.wait_for(get("404"), 5))
        results = await aio.gather(inner, aio.wait_for(aio.gather(aio.sleep(0.01), get("empty")), 5))
        reply([results[0][0].status, results[0][1].status, results[1][1].status])

    # --- what becomes of the stream ---

    async def case_goes_on(self) -> None:
        answer = await get("plain")
        pwasm.add_http_request_header("x-awaited", str(answer.status))

    async def case_never_waits(self) -> None:
        pwasm.add_http_request_header("x-awaited", "no")

    async def case_response(self) -> None:
        await get("plain")
        reply("no", 401)

    async def case_response_and_more(self) -> None:
        await get("plain")
        reply("no", 403)
        await noting("audit", get("plain"))

    async def case_resumes(self) -> None:
        await get("plain")
        pwasm.resume_http_request()
        await noting("later", get("empty"))

    async def case_pauses(self) -> Action:
        await get("plain")
        headers = [(":method", "GET"), (":path", "/asked?plain"), (":authority", "web")]
        pwasm.dispatch_http_call("web", headers, callback=self.resumed_later)
        return Action.PAUSE

    async def resumed_later(self, *numbers: int) -> None:
        await aio.sleep(0.01)
        pwasm.log_info("resumes")
        pwasm.resume_http_request()

    async def case_closes(self) -> None:
        await get("plain")
        pwasm.close_http_request()

    async def case_left(self) -> None:
        await noting("left", aio.gather(noting("call", get("silent", timeout_ms=0)), noting("nap", aio.sleep(1000))))

    # --- mistakes ---

    async def case_raises(self) -> None:
        await get("plain")
        raise ValueError("on purpose")

    async def case_raises_open(self) -> None:
        self.on_error = "fail_open"
        await get("plain")
        raise ValueError("on purpose")

    async def case_wrong_action(self) -> Any:
        await get("plain")
        return 7

    async def case_foreign(self) -> None:
        await Foreign()

    async def case_foreign_loop(self) -> None:
        while True:
            await failure(Foreign())

    async def case_twice(self) -> None:
        answer = get("plain")
        await answer
        await answer

    async def case_gather_twice(self) -> None:
        answer = get("plain")
        await aio.gather(answer, answer)

    async def case_forgotten(self) -> None:
        await get("plain")
        self.case_one()  # type: ignore[unused-coroutine]

    async def case_handles(self) -> None:
        await get("plain")
        try:
            no_event_loop(self.case_one())
        except RuntimeError as error:
            pwasm.log_info(str(error))

    async def case_waits_at_the_end(self) -> None:
        try:
            await get("silent", timeout_ms=0)
        finally:
            await get("plain")

    async def case_enqueue(self) -> None:
        pwasm.enqueue_shared_queue(pwasm.register_shared_queue("jobs"), b"work")
        reply("queued")

    # --- bodies ---

    async def case_then_body(self) -> None:
        """In Envoy's mode allow_on_headers_stop_iteration the body comes while this waits."""
        await get("silent", cluster=self.path)

    async def on_http_request_body(self, body_size: int, end_of_stream: bool) -> None:
        if self.path in {"body", "gated_body"}:
            seen = pwasm.get_http_request_body()
            assert len(seen) == body_size
            await (get("plain") if self.path == "body" else get("silent", cluster=self.path))
            assert pwasm.get_http_request_body() == seen
            pwasm.replace_http_request_body(b"<" + seen.upper() + b">")
            pwasm.log_info(f"part of {self.path}: {seen!r}")
        if self.path == "then_body":
            pwasm.log_info(f"part of {self.path}: {pwasm.get_http_request_body()!r}")

    async def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        if self.path == "response_headers":
            answer = await get("404")
            pwasm.remove_http_response_header("content-length")
            pwasm.add_http_response_header("x-awaited", str(answer.status))
        if self.path == "response_raises":
            await get("plain")
            raise ValueError("on purpose")

    async def on_http_response_body(self, body_size: int, end_of_stream: bool) -> None:
        if self.path == "response_body" and body_size:
            seen = pwasm.get_http_response_body()
            await get("plain")
            pwasm.replace_http_response_body(seen.upper())

    async def on_http_request_trailers(self, num_trailers: int) -> None:
        if self.path in {"body", "gated_body"}:
            await get("plain")
            pwasm.log_info(f"trailers {pwasm.get_http_request_trailers()}")

    def on_http_stream_done(self) -> None:
        if self.path == "left":
            pwasm.log_info("done")


class Plugin(pwasm.PluginContext):
    """Awaits outside streams."""

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.ticks = 0
        if self.configuration == b"tick":
            pwasm.set_tick_period_milliseconds(50)
        pwasm.register_shared_queue("jobs")
        return True

    async def on_queue_ready(self, queue_id: int) -> None:
        job = pwasm.dequeue_shared_queue(queue_id)
        await aio.sleep(0.01)
        pwasm.log_info(f"job {job!r} {(await get('plain')).status}")

    async def on_tick(self) -> None:
        self.ticks += 1
        number = self.ticks
        answer = await get("plain")
        await aio.sleep(0.08)
        pwasm.log_info(f"tick {number} {answer.status}")


class AwaitsTcp(pwasm.TcpContext):
    """Asks before it lets a connection through, and before each piece of data."""

    async def on_new_connection(self) -> None:
        answer = await get("plain")
        pwasm.log_info(f"connected {answer.status}")

    async def on_downstream_data(self, data_size: int, end_of_stream: bool) -> None:
        seen = pwasm.get_downstream_data()
        assert len(seen) == data_size
        if seen == b"leave":
            await noting("tcp", get("silent", timeout_ms=0))
        await get("plain")
        if seen == b"wrong":
            raise ValueError("on purpose")
        pwasm.replace_downstream_data(b"<" + seen + b">")


pwasm.set_tcp_context(AwaitsTcp, root_id="tcp")
pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Awaits)
