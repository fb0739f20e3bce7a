"""Every rule of the emulator matters: deny one, and a case turns red.

A rule that could be wrong without a case noticing is a rule that nothing is known about.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from pwasm.testing.emulator import rules

from . import beside_golden, expected
from .beside_emulator import BesideEmulator
from .beside_golden import of_the_case
from .case import Case
from .cases.actions import ACTIONS
from .cases.beside import BESIDE
from .cases.chains import CHAINS, NEIGHBOURS
from .cases.crashes import CRASHES
from .cases.table import CASES
from .chain_worlds import ChainEmulator
from .emulator_world import EmulatorWorld, python_plugin
from .observe import Outcome

EXPECTED: dict[str, Any] = {
    **expected.load(),
    **expected.load(expected.CHAINS),
    **beside_golden.load(),
    **{case.id: Outcome(crash=crash) for case, crash in CRASHES.items()},
    **{case.id: seen for case, seen in ACTIONS.items()},
}
ALL = [
    *(case for case in (*CRASHES, *ACTIONS, *CASES, *CHAINS) if case.id not in expected.EXCLUDED),
    *(beside for _, beside in BESIDE.values()),
]


class Asked(dict[Any, Any]):
    """A table that notes which of its rows are asked for."""

    def __init__(self, rows: dict[Any, Any], seen: set[Any]) -> None:
        super().__init__(rows)
        self.seen = seen

    def __getitem__(self, key: Any) -> Any:
        self.seen.add(key)
        return super().__getitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        self.seen.add(key)
        return super().get(key, default)


HINTS = expected.FILE.with_name("conformance_rules.json")
TABLES = ("RULES", "STATUSES", "HEADER_ACTIONS", "DATA_ACTIONS")


@pytest.fixture(scope="module")
def world() -> Worlds:
    return Worlds()


class Worlds:
    """The emulator for a case."""

    def __init__(self) -> None:
        self.alone = EmulatorWorld(lambda tcp: python_plugin(tcp=tcp))
        self.in_chains = ChainEmulator(lambda tcp: python_plugin(tcp=tcp))
        self.beside = BesideEmulator(lambda tcp: python_plugin(tcp=tcp))

    def run(self, case: Case) -> Outcome:
        """Run one case to its end."""
        if case.id in BESIDE:
            return of_the_case(case.id, self.beside.run(case))
        return (self.in_chains if case.listener in NEIGHBOURS else self.alone).run(case)


@pytest.fixture(scope="module")
def hints(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Rule → a case that notices when it does not hold, as it was found last (--bless writes them)."""
    found: dict[str, str] = json.loads(HINTS.read_text(encoding="utf-8")) if HINTS.exists() else {}
    yield found
    if request.config.getoption("--bless"):
        HINTS.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def askers(world: Worlds) -> dict[tuple[str, Any], list[Case]]:
    """Row of a table → the cases that ask for it."""
    found: dict[tuple[str, Any], list[Case]] = {}
    with pytest.MonkeyPatch.context() as patch:
        seen: dict[str, set[Any]] = {name: set() for name in TABLES}
        for name in TABLES:
            patch.setattr(rules, name, Asked(getattr(rules, name), seen[name]))
        for case in ALL:
            run(world, case)
            for name, keys in seen.items():
                for key in keys:
                    found.setdefault((name, key), []).append(case)
                keys.clear()
    return found


def run(world: Worlds, case: Case) -> Any:
    """The part of the outcome that is compared: everything, except for ACTIONS."""
    try:
        outcome = world.run(case)
    except Exception as error:  # a mutant may do anything
        return repr(error)
    if case not in ACTIONS:
        return outcome
    seen = {**asdict(outcome), "bodies": outcome.called("request_body")}
    return {name: seen[name] for name in ACTIONS[case]}


def notices(world: Worlds, cases: list[Case], hint: str | None) -> str:
    """The first case with a changed outcome; the hint is only an optimization: it is tried first."""
    ordered = sorted(cases, key=lambda case: case.id != hint)
    return next((case.id for case in ordered if run(world, case) != EXPECTED[case.id]), "")


def other(table: str, row: Any) -> Any:
    """The denial of a row."""
    value = getattr(rules, table)[row]
    if table == "RULES":
        return not value
    if table == "STATUSES":
        return 0 if value else 2
    return rules.CONTINUE if value != rules.CONTINUE else rules.HOLD_ALL


@pytest.mark.parametrize(
    ("table", "row"),
    [(table, row) for table in TABLES for row in getattr(rules, table)],
    ids=[f"{table}-{row}" for table in TABLES for row in getattr(rules, table)],
)
def test_a_case_notices(
    table: str,
    row: Any,
    world: Worlds,
    askers: dict[tuple[str, Any], list[Case]],
    hints: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(getattr(rules, table), row, other(table, row))
    name = f"{table}: {row}"
    noticed = notices(world, askers.get((table, row), []), hints.get(name))
    assert noticed, f"no case notices when {row!r} does not hold"
    hints[name] = noticed


@pytest.mark.parametrize(("case", "crash"), CRASHES.items(), ids=[case.id for case in CRASHES])
def test_what_kills_envoy(case: Case, crash: str, world: Worlds) -> None:
    assert world.run(case) == Outcome(crash=crash)


@pytest.mark.parametrize("case", ACTIONS, ids=[case.id for case in ACTIONS])
def test_actions_that_the_sdk_never_returns(case: Case, world: Worlds) -> None:
    assert run(world, case) == ACTIONS[case]
