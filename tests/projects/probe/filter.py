"""Runs a script from the plugin's configuration, and logs the host's answers; see `interpreter`."""

import interpreter

import pwasm
from pwasm import Action
from pwasm._dispatch import callbacks

PART = {
    "on_http_request_headers": "request_headers",
    "on_http_request_body": "request_body",
    "on_http_request_trailers": "request_trailers",
    "on_http_response_headers": "response_headers",
    "on_http_response_body": "response_body",
    "on_http_response_trailers": "response_trailers",
    "on_http_stream_done": "log",
    "on_new_connection": "new_connection",
    "on_downstream_data": "downstream_data",
    "on_upstream_data": "upstream_data",
    "on_downstream_close": "downstream_connection_close",
    "on_upstream_close": "upstream_connection_close",
    "on_stream_done": "log",
    "on_tick": "tick",
    "on_queue_ready": "queue_ready",
    "on_plugin_start": "configure",
    "on_plugin_done": "done",
    "on_http_call_response": "http_call_response",
    "on_grpc_receive_initial_metadata": "grpc_receive_initial_metadata",
    "on_grpc_receive": "grpc_receive",
    "on_grpc_receive_trailing_metadata": "grpc_receive_trailing_metadata",
    "on_grpc_close": "grpc_close",
    "on_vm_start": "vm_start",
}


def method(name: str):  # type: ignore[no-untyped-def]
    """The SDK's half of a callback: the calls of the script that go through the SDK."""

    def run(self: object, *_: int) -> object:
        result = interpreter.running.through_sdk(PART[name])
        if name in {"on_plugin_start", "on_vm_start", "on_plugin_done"}:
            return None if result is None else bool(result)
        return Action(result) if result in {0, 1} else result

    return run


def methods(base: type) -> dict[str, object]:
    return {name: method(name) for name in PART if name in vars(base)}


Vm = type("Vm", (pwasm.VMContext,), methods(pwasm.VMContext))
Plugin = type("Plugin", (pwasm.PluginContext,), methods(pwasm.PluginContext))
Http = type("Http", (pwasm.HttpContext,), methods(pwasm.HttpContext))
Tcp = type("Tcp", (pwasm.TcpContext,), methods(pwasm.TcpContext))

if interpreter.in_wasm():
    callbacks.Dispatcher = interpreter.Probe  # type: ignore[misc]
    pwasm.set_vm_context(Vm)
    pwasm.set_plugin_context(Plugin)
    pwasm.set_http_context(Http)
    pwasm.set_plugin_context(Plugin, root_id="tcp")
    pwasm.set_tcp_context(Tcp, root_id="tcp")
