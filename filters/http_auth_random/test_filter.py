import pytest
from filter import fnv1a_32

from pwasm.testing import RESET, Answer, Request, World


def httpbin(request: Request) -> str:
    """The hashes of these answers are even and odd."""
    return {"/even": "a", "/odd": "b"}[request.path]


pytestmark = pytest.mark.pwasm(clusters={"httpbin": httpbin})


def test_access_is_granted_to_an_even_hash(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/even", {"this-is-key": "this-is-value"})

    assert (response.status, response.text) == (200, "hello from upstream")
    assert pwasm_world.clusters["httpbin"].requests[0].headers["this-is-key"] == "this-is-value"
    assert {
        "request header: this-is-key: this-is-value",
        "http call dispatched to httpbin",
        "response header from httpbin: :status: 200",
        "access granted",
    } <= set(pwasm_world.logs("info"))


def test_access_is_forbidden_to_an_odd_hash(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/odd")

    assert (response.status, response.text, response.headers["powered-by"]) == (403, "access forbidden", "pwasm")
    assert "access forbidden" in pwasm_world.logs("info")
    assert pwasm_world.upstream.requests == []


@pytest.mark.parametrize("answer", [RESET, Answer(500, body="a")], ids=["reset", "500"])
def test_a_service_that_fails_grants_nothing(pwasm_world: World, answer: Answer) -> None:
    pwasm_world.clusters["httpbin"].handler = answer

    assert pwasm_world.request("GET", "/even").status == 403
    assert pwasm_world.upstream.requests == []


def test_the_hash() -> None:
    """Test vectors of the FNV authors."""
    assert [fnv1a_32(data) for data in (b"", b"a", b"foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]
