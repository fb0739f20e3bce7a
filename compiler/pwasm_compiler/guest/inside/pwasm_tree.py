"""What expressions of a syntax tree say: the names and literals in them.

It runs in the guest, beside `pwasm_facts`. Node types are compared by name, so the module `ast` is not needed.
"""

from __future__ import annotations

from pwasm_conditions import literal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def name_of(node: Any) -> str:
    """What a node mentions itself."""
    value = getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "value", "")
    return value if type(value) is str and value.isidentifier() else ""


def names_in(node: Any) -> set[str]:
    """The names in an expression."""
    return {str(getattr(one, "attr", None) or getattr(one, "id", "")) for one in nodes_in(node)}


def nodes_in(node: Any) -> list[Any]:
    """An expression, and all that are in it."""
    found = [node]
    for one in found:
        for field in one._fields:
            value = getattr(one, field, None)
            found += [child for child in (value if type(value) is list else (value,)) if hasattr(child, "_fields")]
    return found


def texts_in(node: Any) -> Iterator[str]:
    """The literals that may be the value of an expression, such as `encoding or "cp437"`."""
    if type(node).__name__ == "Constant" and type(node.value) is str:
        yield node.value
    for child in [*getattr(node, "values", ()), getattr(node, "orelse", None), getattr(node, "body", None)]:
        if hasattr(child, "_fields"):
            yield from texts_in(child)


def dots_of(call: Any) -> str:
    """What a relative import has before its name: `__import__` is told by a number."""
    levels = [*call.args[4:5], *(keyword.value for keyword in call.keywords if keyword.arg == "level")]
    level = getattr(levels[0], "value", 0) if levels else 0
    return "." * level if type(level) is int else ""


def pattern_of(node: Any) -> str:
    """The text of an expression, with "*" for what is not a literal."""
    kind, operator = type(node).__name__, type(getattr(node, "op", None)).__name__
    found = "*"
    if kind == "Constant" and type(node.value) is str and node.value.isprintable():
        found = str(node.value)
    elif kind == "Name" and node.id in ("__name__", "__package__"):
        found = f"{{{node.id}}}"
    elif kind == "BinOp" and operator == "Add":
        found = pattern_of(node.left) + pattern_of(node.right)
    elif kind == "BinOp" and operator == "Mod":
        found = _formatted(pattern_of(node.left))
    elif kind == "Call" and getattr(node.func, "attr", "") == "format":
        first, *others = pattern_of(node.func.value).split("{")
        found = first + "".join("*" + other.partition("}")[2] for other in others)
    elif kind == "JoinedStr":
        found = "".join(pattern_of(value) for value in node.values)
    elif kind == "FormattedValue":
        found = pattern_of(node.value)
    return found.replace("**", "*")


def _formatted(text: str) -> str:
    """A text with "*" for what the operator % replaces: `%s`, `%02d`, `%(name)s`."""
    found, rest = "", text
    while "%" in rest:
        before, _, rest = rest.partition("%")
        found += before
        if rest[:1] == "%":
            found, rest = f"{found}%", rest[1:]
            continue
        if rest[:1] == "(":
            rest = rest.partition(")")[2]
        found, rest = f"{found}*", rest.lstrip("-#0 +123456789.*")[1:]
    return found + rest


def absolute(pattern: str, node: Any) -> str:
    """A relative name together with the package that the call gives, if that is a literal."""
    given = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "package")]
    package = literal(given[0]) if given else None
    if not pattern.startswith(".") or type(package) is not str:
        return pattern
    inner = pattern.lstrip(".")
    parts = package.split(".")
    above = len(pattern) - len(inner) - 1
    return ".".join([*parts[: len(parts) - above], inner])
