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

ELSEWHERE: dict[str, tuple[int, ...]] = {
    "tests/sdk/test_deadline_emulator.py": (1, 2, 3, 4, 6),
    "tests/sdk/test_policy.py": (9,),
    "tests/sdk/test_dispatch.py": (8, 112),
    "tests/sdk/test_shared.py": (91,),
    "tests/envoy/test_plugins.py": (12,),
    "tests/guest_python_cases.py": (14, 18, 19, 20, 21, 22, 120),
}
"""Numbers of abi.md §5 that no exchange can show: modules that do not load, and what only Python in Wasm does."""
OPEN = {
    5: "a start function main; pwasm's modules have none",
    7: "a malloc that returns 0",
    13: "start-up in W + 3 instances is Envoy's; an emulator is one VM",
    108: "10^5 streams",
    119: "traps under each failure policy",
    121: "no limit in Envoy; the time limit of a test is tests/sdk/test_deadline_emulator.py",
    122: "awaits",
}
"""Numbers without a test here, and what they are."""


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
