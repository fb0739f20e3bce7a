"""Overrides every HTTP callback, reports each in the log, and reads and adds headers where that is allowed."""

import pwasm
from pwasm import Action, HttpContext, PluginContext, VMContext


class Vm(VMContext):
    def on_vm_start(self, vm_configuration_size: int) -> bool:
        pwasm.log_info(f"on_vm_start {vm_configuration_size}")
        return True


class Plugin(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        pwasm.log_info(f"on_plugin_start {plugin_configuration_size} {pwasm.get_plugin_configuration()!r}")
        pwasm.set_tick_period_milliseconds(200)
        return True

    def on_tick(self) -> None:
        pwasm.log_info("on_tick")

    def on_plugin_done(self) -> bool:
        pwasm.log_info("on_plugin_done")
        return True


class Stream(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        path = pwasm.get_http_request_header(":path")
        pwasm.log_info(f"on_http_request_headers {num_headers} {end_of_stream} {path}")
        pwasm.add_http_request_header("x-seen", "request")
        return Action.CONTINUE

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        pwasm.log_info(f"on_http_request_body {body_size} {end_of_stream}")
        return Action.CONTINUE

    def on_http_request_trailers(self, num_trailers: int) -> Action:
        pwasm.log_info(f"on_http_request_trailers {num_trailers}")
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        status = pwasm.get_http_response_header(":status")
        pwasm.log_info(f"on_http_response_headers {num_headers} {end_of_stream} {status}")
        pwasm.add_http_response_header("x-every", "callback")
        return Action.CONTINUE

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        pwasm.log_info(f"on_http_response_body {body_size} {end_of_stream}")
        return Action.CONTINUE

    def on_http_response_trailers(self, num_trailers: int) -> Action:
        pwasm.log_info(f"on_http_response_trailers {num_trailers}")
        return Action.CONTINUE

    def on_http_stream_done(self) -> None:
        pwasm.log_info("on_http_stream_done")


pwasm.set_vm_context(Vm)
pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Stream)
