"""Loops that never end, each in its own way; the step budget ends them."""

import re

import pwasm
from pwasm import Action, HttpContext, PluginContext

BUDGET = 20_000


def forever() -> None:
    while True:
        pass


def for_loop() -> None:
    for _ in iter(int, 1):
        continue


def naturals() -> object:
    while True:
        yield 1


def recursive(depth: int = 0) -> int:
    return 0 if depth == 40 else recursive(depth + 1) + recursive(depth + 1)


def except_exception() -> None:
    while True:
        try:
            forever()
        except Exception:
            continue


def except_everything() -> None:
    while True:
        try:
            forever()
        except BaseException:
            continue


def finally_again() -> None:
    try:
        forever()
    finally:
        forever()


class Dropped:
    def __del__(self) -> None:
        forever()


def in_del() -> None:
    while True:
        Dropped()


def in_the_library() -> None:
    re.sub("a", lambda _match: "", "a" * 10_000_000)


LOOPS = {
    "/forever": forever,
    "/for": for_loop,
    "/generator": lambda: sum(naturals()),  # type: ignore[call-overload]
    "/recursive": recursive,
    "/except": except_exception,
    "/finally": finally_again,
    "/callback": in_the_library,
    # What only the interpreter's own events in Wasm interrupt a second time.
    "/everything": except_everything,
    "/del": in_del,
}


def busy(steps: int) -> None:
    for _ in range(steps):
        pass


class Plugin(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        if pwasm.get_plugin_configuration() == b"loop":
            forever()
        return True


class Filter(HttpContext):
    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        path = self.request.headers[":path"]
        if path == "/awaited":
            await pwasm.aio.sleep(0.001)
            forever()
        elif path in LOOPS:
            LOOPS[path]()
        elif path == "/busy":
            busy(BUDGET // 2)
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if self.response.headers.get("x-loop"):
            forever()
        busy(BUDGET // 2)
        return Action.CONTINUE


pwasm.set_step_budget(BUDGET)
pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Filter)
