import pytest

from pwasm.testing import World


def values(world: World) -> list[int]:
    texts = [text for text in world.logs("info") if text.startswith("shared value: ")]
    return sorted(int(text.removeprefix("shared value: ")) for text in texts)


@pytest.mark.pwasm(workers=2)
def test_requests_are_counted_across_workers(pwasm_world: World) -> None:
    pending = [pwasm_world.send("GET", "/") for _ in range(10)]
    assert {request.response().status for request in pending} == {200}

    assert values(pwasm_world) == list(range(1, 11))
