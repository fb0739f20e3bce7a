"""The emulator as a tool: streams part by part, workers, one turn of the event loop."""

from __future__ import annotations

import time

import pwasm
from pwasm import Action
from pwasm.testing import Headers, HostEmulator, Process


class Counting(pwasm.PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.queue = pwasm.register_shared_queue("letters")
        return True

    def on_queue_ready(self, queue_id: int) -> None:
        for item in pwasm.drain_shared_queue(queue_id):
            pwasm.log_info(f"got {item!r}")


class Writing(pwasm.HttpContext):
    plugin: Counting

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        value, cas = pwasm.get_shared_data("n") if pwasm.get_http_request_header("x-more") else (b"0", 0)
        pwasm.set_shared_data("n", str(int(value or b"0") + 1).encode(), cas)
        pwasm.enqueue_shared_queue(self.plugin.queue, b"letter")


def test_several_workers_share_data_and_the_last_owns_the_queue() -> None:
    first = HostEmulator(Counting, Writing)
    second = first.worker()
    first.request()
    second.request(headers=[("x-more", "1")])
    assert first.shared_data[b"n"][0] == second.shared_data[b"n"][0] == b"2"
    assert [text for _, text in first.logs] == []
    assert [text for _, text in second.logs] == ["got b'letter'", "got b'letter'"]
    assert second.plugin is not first.plugin


def test_workers_of_another_vm_id_share_nothing() -> None:
    process = Process()
    first = HostEmulator(Counting, Writing, vm_id="one", process=process)
    other = HostEmulator(Counting, Writing, vm_id="two", process=process)
    first.request()
    assert (len(first.shared_data), len(other.shared_data)) == (1, 0)


class Buffering(pwasm.HttpContext):
    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        pwasm.log_info(f"{body_size} {end_of_stream}")
        return Action.CONTINUE if end_of_stream else Action.PAUSE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_response_header("x-seen", "1")


def test_a_stream_part_by_part() -> None:
    host = HostEmulator(Buffering)
    stream = host.open_http_stream()
    head = Headers([(":method", "POST"), (":path", "/"), (":authority", "a"), ("x-forwarded-proto", "http")])
    stream.send_request_headers(head)
    stream.send_request_body(b"one ")
    assert (stream.paused, stream.request_body) == ("request", b"")
    stream.send_request_body(b"two", end_of_stream=True)
    assert (stream.paused, stream.request_body) == (None, b"one two")
    stream.send_response_headers(status=201)
    stream.send_response_body(b"abc", end_of_stream=True)
    assert (stream.status, stream.headers["x-seen"], stream.body) == (201, "1", b"abc")
    assert [text for _, text in host.logs] == ["4 False", "7 True"]


def test_a_client_that_leaves() -> None:
    stream = HostEmulator(Buffering).open_http_stream()
    stream.disconnect()
    assert (stream.closed, stream.details) == (True, "downstream_remote_disconnect")


def test_a_request_is_quick() -> None:
    """The quickest of many, so that a busy machine does not matter: it takes less than a millisecond."""
    host = HostEmulator(Buffering)

    def once() -> float:
        start = time.process_time()
        host.request("POST", body=b"abc")
        return time.process_time() - start

    assert min(once() for _ in range(200)) < 0.001


def test_a_stream_says_what_holds_it() -> None:
    """pytest shows it below `assert None == 200`."""

    class Filter(pwasm.HttpContext):
        def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            return Action.PAUSE

        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            path = pwasm.get_http_request_header(":path")
            if path == "/call":
                call = [(":method", "GET"), (":path", "/"), (":authority", "a")]
                pwasm.dispatch_http_call("a", call, callback=lambda *_: None)
            elif path == "/answer":
                pwasm.send_http_response(403)
            return Action.CONTINUE if path == "/" else Action.PAUSE

    host = HostEmulator(Filter)
    assert (
        repr(host.request()) == "<HttpStream 2: held since on_http_response_headers returned PAUSE; nothing resumes it>"
    )
    assert repr(host.request(path="/x")).endswith(
        ": held since on_http_request_headers returned PAUSE; nothing resumes it>"
    )
    assert repr(host.request(path="/call")) == "<HttpStream 4: held since on_http_request_headers returned PAUSE>"
    host.answer(host.http_calls[0])
    stream = host.open_http_stream()
    head = [(":method", "GET"), (":path", "/x"), (":authority", "a"), ("x-forwarded-proto", "http")]
    stream.send_request_headers(Headers(head))
    stream.send_response_headers()
    assert [action for _, action in stream.actions] == [Action.PAUSE, Action.PAUSE]
    assert "on_http_request_headers" in repr(stream), "what holds the part that must go on first"
    stream.disconnect()
    assert repr(stream) == "<HttpStream 5: closed>"
    assert repr(HostEmulator(pwasm.HttpContext).request()) == "<HttpStream 2: status 200>"
