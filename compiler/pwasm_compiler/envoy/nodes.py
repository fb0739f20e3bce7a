"""A YAML text that somebody else wrote, read by position and changed only where it must be.

    child, pair …   from node to node; a field of Envoy's has two names, that of protobuf and that of JSON
    walk            every node
    edited          the text with other text at some positions

The nodes are those of `yaml_text.compose_one`, which refuses a text that has no end. The text is edited and not loaded
and dumped again: that would lose comments, and would change scalars that Python's YAML and Envoy's read differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml


@dataclass(frozen=True)
class Edit:
    """Text to put in the place of `text[start:end]`."""

    start: int
    end: int
    text: str


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with every edit made; their positions are those before any of them."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def child(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    """What is in a mapping under the first key, in that under the second …; keys in snake_case."""
    for key in keys:
        found = pair(node, key)
        node = found[1] if found else None
    return node


def items(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """The entries of a mapping, keys in snake_case; nothing for what is no mapping."""
    yield from ((name, value) for name, _, value in _entries(node))


def pair(node: yaml.Node | None, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    """The nodes of a mapping's key, given in snake_case, and of what is under it."""
    return next(((found, value) for name, found, value in _entries(node) if name == key), None)


def sequence(node: yaml.Node | None) -> list[yaml.Node]:
    """The items of a list; nothing for what is none."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def scalar(node: yaml.Node | None) -> str | None:
    """The text of a scalar."""
    return node.value if isinstance(node, yaml.ScalarNode) else None


def type_of(entry: yaml.Node | None) -> str | None:
    """The message in an entry's typed_config, without what its URL begins with."""
    message = scalar(child(entry, "typed_config", "@type"))
    return message.rpartition("/")[2] if message else None


def walk(node: yaml.Node | None) -> Iterator[yaml.Node]:
    """A node and everything below it, each once, in the order of the text; an alias is the node it stands for."""
    pending, seen = [node] if node is not None else [], set()
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            pending += reversed(_children(node))


def end_of(text: str, node: yaml.Node) -> int:
    """Where a node's own text ends.

    For a block, the parser's mark is where the next thing begins, with what lies between: empty lines and comments.
    What ends last in it shows where to look for them, for a `#` may be content. It is not always the block's last
    item: an alias is a node that stands elsewhere.
    """
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    if not _is_block(node):
        return end
    leaves = (leaf for leaf in walk(node) if not _is_block(leaf) and start <= leaf.start_mark.index < end)
    inside = max((int(leaf.end_mark.index) for leaf in leaves), default=start)
    line = text.rfind("\n", 0, inside) + 1
    if not text[line:inside].strip():  # after a block scalar, which ends with its lines
        inside = line
    lines = text[inside:end].split("\n")
    while len(lines) > (inside != line) and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return inside + len("\n".join(lines).rstrip())


def in_place_of(text: str, start: int, end: int, new: str) -> Edit:
    """`new` in the place of `text[start:end]`, but for the ends of lines with which that may end."""
    return Edit(start, len(text[:end].rstrip()), new)


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style


def _entries(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield _snake_case(key.value), key, value


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for entry in node.value for child in entry]
    return sequence(node)
