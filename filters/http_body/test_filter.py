import pytest

from pwasm.testing import Plugin, Request, World


def echo(request: Request) -> bytes:
    return request.body or b"nothing came"


pytestmark = pytest.mark.pwasm(
    plugins=[Plugin("edit"), Plugin("echo", configuration="echo")],
    upstream=echo,
)

ORIGINAL = "[original body]"
EDITED = {
    "append": "[original body][this is appended body]",
    "prepend": "[this is prepended body][original body]",
    "replace": "[this is replaced body]",
    "something else": "[this is replaced body]",
}


@pytest.mark.parametrize("where", ["request", "response"])
@pytest.mark.parametrize("operation", EDITED)
def test_bodies_are_edited(pwasm_world: World, where: str, operation: str) -> None:
    headers = {"buffer-replace-at": where, "buffer-operation": operation}

    response = pwasm_world.request("PUT", "/anything", headers, ORIGINAL, plugin="edit")

    assert (response.status, response.text) == (200, EDITED[operation])
    assert f"original {where} body: {ORIGINAL}" in pwasm_world.logs("info")
    (received,) = pwasm_world.upstream.requests
    assert received.text == (EDITED[operation] if where == "request" else ORIGINAL)


def test_a_request_without_content_is_refused(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/anything", plugin="edit")

    assert (response.status, response.text) == (400, "content must be provided")
    assert pwasm_world.logs("error") == []
    assert pwasm_world.upstream.requests == []


def test_a_body_is_sent_back(pwasm_world: World) -> None:
    response = pwasm_world.request("POST", "/echo", body=[b"one ", b"two"], plugin="echo")

    assert (response.status, response.text) == (200, "one two")
    assert pwasm_world.upstream.requests == []
