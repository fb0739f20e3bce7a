import pytest

from pwasm.testing import Plugin, World

pytestmark = pytest.mark.pwasm(
    plugins=[
        Plugin("random"),
        Plugin("canary", configuration="canary"),
        Plugin("primary", configuration="primary"),
    ]
)


def authorities(world: World, plugin: str, requests: int = 1) -> set[str]:
    """The authorities of the requests that upstream received."""
    for _ in range(requests):
        assert world.request("GET", "/", {":authority": "example.com"}, plugin=plugin).status == 200
    return {request.authority for request in world.upstream.requests}


def test_the_canary_has_an_authority_of_its_own(pwasm_world: World) -> None:
    assert authorities(pwasm_world, "canary") == {"example.com-canary"}


def test_the_primary_sees_the_request_unchanged(pwasm_world: World) -> None:
    assert authorities(pwasm_world, "primary") == {"example.com"}


def test_both_get_requests(pwasm_world: World) -> None:
    """With 64 requests, the probability that all of them go the same way is 2**-63."""
    assert authorities(pwasm_world, "random", requests=64) == {"example.com", "example.com-canary"}
