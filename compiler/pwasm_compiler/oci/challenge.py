"""The header WWW-Authenticate: RFC 9110 section 11.6.1, with the parameters of Docker's token specification."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)\s*')
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?:\s+|$)")


@dataclass(frozen=True)
class Challenge:
    """One authentication challenge; the scheme and parameter names are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Every challenge in the header's values; parsing of a value stops at the first error."""
    return [challenge for header in headers for challenge in _challenges(header)]


def _challenges(text: str) -> list[Challenge]:
    found = []
    position = 0
    while match := _SCHEME.match(text, position):
        position, parameters = match.end(), {}
        while parameter := _PARAMETER.match(text, position):
            quoted, plain = parameter[2], parameter[3]
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            parameters[parameter[1].lower()] = value
            position = parameter.end()
        found.append(Challenge(match[1].lower(), parameters))
    return found
