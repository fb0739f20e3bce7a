from collections.abc import Callable

import pytest

from pwasm.testing import Answer, World

pytestmark = pytest.mark.pwasm(
    configuration={"header": "X-Wasm-Header", "value": "demo-wasm"},
    upstream=Answer(200, {"server": "envoy"}, "hello"),
)


def test_headers_are_logged_and_added(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/uuid", {"this-is-key": "this-is-value"})

    assert response.status == 200
    assert response.headers["x-wasm-header"] == "demo-wasm"
    assert response.headers["x-proxy-wasm-go-sdk-example"] == "http_headers"
    (received,) = pwasm_world.upstream.requests
    assert received.headers["test"] == "best"
    assert {
        "request header --> this-is-key: this-is-value",
        "request header --> test: best",
        "response header <-- server: envoy",
        "response header <-- x-wasm-header: demo-wasm",
        "response header <-- x-proxy-wasm-go-sdk-example: http_headers",
    } <= set(pwasm_world.logs("info"))
    pwasm_world.eventually(lambda: any(text.endswith(" finished") for text in pwasm_world.logs()), "the end")


@pytest.mark.pwasm(starts=False)
@pytest.mark.parametrize("configuration", [None, '{"header": "x-only"}'])
def test_other_configurations_are_refused(pwasm_worlds: Callable[..., World], configuration: str | None) -> None:
    world = pwasm_worlds(configuration=configuration)

    assert not world.started
    assert any('{"header": …, "value": …}' in text for text in world.logs("critical"))
