"""The ports in someone else's Envoy bootstrap, and the same text with other ports."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from pwasm_compiler.envoy.nodes import Edit, child, edited, items, sequence, walk
from pwasm_compiler.yaml_text import NotYamlError, compose_one


@dataclass(frozen=True)
class PortField:
    """A `port_value` in the text; `role` is "admin" or "listener"."""

    role: str
    host: str
    port: int
    start: int
    end: int


def port_fields(text: str) -> tuple[PortField, ...]:
    """The ports of the admin interface and of each listener; none for invalid YAML, which Envoy will report.

    Raises:
        YamlError: it is YAML that no one would write by hand, and that might crash Envoy as well.
    """
    try:
        return _port_fields(compose_one(text))
    except NotYamlError:
        return ()


def with_ports(text: str, *, port: int | None = None, admin_port: int | None = None) -> str | None:
    """The text with the first listener's and the admin interface's port replaced; None if there is no such port.

    Port 0 means any free port: a listener is not required, and further listeners get a free port too,
    unless a cluster points there.

    Raises:
        YamlError: the text is not YAML, or as for `port_fields`.
    """
    root = compose_one(text)
    fields = _port_fields(root)
    listeners = [field for field in fields if field.role == "listener"]
    admins = [field for field in fields if field.role == "admin"]
    if (port and not listeners) or (admin_port is not None and not admins):
        return None
    changed = [] if port is None else [(field, port) for field in listeners[:1]]
    if port == 0:
        used = _ports_of_clusters(root)
        changed += [(field, 0) for field in listeners[1:] if field.port not in used]
    if admin_port is not None:
        changed.append((admins[0], admin_port))
    return edited(text, (Edit(field.start, field.end, str(number)) for field, number in changed))


def _port_fields(root: yaml.Node | None) -> tuple[PortField, ...]:
    listeners = sequence(child(root, "static_resources", "listeners"))
    found = [_field("admin", child(root, "admin", "address", "socket_address"))]
    found += [_field("listener", child(listener, "address", "socket_address")) for listener in listeners]
    return tuple(field for field in found if field is not None)


def _ports_of_clusters(root: yaml.Node | None) -> set[int]:
    """The ports of all cluster endpoints."""
    entries = (entry for node in walk(child(root, "static_resources", "clusters")) for entry in items(node))
    return {
        int(value.value)
        for name, value in entries
        if name == "port_value" and isinstance(value, yaml.ScalarNode) and value.value.isdecimal()
    }


def _field(role: str, socket_address: yaml.Node | None) -> PortField | None:
    port = child(socket_address, "port_value")
    host = child(socket_address, "address")
    if not isinstance(port, yaml.ScalarNode) or not port.value.isdecimal() or not isinstance(host, yaml.ScalarNode):
        return None
    return PortField(role, host.value, int(port.value), port.start_mark.index, port.end_mark.index)
