"""shared_queue: senders put data about HTTP and TCP traffic into queues, from which receivers take it.

One module has three roles, selected by `root_id`: "http_sender" and "tcp_sender" in filter chains, and "receiver" as a
singleton service with the queue's name as its configuration. Receivers run in the VM "receiver", by which senders find
their queues.
"""

import hashlib
import json

import pwasm
from pwasm import Action, HttpContext, NotFound, PluginContext, TcpContext

RECEIVER_VM_ID = "receiver"


class Receiver(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        name = self.configuration.decode()
        self.queues = {pwasm.register_shared_queue(name): name}

    def on_queue_ready(self, queue_id: int) -> None:
        for item in pwasm.drain_shared_queue(queue_id):
            pwasm.log_info("dequeued data from %s: %s", self.queues[queue_id], item.decode(errors="replace"))


class HttpSender(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        for name, value in self.request.headers.items():
            enqueue("http_request_headers", encode(name, value))
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        for name, value in self.response.headers.items():
            enqueue("http_response_headers", encode(name, value))
        return Action.CONTINUE


class TcpSender(TcpContext):
    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        if data_size:
            enqueue("tcp_data_hashes", hashlib.sha256(pwasm.get_upstream_data()).hexdigest())
        return Action.CONTINUE


def encode(name: str, value: str) -> str:
    return f'{{"key": {json.dumps(name)},"value": {json.dumps(value)}}}'


def enqueue(queue: str, data: str) -> None:
    try:
        queue_id = pwasm.resolve_shared_queue(RECEIVER_VM_ID, queue)
    except NotFound:
        pwasm.log_warn("no receiver for %s", queue)
        return
    pwasm.enqueue_shared_queue(queue_id, data)
    pwasm.log_info("enqueued data: %s", data)


pwasm.set_plugin_context(Receiver, root_id="receiver")
pwasm.set_http_context(HttpSender, root_id="http_sender")
pwasm.set_tcp_context(TcpSender, root_id="tcp_sender")
