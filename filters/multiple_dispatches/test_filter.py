import pytest

from pwasm.testing import RESET, World

pytestmark = pytest.mark.pwasm(clusters={"httpbin": "hello"})


def test_the_response_waits_for_ten_answers(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/")

    assert (response.status, response.text) == (200, "hello from upstream")
    assert response.headers["total-dispatched"] == "10"
    assert len(pwasm_world.clusters["httpbin"].requests) == 10
    assert [text for text in pwasm_world.logs("info") if text.startswith(("pending", "response"))] == [
        *(f"pending dispatched requests: {number}" for number in range(9, 0, -1)),
        "response resumed after processed 10 dispatched request",
    ]


def test_answers_that_do_not_come_are_not_waited_for(pwasm_world: World) -> None:
    pwasm_world.clusters["httpbin"].handler = RESET

    assert pwasm_world.request("GET", "/").headers["total-dispatched"] == "10"
