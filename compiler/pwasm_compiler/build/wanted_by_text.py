"""Modules that CPython imports for certain words in a source, which no import statement names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from ..cpython314 import ALWAYS_WANTED, WANTED_BY_TEXT


def wanted_by_text(sources: Mapping[str, str], own: Collection[str]) -> tuple[str, ...]:
    """The modules for `sources` (path → text), of which some are the filter's `own`."""
    found = dict.fromkeys(ALWAYS_WANTED)
    for path, text in sources.items():
        found |= dict.fromkeys(_wanted_by(text, path in own))
    return tuple(found)


def _wanted_by(text: str, own: bool) -> Iterator[str]:
    for pattern, modules in WANTED_BY_TEXT:
        if re.search(pattern, text):
            yield from modules
    if own and not text.isascii():
        yield "unicodedata"  # `traceback` measures lines that are not in ASCII
