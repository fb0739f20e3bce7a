"""Explanations and hints for messages of Envoy, Istio's agent and Envoy Gateway: `explain` reads a log.

A line often says both what happened and why ("error in converting …: cannot fetch …: x509: …"). The cause is explained,
with the effect beside it, and the excerpt of the line always contains what was recognized.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pwasm_compiler.envoy.explanation import Explanation
from pwasm_compiler.envoy.messages_envoy import ENVOY
from pwasm_compiler.envoy.messages_meshes import MESHES

EXPLANATIONS = (
    *(item for item in ENVOY + MESHES if not item.effect),
    *(item for item in ENVOY + MESHES if item.effect),
)
"""The first that matches explains a line: a cause before an effect."""

_COMPILED = tuple((re.compile(item.pattern), re.compile(item.context), item) for item in EXPLANATIONS)
# Protobuf varies the whitespace in its messages, on purpose
_SPACES = re.compile(r"\s+")
# hashicorp's multierror, in Istio's and Envoy Gateway's messages: "2 errors occurred:", then a line for each
_CONTINUATION = re.compile(r"^\s+\*\s")
_BEFORE, _SHOWN = 100, 320
"""Characters of a line to show before the cause, and in all."""


@dataclass(frozen=True)
class Found:
    """An explained message, the first line that matched, and the number of matching lines."""

    explanation: Explanation
    line: str
    count: int
    effect: Explanation | None = None
    """What follows from it, if the line says so, too."""
    start: int = 0
    """Where in `line` the cause begins."""
    plugin: str | None = None
    """The plugin that the line names; messages about several plugins are counted apart."""

    @property
    def excerpt(self) -> str:
        """The part of the line that contains the cause."""
        if len(self.line) <= _SHOWN:
            return self.line
        end = min(max(self.start - _BEFORE, 0) + _SHOWN, len(self.line))
        begin = max(end - _SHOWN, 0)
        return f"{'…' if begin else ''}{self.line[begin:end]}{'…' if end < len(self.line) else ''}"


def explanation_of(message: str) -> Explanation | None:
    """The explanation of the most specific part of a message."""
    found = _read(message)
    return None if found is None else found.explanation


def explain(lines: Iterable[str]) -> list[Found]:
    """Every known message in a log, in the order of its first line."""
    first: dict[tuple[Explanation, Explanation | None, str | None], Found] = {}
    for line in _joined(lines):
        found = _read(line)
        if found is not None:
            kind = found.explanation, found.effect, found.plugin
            seen = first.setdefault(kind, replace(found, count=0))
            first[kind] = replace(seen, count=seen.count + 1)
    return list(first.values())


def _read(message: str) -> Found | None:
    line = _SPACES.sub(" ", message).strip()
    matches = [
        (item, match)
        for pattern, context, item in _COMPILED
        if (match := pattern.search(line)) and context.search(line)
    ]
    if not matches:
        return None
    explanation, match = matches[0]
    effect = next((item for item, _ in matches[1:] if item.effect and not explanation.effect), None)
    named = {name: text for name, text in match.groupdict().items() if text}
    start = next((match.start(name) for name in named if name.startswith("cause")), match.start())
    return Found(explanation, line, 1, effect, start, named.get("plugin"))


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Messages of several lines as one."""
    message: str | None = None
    for line in lines:
        if message is not None and _CONTINUATION.match(line):
            message = f"{message.rstrip()} {line.strip()}"
            continue
        if message is not None:
            yield message
        message = line
    if message is not None:
        yield message
