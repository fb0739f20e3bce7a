"""Conditions that are the same in every VM, so that a source never runs one of their branches there.

It runs in the guest, beside `pwasm_facts`. Node types are compared by name, so the module `ast` is not needed.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Names = dict[str, str]
    """What `from … import` has brought: local name → `module.name`."""


def known(test: Any, names: Names) -> bool | None:
    """The value of a condition that is the same in every VM; None if that is not known."""
    kind = type(test).__name__
    if kind == "UnaryOp" and type(test.op).__name__ == "Not":
        inner = known(test.operand, names)
        return None if inner is None else not inner
    if kind == "BoolOp":
        values = [known(value, names) for value in test.values]
        ends = type(test.op).__name__ == "Or"
        return ends if ends in values else None if None in values else not ends
    if original(test, names) == "TYPE_CHECKING":
        return False
    if kind == "Compare" and len(test.ops) == 1:
        return _compare(test.left, type(test.ops[0]).__name__, test.comparators[0], names)
    if kind == "Call" and getattr(test.func, "attr", "") == "startswith" and len(test.args) == 1:
        text, start = _subject(test.func.value, names), literal(test.args[0])
        return text.startswith(start) if type(text) is str and type(start) in (str, tuple) else None
    return None


def original(node: Any, names: Names) -> str:
    """The last name of `a.b` or of a name, which `from … import` may have changed."""
    name = getattr(node, "id", None)
    return str(getattr(node, "attr", "")) if name is None else names.get(name, name).rpartition(".")[2]


def cases(match: Any, names: Names) -> list[Any] | None:
    """The bodies of a `match` that may run; None if that is not known."""
    subject = _subject(match.subject, names)
    if subject is None:
        return None
    found: list[Any] = []
    for case in match.cases:
        values = _values(case.pattern)
        if values is None or case.guard is not None:
            return None
        if subject in values or not values:
            return [*found, *case.body]
    return found


def _values(pattern: Any) -> list[Any] | None:
    """The literals of a pattern: empty for one that matches everything, None if it is of another kind."""
    kind = type(pattern).__name__
    if kind == "MatchValue":
        value = literal(pattern.value)
        return None if value is None else [value]
    if kind == "MatchAs" and pattern.pattern is None:
        return []
    if kind == "MatchOr":
        parts = [_values(one) for one in pattern.patterns]
        return None if None in parts or [] in parts else [value for part in parts for value in part or ()]
    return None


def _compare(left: Any, operator: str, right: Any, names: Names) -> bool | None:
    """`sys.version_info >= (3, 9)`, `sys.platform == "win32"`, `os.name in ("nt", "ce")`."""
    value = literal(right)
    if getattr(left, "id", "") == "__name__" and value == "__main__":  # it is that in no module
        return {"Eq": False, "NotEq": True}.get(operator)
    subject, compare = _subject(left, names), _OPERATORS.get(operator)
    if subject is None or value is None or compare is None:
        return None
    try:
        return bool(compare(subject, value))
    except TypeError:
        return None  # the program may never come there


_OPERATORS: dict[str, Any] = {
    "Eq": lambda a, b: a == b,
    "NotEq": lambda a, b: a != b,
    "Lt": lambda a, b: a < b,
    "LtE": lambda a, b: a <= b,
    "Gt": lambda a, b: a > b,
    "GtE": lambda a, b: a >= b,
    "In": lambda a, b: a in b,
    "NotIn": lambda a, b: a not in b,
}


def _subject(node: Any, names: Names) -> Any:
    """The value of an expression that is the same in every VM; None if that is not known."""
    called = type(node).__name__ == "Call" and not node.args
    said = node.func if called else node
    name, owner = getattr(said, "attr", ""), getattr(said, "value", None)
    whole_name = names.get(getattr(said, "id", ""), f"{getattr(owner, 'id', '')}.{name}")
    known = _SAME.get(whole_name + "()" * called)
    if known is not None:
        return known
    whole = _subject(owner, names) if owner is not None else None
    if type(whole) is not tuple:
        return None
    if name in _PARTS:
        return whole[_PARTS.index(name)]
    part: Any = getattr(node, "slice", None)
    index = literal(part)
    if type(index) is int and -len(whole) <= index < len(whole):
        return whole[index]
    if type(part).__name__ == "Slice" and part.lower is None and part.step is None:
        end = literal(part.upper)
        return whole[:end] if type(end) is int else None
    return None


_SAME = {
    "sys.version_info": tuple(sys.version_info),
    "sys.platform": sys.platform,
    "os.name": "posix",
    "platform.system()": sys.platform,  # of a system without `uname`
}
_PARTS = ("major", "minor", "micro")


def literal(node: Any) -> Any:
    if type(node).__name__ == "Tuple":
        values = tuple(literal(item) for item in node.elts)
        return None if None in values else values
    return getattr(node, "value", None) if type(node).__name__ == "Constant" else None
