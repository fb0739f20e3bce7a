"""What PAUSE holds on a TCP connection comes again with what follows, in every tier; see projects/tcp_line."""

from __future__ import annotations

import pytest

from pwasm.testing import World

pytestmark = pytest.mark.pwasm(filter="../../../projects/tcp_line")


def _wait_for_lines(world: World, count: int) -> None:
    world.eventually(lambda: len(world.logs()) >= count)


def _send_each(world: World, parts: tuple[bytes, ...]) -> bytes:
    """Send the parts one by one, each when the filter has seen the one before; returns what comes back."""
    client = world.connect()
    for count, part in enumerate(parts, 1):
        client.send(part)
        _wait_for_lines(world, count)
    data = client.receive(sum(map(len, parts)))
    client.close()
    return data


def test_a_line_comes_in_three_parts(pwasm_world: World) -> None:
    assert _send_each(pwasm_world, (b"ab", b"cd", b"e\n")) == b"abcde\n"
    assert pwasm_world.logs() == ["down 2 'ab'", "down 4 'abcd'", "down 6 'abcde\\n'", "up 6 'abcde\\n'"]


@pytest.mark.pwasm(tcp=lambda data: data.replace(b"\n", b""))
def test_what_upstream_sends_comes_again_too(pwasm_world: World) -> None:
    client = pwasm_world.connect()
    for count, part in enumerate((b"one\n", b"two\n"), 1):
        client.send(part)
        _wait_for_lines(pwasm_world, 2 * count)
    assert [line for line in pwasm_world.logs() if line.startswith("up")] == ["up 3 'one'", "up 6 'onetwo'"]
    assert client.receive(timeout=0.2) == b""  # upstream's line is not complete
    client.close()
