import re

from pwasm.testing import World


def test_it_says_hello_and_a_random_number_on_each_tick(pwasm_world: World) -> None:
    assert "on_plugin_start from Python!" in pwasm_world.logs("info")

    def said() -> list[str]:
        return [text for text in pwasm_world.logs("info") if re.fullmatch(r"It's \d+: random value: \d+", text)]

    first, second, *_ = pwasm_world.eventually(lambda: said()[1:] and said(), "two ticks")
    assert first.rpartition(" ")[2] != second.rpartition(" ")[2]
