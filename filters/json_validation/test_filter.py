from collections.abc import Callable

import pytest

from pwasm.testing import World

pytestmark = pytest.mark.pwasm(configuration={"requiredKeys": ["id", "token"]})

JSON = {"content-type": "application/json"}
COMPLETE = '{"id": "abc123", "token": "xyz456"}'


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_a_document_with_all_keys_passes(pwasm_world: World, content_type: str) -> None:
    response = pwasm_world.request("POST", "/", {"content-type": content_type}, COMPLETE)

    assert response.status == 200
    assert [request.text for request in pwasm_world.upstream.requests] == [COMPLETE]


def test_the_content_type_must_be_json(pwasm_world: World) -> None:
    for headers in ({}, {"content-type": "text/plain"}):
        response = pwasm_world.request("POST", "/", headers, COMPLETE)
        assert (response.status, response.text) == (403, "content-type must be application/json")


@pytest.mark.parametrize("body", ["", '{"id": "abc123"}', "{", "[]", "null", '"id token"', b"\xff", "[" * 100_000])
def test_other_bodies_are_refused(pwasm_world: World, body: str | bytes) -> None:
    response = pwasm_world.request("POST", "/", JSON, body)

    assert (response.status, response.text) == (403, "invalid payload")
    assert pwasm_world.upstream.requests == []


@pytest.mark.pwasm(starts=False)
@pytest.mark.parametrize("configuration", [None, '{"requiredKeys": "id"}'])
def test_other_configurations_are_refused(pwasm_worlds: Callable[..., World], configuration: str | None) -> None:
    world = pwasm_worlds(configuration=configuration)

    assert any('{"requiredKeys": […]}' in text for text in world.logs("critical"))
