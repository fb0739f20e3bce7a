"""The ports in an Envoy bootstrap that somebody else wrote, and the same text with other ports.

The file is read as text with positions, and only the digits of a port are replaced: loading and dumping it again
would change scalars that Python's YAML and Envoy's read differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from ..yaml_values import Loader


@dataclass(frozen=True)
class PortField:
    """A `port_value` in the text; `role` is "admin" or "listener"."""

    role: str
    host: str
    port: int
    start: int
    end: int


def port_fields(text: str) -> tuple[PortField, ...]:
    """The admin interface's port and each listener's; nothing for a text that is not YAML, which Envoy will say."""
    try:
        root = yaml.compose(text, Loader=Loader)
    except (yaml.YAMLError, RecursionError):
        return ()
    listeners = child(root, "static_resources", "listeners")
    found = [_field("admin", child(root, "admin", "address", "socket_address"))]
    if isinstance(listeners, yaml.SequenceNode):
        found += [_field("listener", child(item, "address", "socket_address")) for item in listeners.value]
    return tuple(field for field in found if field is not None)


def with_ports(text: str, *, port: int | None = None, admin_port: int | None = None) -> str | None:
    """The text with the first listener's and the admin interface's port replaced; None if there is no such port.

    Port 0 means that no particular port is wanted: there need be no listener, and further listeners lose theirs too,
    unless a cluster points there.
    """
    fields = port_fields(text)
    listeners = [field for field in fields if field.role == "listener"]
    admins = [field for field in fields if field.role == "admin"]
    if (port and not listeners) or (admin_port is not None and not admins):
        return None
    changed = [] if port is None else [(field, port) for field in listeners[:1]]
    if port == 0:
        used = _ports_of_clusters(text)
        changed += [(field, 0) for field in listeners[1:] if field.port not in used]
    if admin_port is not None:
        changed.append((admins[0], admin_port))
    for field, number in sorted(changed, key=lambda change: change[0].start, reverse=True):
        text = text[: field.start] + str(number) + text[field.end :]
    return text


def _ports_of_clusters(text: str) -> set[int]:
    """Every port that a cluster's endpoint has."""
    found: set[int] = set()
    pending = [child(yaml.compose(text, Loader=Loader), "static_resources", "clusters")]
    known = {id(pending[0])}
    for node in pending:  # it grows; a YAML alias may make a circle
        below = node.value if isinstance(node, yaml.SequenceNode) else [value for _, value in items(node)]
        pending += [other for other in below if id(other) not in known]
        known |= {id(other) for other in below}
        for name, value in items(node):
            if name == "port_value" and isinstance(value, yaml.ScalarNode) and value.value.isdecimal():
                found.add(int(value.value))
    return found


def _field(role: str, socket_address: yaml.Node | None) -> PortField | None:
    port = child(socket_address, "port_value")
    host = child(socket_address, "address")
    if not isinstance(port, yaml.ScalarNode) or not port.value.isdecimal() or not isinstance(host, yaml.ScalarNode):
        return None
    return PortField(role, host.value, int(port.value), port.start_mark.index, port.end_mark.index)


def child(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    """What is in a mapping under the first key, in that under the second …; keys in snake_case."""
    for key in keys:
        node = next((value for name, value in items(node) if name == key), None)
    return node


def items(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """The entries of a mapping, keys in snake_case; nothing for what is no mapping."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode):
                # Envoy takes a field by its protobuf name and by its JSON name.
                yield _snake_case(name.value), value


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
