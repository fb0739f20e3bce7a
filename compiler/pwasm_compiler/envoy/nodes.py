"""Someone else's YAML, read by position and changed only where necessary.

    child, pair …   from node to node; Envoy's fields have two names, the protobuf name and the JSON name
    walk            every node
    edited          the text with some ranges replaced

The nodes are those of `yaml_text.compose_one`, which refuses a text that expands without limit. The text is edited
rather than loaded and dumped: that would lose comments, and change scalars that Python's and Envoy's YAML readers read
differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml


@dataclass(frozen=True)
class Edit:
    """The replacement for `text[start:end]`."""

    start: int
    end: int
    text: str


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with every edit applied; positions refer to the original text."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def child(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    """The value at a path of keys, given in snake_case, in nested mappings."""
    for key in keys:
        found = pair(node, key)
        node = found[1] if found else None
    return node


def items(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """The entries of a mapping, keys in snake_case; none for anything else."""
    yield from ((name, value) for name, _, value in _entries(node))


def pair(node: yaml.Node | None, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    """The nodes of a mapping's key, given in snake_case, and its value."""
    return next(((found, value) for name, found, value in _entries(node) if name == key), None)


def sequence(node: yaml.Node | None) -> list[yaml.Node]:
    """The items of a list; none for anything else."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def scalar(node: yaml.Node | None) -> str | None:
    """The text of a scalar."""
    return node.value if isinstance(node, yaml.ScalarNode) else None


def type_of(entry: yaml.Node | None) -> str | None:
    """The message type of an entry's typed_config, without the URL prefix."""
    message = scalar(child(entry, "typed_config", "@type"))
    return message.rpartition("/")[2] if message else None


def walk(node: yaml.Node | None) -> Iterator[yaml.Node]:
    """A node and everything below it, each once, in document order; aliases are followed."""
    pending, seen = [node] if node is not None else [], set()
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            pending += reversed(_children(node))


def end_of(text: str, node: yaml.Node) -> int:
    """Where a node's own text ends.

    For a block, the parser's end mark is where the next token starts, so it includes empty lines and comments. They are
    looked for after the last scalar inside, for a `#` may be content. That is not always in the block's last item: an
    alias is a node whose text is elsewhere.
    """
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    if not _is_block(node):
        return end
    leaves = (leaf for leaf in walk(node) if not _is_block(leaf) and start <= leaf.start_mark.index < end)
    inside = max((int(leaf.end_mark.index) for leaf in leaves), default=start)
    line = text.rfind("\n", 0, inside) + 1
    if not text[line:inside].strip():  # after a block scalar, which ends at a line end
        inside = line
    lines = text[inside:end].split("\n")
    while len(lines) > (inside != line) and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return inside + len("\n".join(lines).rstrip())


def in_place_of(text: str, start: int, end: int, new: str) -> Edit:
    """Replace `text[start:end]` with `new`, but keep trailing line ends."""
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
