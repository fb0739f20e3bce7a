"""What is compared of a run: what the filter saw, what upstream and the client got; and nothing that may differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

Observation = dict[str, Any]

_OF_THE_CONNECTION = {"date", "server", "connection", "transfer-encoding", "content-length"}
_LONG = 200


def observation(
    log: Iterable[tuple[int, str]],
    client: dict[str, Any],
    requests: Sequence[dict[str, Any]],
    calls: Sequence[dict[str, Any]],
    ignore: Sequence[str] = (),
) -> Observation:
    """The comparable part of a run, as JSON has it."""
    entries = [entry for entry in map(log_entry, log) if entry[0] != "context_create"]
    seen = {
        "log": entries,
        "client": _message(client),
        "upstream": [_message(request) for request in requests],
        "calls": [_message(call) for call in calls],
    }
    result: Observation = json.loads(
        json.dumps({name: value for name, value in seen.items() if value and name not in ignore})
    )
    return result


def log_entry(entry: tuple[int, str]) -> list[Any]:
    """`[callback, arguments, results, returned]` of a callback, `[level, text]` of anything else."""
    level, text = entry
    if not text.startswith("@["):
        return [level, text]
    try:
        part, arguments, results, returned = json.loads(text[1:])[1:]
    except ValueError:  # the other half is not read yet
        return [level, text]
    return [part, arguments, _steady(results), returned]


def _steady(value: Any) -> Any:
    """Without the date, and without the header of a connection that is closed."""
    if not isinstance(value, list):
        return value
    if value[:1] in (["date"], ["x-envoy-upstream-service-time"]) and len(value) == 2:
        return [value[0], "…"]
    return [_steady(item) for item in value if item != ["connection", "close"]]


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """Headers sorted by name (their order on the wire is the codec's), without those of the connection."""
    shown = {name: value for name, value in message.items() if value not in ("", [], True) and name != "headers"}
    pairs = [pair for pair in message.get("headers", ()) if pair[0].lower() not in _OF_THE_CONNECTION]
    if pairs:
        shown["headers"] = sorted(([name.lower(), _short(value)] for name, value in pairs), key=lambda pair: pair[0])
    for name in ("body", "rest", "start"):
        if name in shown:
            shown[name] = _short(shown[name])
    return shown


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:8]}…{len(text)}…{text[-8:]}"
