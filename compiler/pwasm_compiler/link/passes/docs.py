"""Docstrings in C: the text after the signature, which only `__doc__` and `help()` read.

`PyDoc_STRVAR(text, "name($self, x, /)\\n--\\n\\nWhat it does.")`: the signature stays, as `__text_signature__`.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

from ...cpython314 import DOCSTRING
from ...wasm.module import Kind
from ..dead_data import Range
from ..layout import Layout
from ..memory import read_memory
from .references import ReferenceTable


def find_docs(layout: Layout, references: ReferenceTable) -> Iterator[Range]:
    """The ranges of such texts. Linkers may share string tails: a text that is referenced in the middle stays."""
    named = {value for held in references.pointers.values() for kind, value in held if kind is Kind.MEMORY}
    places = sorted(named.union(references.starts))
    for memory in references.memory:
        yield from _texts(read_memory(layout, memory.start, len(memory)), memory.start, places)


def _texts(data: bytes, base: int, places: Sequence[int]) -> Iterator[Range]:
    for found in DOCSTRING.finditer(data):
        start, end = base + found.start(1), base + found.end(1)
        if bisect.bisect_left(places, start) == bisect.bisect_left(places, end):
            yield start, end
