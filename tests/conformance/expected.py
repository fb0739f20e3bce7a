"""What a real Envoy did with each case: one line a case in tests/golden/conformance.json, written with --bless."""

from __future__ import annotations

import json
from pathlib import Path

from .observe import Observation

FILE = Path(__file__).parents[1] / "golden" / "conformance.json"

EXCLUDED: dict[str, str] = {
    "78-control-in-a-value": "refused at once when a connection is ready, by an answer with 503 when it must be opened",
}
"""Case → why not all three hosts agree on it. At most ten."""


def load() -> dict[str, Observation]:
    """Every case's outcome."""
    if not FILE.exists():
        return {}
    expected: dict[str, Observation] = json.loads(FILE.read_text(encoding="utf-8"))
    return expected


def save(outcomes: dict[str, Observation]) -> None:
    """Write the outcomes."""
    lines = [f"{json.dumps(name)}: {json.dumps(outcome)}" for name, outcome in outcomes.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
