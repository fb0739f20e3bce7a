import pytest

from pwasm.testing import World


@pytest.mark.parametrize(
    "body",
    ["the pattern", [b"nothing here, ", b"a pattern here"], [b"and half a pat", b"tern at a seam", b", too"]],
    ids=["whole", "in a later chunk", "across two chunks"],
)
def test_a_body_with_the_pattern_is_refused(pwasm_world: World, body: str | list[bytes]) -> None:
    response = pwasm_world.request("POST", "/", body=body)

    assert (response.status, response.text, response.headers["powered-by"]) == (403, "access forbidden", "pwasm")
    assert any(text.startswith("pattern found in chunk: ") for text in pwasm_world.logs("info"))
    assert pwasm_world.upstream.requests == []


@pytest.mark.parametrize("body", ["hello", [b"pat", b"-", b"tern"]], ids=["whole", "in chunks"])
def test_other_bodies_arrive(pwasm_world: World, body: str | list[bytes]) -> None:
    response = pwasm_world.request("POST", "/", body=body)

    assert response.status == 200
    assert "pattern not found" in pwasm_world.logs("info")
    (received,) = pwasm_world.upstream.requests
    assert received.text == (body if isinstance(body, str) else "pat-tern")


def test_a_body_with_trailers_arrives(pwasm_world: World) -> None:
    response = pwasm_world.request("POST", "/", body="hello", trailers={"x-end": "1"})

    assert response.status == 200
    assert [request.text for request in pwasm_world.upstream.requests] == ["hello"]


def test_a_request_without_a_body_passes(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/").status == 200
