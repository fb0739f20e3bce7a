from pwasm.testing import World


def test_the_header_is_added(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/one")

    assert response.status == 200
    assert response.headers["x-wasm-custom"] == "FOO"
    assert "adding the header" in pwasm_world.logs("info")
