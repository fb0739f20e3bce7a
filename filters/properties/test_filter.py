import pytest

from pwasm.testing import World


def of_route(header: str) -> pytest.MarkDecorator:
    return pytest.mark.pwasm(route_metadata={"envoy.filters.http.wasm": {"auth": header}})


@of_route("cookie")
def test_without_the_header_of_the_route_a_request_is_refused(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/one", {"authorization": "token"})

    assert (response.status, response.body) == (401, b"")
    assert 'auth header is "cookie"' in pwasm_world.logs("info")
    assert pwasm_world.upstream.requests == []


@of_route("cookie")
def test_a_grpc_client_learns_that_it_is_not_authenticated(pwasm_world: World) -> None:
    response = pwasm_world.request("POST", "/one", {"content-type": "application/grpc", "te": "trailers"})

    if pwasm_world.tier == "envoy":  # the emulator does not translate answers for gRPC clients
        assert (response.status, response.headers["grpc-status"]) == (200, "16")
    assert pwasm_world.upstream.requests == []


@of_route("cookie")
def test_with_the_header_it_passes(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/one", {"cookie": "value"}).status == 200


@of_route("authorization")
def test_another_route_wants_another_header(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/two", {"cookie": "value"}).status == 401
    assert pwasm_world.request("GET", "/two", {"authorization": "token"}).status == 200


def test_a_route_without_metadata_is_open(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/three").status == 200
    assert "no auth header for route" in pwasm_world.logs("info")
