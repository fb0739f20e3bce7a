"""One filter for tests/sdk/testing/worlds: the path chooses what happens, the plugin's root id chooses HTTP or TCP."""

import json

import pwasm
from pwasm import Action, HttpContext, PluginContext, TcpContext


class Plugin(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        text = self.configuration.decode() or "{}"
        try:
            self.options = json.loads(text)
        except ValueError as error:
            pwasm.log_critical(f"configuration: {error}")
            return False
        self.vm_text = pwasm.get_vm_configuration().decode()
        self.requests = pwasm.define_counter_metric("worlds_requests")
        self.last = pwasm.define_gauge_metric("worlds_last")
        self.seen = 0
        self.waiting: list[int] = []
        self.ticks = 0
        self.queue = pwasm.register_shared_queue("worlds")
        if "tick" in self.options:
            pwasm.set_tick_period_milliseconds(self.options["tick"])
        return True

    def on_tick(self) -> None:
        self.ticks += 1
        pwasm.log_debug(f"tick {self.ticks}")
        waiting, self.waiting = self.waiting, []
        for context_id in waiting:
            with pwasm.effective_context(context_id):
                pwasm.resume_http_request()

    def on_queue_ready(self, queue_id: int) -> None:
        pwasm.log_info(f"queued {pwasm.dequeue_shared_queue(queue_id).decode()}")


class Http(HttpContext):
    plugin: Plugin

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.plugin.requests.increment(1)
        self.plugin.seen += 1
        path = pwasm.get_http_request_header(":path") or ""
        pwasm.log_info(f"request {path}")
        self.path, _, self.argument = path.removeprefix("/").partition("/")
        pwasm.add_http_request_header("x-seen", self.plugin.options.get("name", "nobody"))
        handle = getattr(self, f"path_{self.path}", None)
        return Action.CONTINUE if handle is None else handle()

    def path_forbidden(self) -> Action:
        pwasm.send_http_response(403, [("x-why", "because")], b"no")
        return Action.PAUSE

    def path_wait(self) -> Action:
        self.plugin.waiting.append(self.context_id)
        return Action.PAUSE

    def path_call(self) -> Action:
        headers = [(":method", "POST"), (":path", "/check"), (":authority", "auth.example"), ("x-ask", "1")]
        pwasm.dispatch_http_call(self.argument, headers, b"may I?", [], 1000, self.called)
        return Action.PAUSE

    def called(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        status = dict(pwasm.get_http_call_response_headers())[":status"]
        body = pwasm.get_http_call_response_body().decode() if body_size else ""
        pwasm.send_http_response(int(status), [], "" if status == "204" else f"said {status} {body}")

    def path_vm(self) -> Action:
        pwasm.send_http_response(200, [], self.plugin.vm_text)
        return Action.PAUSE

    def path_seen(self) -> Action:
        pwasm.send_http_response(200, [], str(self.plugin.seen))
        return Action.PAUSE

    def path_gauge(self) -> Action:
        self.plugin.last.set(int(self.argument))
        return Action.CONTINUE

    def path_count(self) -> Action:
        for _ in range(10):
            value, cas = pwasm.get_shared_data("count")
            try:
                pwasm.set_shared_data("count", str(int(value or b"0") + 1).encode(), cas)
            except pwasm.CasMismatch:
                continue
            break
        return Action.CONTINUE

    def path_queue(self) -> Action:
        pwasm.enqueue_shared_queue(self.plugin.queue, self.argument.encode())
        return Action.CONTINUE

    def path_hang(self) -> Action:
        while True:
            pass

    def path_crash(self) -> Action:
        raise RuntimeError("on purpose")

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        if self.path == "upper" and body_size:
            pwasm.replace_http_request_body(pwasm.get_http_request_body(0, body_size).upper())
        return Action.CONTINUE

    def on_http_request_trailers(self, num_trailers: int) -> Action:
        pwasm.add_http_request_trailer("x-trailer-seen", str(num_trailers))
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.add_http_response_header("x-world", self.plugin.options.get("name", "nobody"))
        return Action.CONTINUE

    def on_http_stream_done(self) -> None:
        pwasm.log_info(f"done {self.path}")


class Tcp(TcpContext):
    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        data = pwasm.get_downstream_data(0, data_size) if data_size else b""
        if data == b"bye":
            pwasm.close_downstream()
            return Action.PAUSE
        if data:
            pwasm.replace_downstream_data(b"<" + data + b">")
        return Action.CONTINUE

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        if data_size:
            pwasm.append_upstream_data(b"!")
        return Action.CONTINUE


pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Http)
pwasm.set_tcp_context(Tcp, root_id="tcp")
