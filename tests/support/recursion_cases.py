"""The valid responses of tests/projects/deep: every kind of recursion succeeds, or ends in a Python exception."""

from __future__ import annotations

from collections.abc import Callable

DEPTH = 40_000
"""Levels of nesting; V8's stack ends after 450 to 6,000 of them, by kind."""
FREED = "done"
ENDS_WELL = {"RecursionError", "MemoryError", "ValueError", "TypeError", "ParseError", FREED}
"""`ValueError` is marshal's own limit, `MemoryError` the parser's; `TypeError` and `ParseError` come of bad input."""

RAISES = {
    # What a filter's author must be able to rely on.
    "json_list": "RecursionError",
    "json_object": "RecursionError",
    "json_open": "RecursionError",
    "json_dumps": "RecursionError",
    "repr_list": "RecursionError",
    "pickle_list": "RecursionError",
    "pickle_loads": FREED,
    "deepcopy": "RecursionError",
    "xml": FREED,
    "free_list": FREED,
    "free_objects": FREED,
    "hash_tuple": "RecursionError",
    "equal_list": "RecursionError",
    "sorted": "RecursionError",
    "map": "RecursionError",
    "reduce": "RecursionError",
    "special_getattr": "RecursionError",
    "special_repr": "RecursionError",
    "tower_chain": "RecursionError",
}
ENOUGH = {
    # Levels that must work: a limit that is too tight is a fault as well.
    "json_list": 1000,
    "json_object": 900,
    "json_dumps": 900,
    "repr_list": 900,
    "pickle_list": 400,
    "xml": 10_000,
    "free_list": 10_000,
    "hash_tuple": 900,
    "deepcopy": 300,
}


def check(ask: Callable[[str], str]) -> None:
    """Ask for every kind; `ask` gets a path, answers with the body, and fails when the VM dies."""
    kinds = ask("/").split()
    assert len(kinds) > 180
    outcomes = {kind: ask(f"/{kind}?{DEPTH}") for kind in kinds}
    assert {kind: outcome for kind, outcome in outcomes.items() if outcome not in ENDS_WELL} == {}
    assert {kind: outcomes[kind] for kind in RAISES} == RAISES
    assert {kind: ask(f"/{kind}?{depth}") for kind, depth in ENOUGH.items()} == dict.fromkeys(ENOUGH, FREED)
