from pwasm.testing import World


def test_a_route_without_metadata_is_open(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/three").status == 200
    assert "no auth header for route" in pwasm_world.logs("info")
