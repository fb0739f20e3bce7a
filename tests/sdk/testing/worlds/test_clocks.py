"""All clocks that a filter can read advance by the time that a test lets pass; tests/projects/clocks reads them all."""

from __future__ import annotations

import time

import pytest

from pwasm.testing import World

pytestmark = pytest.mark.pwasm(filter="../../../projects/clocks")

WALL_CLOCKS = ("sdk", "time", "time_ns", "now", "utc", "gmtime", "localtime", "email")
WHOLE_SECONDS = ("gmtime", "localtime", "email")
Readings = dict[str, float]


def _readings(world: World, sleep: float = 0) -> tuple[Readings, Readings]:
    before, after = world.request(headers={"x-sleep": str(sleep)} if sleep else {}).json()
    return before, after


def _assert_passed(before: Readings, after: Readings, seconds: float, tier: str) -> None:
    for name, start in before.items():
        passed = after[name] - start
        # Envoy's timers count whole milliseconds, and one may be early by a part of one (1.24986 of 1.25 s was seen).
        coarse = 1 if name in WHOLE_SECONDS else 1e-3 if tier == "envoy" else 1e-5
        assert passed > seconds - coarse, name
        if tier != "envoy":
            assert passed < seconds + coarse, name


def test_advance_moves_every_clock(pwasm_world: World) -> None:
    before, _ = _readings(pwasm_world)
    pwasm_world.advance(2)
    after, _ = _readings(pwasm_world)
    _assert_passed(before, after, 2, pwasm_world.tier)


@pytest.mark.parametrize(
    ("seconds", "kind"),
    [(-5, ValueError), (float("nan"), ValueError), (float("inf"), ValueError), ("2", TypeError), (None, TypeError)],
)
def test_time_only_goes_forward(pwasm_world: World, seconds: float, kind: type[Exception]) -> None:
    """The same words in every tier."""
    with pytest.raises(kind, match=f"advance takes a .*number of seconds.*, not {seconds!r}"):
        pwasm_world.advance(seconds)
    pwasm_world.advance(0)


def test_a_sleep_moves_every_clock(pwasm_world: World) -> None:
    before, after = _readings(pwasm_world, sleep=1.25)
    _assert_passed(before, after, 1.25, pwasm_world.tier)


def test_clocks_begin_with_the_real_time(pwasm_world: World) -> None:
    """So a value that a test derives from `time.time()`, such as a token, is as valid as in Envoy."""
    before, _ = _readings(pwasm_world)
    for name in WALL_CLOCKS:
        assert abs(before[name] - time.time()) < 60, name


@pytest.mark.pwasm(time=4_000_000_000.25)
def test_clocks_begin_where_the_test_says(pwasm_world: World) -> None:
    if pwasm_world.tier == "envoy":
        return  # there time is what it is
    before, _ = _readings(pwasm_world)
    for name in WALL_CLOCKS:
        assert int(before[name]) == 4_000_000_000, name
    assert before["monotonic"] < 4_000_000_000


@pytest.mark.pwasm(workers=2)
def test_workers_have_one_time(pwasm_world: World) -> None:
    if pwasm_world.tier == "envoy":
        return  # which worker is asked is Envoy's decision
    first, second = _readings(pwasm_world)[0], _readings(pwasm_world)[0]
    assert first == second
