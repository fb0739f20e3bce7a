"""Documents with one value that no schema would let pass: null, of another type, or missing."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

MISSING = object()
ODD: tuple[Any, ...] = (None, MISSING, 1, -2.5, True, "", "word", [], [None], [["word"]], {}, {"name": None}, {"": [1]})


def odd(document: Any) -> Iterator[Any]:
    """`document` with each of its values, one after the other, replaced by each of `ODD`."""
    for path in _paths(document):
        for value in ODD:
            changed = copy.deepcopy(document)
            parent = changed
            for key in path[:-1]:
                parent = parent[key]
            if value is MISSING:
                del parent[path[-1]]
            else:
                parent[path[-1]] = copy.deepcopy(value)
            yield changed


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _paths(child, (*path, key))
