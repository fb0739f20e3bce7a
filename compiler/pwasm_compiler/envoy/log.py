"""Envoy's log as records: `[time][thread][level][component] [file:line] message`, one record per message.

A message may have several lines (a Python traceback); Envoy prefixes only the first, so a line without a prefix
belongs to the record before it. A filter's messages have the component `wasm` and one more prefix, which includes
the plugin's name if it has one:

    wasm log <plugin name> <root_id> <vm_id>: text      from a stream
    wasm log <root_id> <vm_id>: text                    from the plugin context
    wasm log: text                                      while the VM starts
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

LEVELS = ("trace", "debug", "info", "warning", "error", "critical")
"""Envoy's names for the levels, in order; `LogRecord.level` is one of these, or "" for a line without a record."""

_PREFIX = re.compile(
    r"\[\d{4}-\d\d-\d\d (?P<time>\d\d:\d\d:\d\d\.\d+)\]"
    r"\[\d+\]"
    r"\[(?P<level>[a-z]+)\]"
    r"\[(?P<component>[^\]]+)\] "
    r"(?:\[(?P<source>[^\]\s]+:\d+)\] )?"
    r"(?P<message>.*)"
)
_WASM_PREFIX = re.compile(r"wasm log(?: (?P<origin>.*?))?: (?P<text>.*)", re.DOTALL)


@dataclass(frozen=True)
class LogRecord:
    """One message of Envoy's log; `raw` is Envoy's original text."""

    raw: str
    message: str
    level: str = ""
    component: str = ""
    time: str = ""
    source: str = ""

    @property
    def from_filter(self) -> bool:
        """Whether a Wasm filter logged this, rather than Envoy itself."""
        return self.component == "wasm" and _WASM_PREFIX.match(self.message) is not None

    @property
    def origin(self) -> str:
        """The plugin name, root id and VM id that Envoy put before a filter's message; empty parts are omitted."""
        match = _WASM_PREFIX.match(self.message) if self.component == "wasm" else None
        return (match["origin"] or "").strip() if match else ""

    @property
    def text(self) -> str:
        """The message as the filter wrote it, or Envoy's own message."""
        match = _WASM_PREFIX.match(self.message) if self.component == "wasm" else None
        return match["text"] if match else self.message

    def at_least(self, level: str) -> bool:
        """Whether this record is at least as severe as `level`; a line without a record never is."""
        return self.level in LEVELS and LEVELS.index(self.level) >= LEVELS.index(level)


class LogParser:
    """Turns lines into records; a record is complete when the next one starts, or on `flush`."""

    def __init__(self) -> None:
        self._pending: LogRecord | None = None
        self._last: LogRecord | None = None

    @property
    def pending(self) -> bool:
        """Whether a record is waiting for possible further lines."""
        return self._pending is not None

    def feed(self, line: str) -> LogRecord | None:
        """Take one line without its newline; return the record that it completed, if any."""
        match = _PREFIX.fullmatch(line)
        if match is None:
            self._continue(line)
            return None
        done = self.flush()
        self._pending = LogRecord(raw=line, **match.groupdict(default=""))
        return done

    def flush(self) -> LogRecord | None:
        """Stop waiting for further lines of the pending record and return it."""
        done, self._pending = self._pending, None
        self._last = done or self._last
        return done

    def _continue(self, line: str) -> None:
        if self._pending is not None:
            record = self._pending
            self._pending = replace(record, raw=f"{record.raw}\n{line}", message=f"{record.message}\n{line}")
        elif self._last is not None:
            # The record was flushed too early: the rest keeps its level, so that nothing is filtered out by accident.
            self._pending = replace(self._last, raw=line, message=line)
        else:
            self._pending = LogRecord(raw=line, message=line)


def parse_log(text: str) -> list[LogRecord]:
    """All records of a whole log."""
    parser = LogParser()
    records = [parser.feed(line) for line in text.splitlines()]
    return [record for record in (*records, parser.flush()) if record is not None]
