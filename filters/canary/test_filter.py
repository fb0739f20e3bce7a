from collections import Counter

import pytest
from filter import Config

from pwasm.testing import World

TENTH = {"variants": {"canary": 10, "beta": 2.5}, "header": "x-user"}

pytestmark = pytest.mark.pwasm(configuration=TENTH)


def variant(world: World, *headers: tuple[str, str]) -> str:
    """Where a request goes."""
    response = world.request("GET", "/", headers)
    assert response.status == 200
    received = world.upstream.requests[-1].headers.get_all("x-variant")
    assert received == response.headers.get_all("x-variant")
    return ",".join(received)


def test_a_part_of_the_clients_goes_there(pwasm_world: World) -> None:
    went = {user: variant(pwasm_world, ("x-user", user)) for user in map(str, range(300))}

    # SHA-256 decides, so this is the same in every world and every worker.
    assert Counter(went.values()) == {"stable": 262, "canary": 29, "beta": 9}
    assert {user: variant(pwasm_world, ("x-user", user)) for user in list(went)[:50]} == dict(list(went.items())[:50])


def test_those_who_are_there_stay_when_there_are_more() -> None:
    few, many = (Config(variants={"canary": percent}) for percent in (10, 30))
    clients = [f"client{number}" for number in range(1000)]
    before = {client for client in clients if few.variant(client) == "canary"}
    after = {client for client in clients if many.variant(client) == "canary"}
    assert before < after
    assert (len(before), len(after)) == (91, 287)


def test_a_client_without_a_name_gets_a_cookie(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/", {"cookie": "theme=dark; variant_id=forged"})
    cookie, _, attributes = response.headers["set-cookie"].partition("; ")
    assert attributes == "Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"

    for given in (cookie, f"theme=dark; {cookie}", f"{cookie};a=b"):
        again = pwasm_world.request("GET", "/", {"cookie": given})
        assert again.headers["x-variant"] == response.headers["x-variant"]
        assert again.headers.get("set-cookie") is None


def test_two_clients_without_a_name_are_two(pwasm_world: World) -> None:
    assert len({pwasm_world.request("GET", "/").headers["set-cookie"] for _ in range(4)}) == 4


@pytest.mark.parametrize(("asked", "goes"), [("canary", "canary"), ("stable", "stable"), ("nowhere", "stable")])
def test_a_tester_may_choose(pwasm_world: World, asked: str, goes: str) -> None:
    assert variant(pwasm_world, ("x-user", "0"), ("x-choose-variant", asked)) == goes


def test_the_header_of_the_routes_is_ours(pwasm_world: World) -> None:
    assert variant(pwasm_world, ("x-user", "0"), ("x-variant", "canary"), ("x-variant", "beta")) == "stable"


@pytest.mark.parametrize("user", ["é", "\udcff\udcfe", "x" * 5000])
def test_strange_clients(pwasm_world: World, user: str) -> None:
    assert variant(pwasm_world, ("x-user", user)) == variant(pwasm_world, ("x-user", user))


@pytest.mark.pwasm(configuration={"variants": {"a": 60, "b": 50}}, starts=False)
def test_parts_that_are_more_than_all_are_refused(pwasm_world: World) -> None:
    reason = "$: the variants add up to more than 100 percent"
    pwasm_world.eventually(lambda: any(reason in text for text in pwasm_world.logs()), reason)
