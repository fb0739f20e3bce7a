import hashlib

import pytest

from pwasm.testing import Plugin, World

QUEUES = ("http_request_headers", "http_response_headers", "tcp_data_hashes")
RECEIVERS = [Plugin(name, root_id="receiver", configuration=name, kind="plugin") for name in QUEUES]
SENDERS = [Plugin("http", root_id="http_sender", kind="http"), Plugin("tcp", root_id="tcp_sender", kind="tcp")]

pytestmark = pytest.mark.pwasm(vm_id="receiver", plugins=RECEIVERS + SENDERS)


def wait_for(world: World, text: str) -> None:
    world.eventually(lambda: text in world.logs("info"), text)


def test_headers_go_through_queues(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", '/say"hello"', plugin="http").status == 200

    for queue, item in (
        ("http_request_headers", '{"key": ":method","value": "GET"}'),
        ("http_request_headers", '{"key": ":path","value": "/say\\"hello\\""}'),
        ("http_response_headers", '{"key": ":status","value": "200"}'),
    ):
        assert f"enqueued data: {item}" in pwasm_world.logs("info")
        wait_for(pwasm_world, f"dequeued data from {queue}: {item}")


def test_hashes_of_data_go_through_a_queue(pwasm_world: World) -> None:
    connection = pwasm_world.connect(plugin="tcp")
    connection.send(b"hello")
    assert connection.receive(5) == b"hello"

    wait_for(pwasm_world, f"dequeued data from tcp_data_hashes: {hashlib.sha256(b'hello').hexdigest()}")


@pytest.mark.pwasm(vm_id="another", plugins=SENDERS)
def test_without_a_receiver_requests_pass(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/", plugin="http").status == 200
    assert "no receiver for http_request_headers" in pwasm_world.logs("warn")
