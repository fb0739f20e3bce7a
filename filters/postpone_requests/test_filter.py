import pytest

from pwasm.testing import World

pytestmark = pytest.mark.pwasm(configuration="200")


def test_requests_wait_for_the_tick(pwasm_world: World) -> None:
    pending = [pwasm_world.send("GET", "/") for _ in range(3)]

    assert [request.response().status for request in pending] == [200, 200, 200]
    logs = pwasm_world.logs("info")
    postponed = [text.split("=")[1] for text in logs if text.startswith("postpone request with contextID=")]
    resumed = [text.split("=")[1] for text in logs if text.startswith("resume request with contextID=")]
    assert postponed == resumed
    assert len(set(resumed)) == 3


def test_a_client_that_does_not_wait_is_forgotten(pwasm_world: World) -> None:
    pwasm_world.request("GET", "/impatient", timeout=0.05)

    assert pwasm_world.request("GET", "/").status == 200
