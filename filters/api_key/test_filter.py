import pytest

from pwasm.testing import REFUSED, RESET, SILENCE, Answer, Request, World

pytestmark = pytest.mark.pwasm(configuration={"timeout_ms": 300})


def keys(request: Request) -> Answer:
    """The service, which knows one key."""
    return Answer(200, {"x-user": "ann"}) if request.path == "/keys/good" else Answer(404)


SERVICES = {"auth": keys}


@pytest.mark.pwasm(clusters=SERVICES)
def test_a_good_key_is_let_through(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/", {"x-api-key": "good"})

    assert response.status == 200
    received = pwasm_world.upstream.requests[0].headers
    assert (received["x-user"], received.get("x-api-key")) == ("ann", None)


@pytest.mark.pwasm(clusters=SERVICES)
@pytest.mark.parametrize(("key", "status"), [(None, 401), ("bad", 403), ("../keys/good", 403)])
def test_others_are_refused(pwasm_world: World, key: str | None, status: int) -> None:
    response = pwasm_world.request("GET", "/", {"x-api-key": key} if key else {})

    assert response.status == status
    assert pwasm_world.upstream.requests == []


@pytest.mark.pwasm(clusters={"auth": SILENCE})
def test_a_service_that_says_nothing(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/", {"x-api-key": "good"}).status == 503
    pwasm_world.eventually(lambda: any("no answer in time" in text for text in pwasm_world.logs()), "the warning")


@pytest.mark.pwasm(clusters={"auth": RESET})
def test_a_service_that_breaks(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/", {"x-api-key": "good"}).status == 503


@pytest.mark.pwasm(clusters={"auth": REFUSED}, configuration={"allow_on_failure": True})
def test_requests_may_pass_without_the_service(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/", {"x-api-key": "good"}).status == 200


@pytest.mark.pwasm(configuration={"timeout": 1}, starts=False)
def test_a_wrong_configuration_is_refused(pwasm_world: World) -> None:
    pwasm_world.eventually(lambda: any("$.timeout: unknown field" in text for text in pwasm_world.logs()), "the reason")
