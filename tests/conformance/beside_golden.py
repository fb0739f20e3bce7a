"""What Envoy did with the cases beside other filters: tests/golden/beside.json.

For each case the outcomes that there are, each with the chains in which it is the one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from . import expected
from .cases.beside import BESIDE
from .observe import Outcome

FILE = expected.FILE.with_name("beside.json")


def of_the_case(name: str, outcome: Outcome) -> Outcome:
    """The outcome with the case's own name in place of the exchange's."""
    text = json.dumps(outcome.as_json(), ensure_ascii=False)
    return Outcome.of_json(json.loads(text.replace(name, BESIDE[name][0].id)))


def load() -> dict[str, Outcome]:
    """Every exchange's outcome."""
    if not FILE.exists():
        return {}
    found: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        f"{case}@{chain}": Outcome.of_json(group["outcome"])
        for case, groups in found.items()
        for group in groups
        for chain in group["chains"].split()
    }


def save(outcomes: Mapping[str, Outcome]) -> None:
    """Write the outcomes."""
    found: dict[str, dict[str, tuple[dict[str, Any], list[str]]]] = {}
    for name, outcome in outcomes.items():
        case, _, chain = name.partition("@")
        groups = found.setdefault(case, {})
        seen = outcome.as_json()
        groups.setdefault(json.dumps(seen), (seen, []))[1].append(chain)
    expected.write(
        FILE,
        {
            case: [{"chains": " ".join(chains), "outcome": seen} for seen, chains in groups.values()]
            for case, groups in found.items()
        },
    )
