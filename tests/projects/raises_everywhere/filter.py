"""Raises in every stream and tick callback: which one is chosen by the plugin's configuration.

The configuration is `<callback> <exception> <policy>`; "all" raises in each. Nothing of this may kill the VM.
"""

from collections.abc import Callable

import pwasm
from pwasm import Action, HttpContext, PluginContext

EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "exception": lambda: RuntimeError("boom"),
    "key": lambda: KeyError("missing"),
    "exit": lambda: SystemExit(3),
    "interrupt": lambda: KeyboardInterrupt(),
    "generator": lambda: GeneratorExit(),
    "memory": lambda: MemoryError(),
    "surrogate": lambda: ValueError("\udcff\n[critical] forged"),
}


def recurse() -> None:
    recurse()


class Plugin(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        words = pwasm.get_plugin_configuration().decode().split() or ["all", "exception", "fail_closed"]
        self.where, self.what, policy = words
        Stream.on_error = policy
        if self.where in ("all", "on_tick"):
            pwasm.set_tick_period_milliseconds(100)
        return True

    def blow_up(self, callback: str) -> None:
        if self.where in ("all", callback):
            if self.what == "recursion":
                recurse()
            raise EXCEPTIONS[self.what]()

    def on_tick(self) -> None:
        self.blow_up("on_tick")


class Stream(HttpContext):
    plugin: Plugin

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.plugin.blow_up("on_http_request_headers")
        return Action.CONTINUE

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        self.plugin.blow_up("on_http_request_body")
        return Action.CONTINUE

    def on_http_request_trailers(self, num_trailers: int) -> Action:
        self.plugin.blow_up("on_http_request_trailers")
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.plugin.blow_up("on_http_response_headers")
        return Action.CONTINUE

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        self.plugin.blow_up("on_http_response_body")
        return Action.CONTINUE

    def on_http_response_trailers(self, num_trailers: int) -> Action:
        self.plugin.blow_up("on_http_response_trailers")
        return Action.CONTINUE

    def on_http_stream_done(self) -> None:
        self.plugin.blow_up("on_http_stream_done")


pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Stream)
