"""What a YAML text may cost: a few bytes of it can stand for billions of values, or for one number that takes hours."""

from __future__ import annotations

from typing import Any

import yaml

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""SafeLoader in C where PyYAML has it: twenty times as fast, and it ends nesting at 1,000 levels."""
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_DIGITS = 4000
"""Of a number; Python makes no int of more than 4,300, and sexagesimal ones (`1:30:00`) cost their square."""


class TooMuch(Exception):  # noqa: N818, named after what it is
    """A text that nobody has written by hand; with a message and perhaps a reason."""

    def __init__(self, what: str, why: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why


def refuse_too_much(node: yaml.Node, limit: int) -> None:
    """Raise `TooMuch` if `node` stands for more than `limit` values, contains itself or has an endless number.

    A RecursionError means that it is nested too deeply.
    """
    _count(node, limit, {}, set())


def _count(node: yaml.Node, limit: int, known: dict[int, int], above: set[int]) -> int:
    """How many values `node` stands for, every alias written out."""
    line = node.start_mark.line + 1
    if id(node) in above:
        raise TooMuch(f"line {line}: a value that contains itself")
    if id(node) not in known:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        elif node.tag in _NUMBERS and len(node.value) > _DIGITS:
            raise TooMuch(f"line {line}: a number of {len(node.value)} digits")
        above.add(id(node))
        known[id(node)] = 1 + sum(_count(child, limit, known, above) for child in children)
        above.discard(id(node))
        if known[id(node)] > limit:
            raise TooMuch(f"the YAML stands for more than {limit:,} values", "Its aliases multiply them.")
    return known[id(node)]
