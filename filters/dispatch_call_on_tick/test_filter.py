import pytest

from pwasm.testing import Plugin, Request, World


def web_service(request: Request) -> int:
    return {"/ok": 200, "/fail": 503}[request.path]


@pytest.mark.pwasm(
    clusters={"web_service": web_service},
    plugins=[Plugin("one", configuration="plugin1"), Plugin("two", configuration="plugin2")],
)
def test_each_plugin_calls_on_its_ticks(pwasm_world: World) -> None:
    wanted = {f"called {number} for contextID={context_id}" for number in range(1, 6) for context_id in (1, 2)}
    wanted |= {f"response header for the dispatched call: :status: {status}" for status in (200, 503)}

    pwasm_world.eventually(
        lambda: wanted <= set(pwasm_world.logs("info")), "five answers for each plugin, of both kinds"
    )
