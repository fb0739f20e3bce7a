import pytest

from pwasm.testing import World

LOCATION = {"region": "ap-northeast-1", "cloud_provider": "aws", "az": "ap-northeast-1a"}

pytestmark = pytest.mark.pwasm(cluster_metadata={"location": LOCATION})


def test_a_connection_is_logged_and_counted(pwasm_world: World) -> None:
    connection = pwasm_world.connect()
    connection.send(b"GET / HTTP/1.1\r\nThis-Is-Key: this-is-value\r\n\r\n")
    assert connection.receive(46) == b"GET / HTTP/1.1\r\nThis-Is-Key: this-is-value\r\n\r\n"
    connection.close()

    pwasm_world.eventually(lambda: "connection complete!" in pwasm_world.logs("info"), "the end")
    logs = pwasm_world.logs("info")
    assert {"new connection!", "downstream connection close!"} <= set(logs)
    assert {f"upstream cluster metadata location[{key}]={value}" for key, value in LOCATION.items()} <= set(logs)
    address = "127.0.0.1:" if pwasm_world.tier == "envoy" else "None"  # the emulator has no addresses
    assert any(text.startswith(f"remote address: {address}") for text in logs)
    for start in (">>>>>> downstream data received", "<<<<<< upstream data received"):
        assert any(text.startswith(start) and "This-Is-Key: this-is-value" in text for text in logs)
    assert pwasm_world.metric("network_example.connection_counter") == 1


def test_data_that_is_no_text_passes(pwasm_world: World) -> None:
    connection = pwasm_world.connect()
    connection.send(b"\xff\0\xfe")

    assert connection.receive(3) == b"\xff\0\xfe"
    connection.close()
