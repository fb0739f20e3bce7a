"""The parts of a run that are compared: what filter, upstream and client saw, without anything that may vary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pwasm import LogLevel

Message = dict[str, Any]
"""A request or a response: `start` or `status`, `headers`, `body`, `trailers`, `rest`, as far as there is something."""

_OF_THE_CONNECTION = {"date", "server", "connection", "transfer-encoding", "content-length"}
_LONG = 200
_NOT_COMPARED = "…"


@dataclass(frozen=True)
class Called:
    """A callback of the filter."""

    callback: str
    arguments: Mapping[str, int] = field(default_factory=dict)
    results: Sequence[Mapping[str, Any]] = field(default_factory=list)
    """What the host answered to each operation of the script, by the names that the ABI has."""
    returned: int | None = None


@dataclass(frozen=True)
class Logged:
    """Anything else in the log."""

    level: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """The comparable part of a run."""

    log: tuple[Called | Logged, ...] = ()
    client: Message | None = None
    upstream: tuple[Message, ...] = ()
    calls: tuple[Message, ...] = ()
    crash: str = ""
    """Which crash of Envoy this is, and then it is all there is."""

    @classmethod
    def of_json(cls, found: dict[str, Any]) -> Outcome:
        """The inverse of `as_json`."""
        log = (Called(**entry) if "callback" in entry else Logged(**entry) for entry in found.get("log", ()))
        upstream, calls = found.get("upstream", ()), found.get("calls", ())
        return cls(tuple(log), found.get("client"), tuple(upstream), tuple(calls))

    def as_json(self) -> dict[str, Any]:
        """Without the fields that are empty; a text may be."""
        log = [_not_empty(asdict(entry)) if isinstance(entry, Called) else asdict(entry) for entry in self.log]
        return _not_empty({**asdict(self), "log": log})

    def called(self, callback: str) -> list[Mapping[str, int]]:
        """The arguments of each call of a callback."""
        return [entry.arguments for entry in self.log if isinstance(entry, Called) and entry.callback == callback]


def outcome(
    log: Iterable[tuple[int, str]],
    client: Message,
    requests: Sequence[Message],
    calls: Sequence[Message],
    ignore: Sequence[str] = (),
) -> Outcome:
    """The comparable part of a run; `ignore` names the parts that depend on timing."""
    entries = map(log_entry, log)
    seen = Outcome(
        tuple(entry for entry in entries if not isinstance(entry, Called) or entry.callback != "context_create"),
        _message(client) or None,
        tuple(map(_message, requests)),
        tuple(map(_message, calls)),
    )
    return replace(seen, **{name: getattr(Outcome, name) for name in ignore})


def log_entry(entry: tuple[int, str]) -> Called | Logged:
    """A callback, where the probe wrote the entry; its lines begin with "@"."""
    level, text = entry
    if text.startswith("@{"):
        try:
            line = json.loads(text[1:])
        except ValueError:  # the other half is not read yet
            pass
        else:
            return Called(line["callback"], line["arguments"], _steady(line["results"]), line["returned"])
    return Logged(LogLevel(level).name, text)


def _not_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", [], {}, ())}


def _steady(value: Any) -> Any:
    """Without the date, and without the header of a connection that is closed."""
    if isinstance(value, dict):
        return {name: _steady(item) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    if value[:1] in (["date"], ["x-envoy-upstream-service-time"]) and len(value) == 2:
        return [value[0], _NOT_COMPARED]
    return [_steady(item) for item in value if item != ["connection", "close"]]


def _message(message: Message) -> Message:
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
