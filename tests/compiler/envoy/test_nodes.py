"""Ports in a user's bootstrap: found in YAML and JSON, and replaced without changing anything else."""

from __future__ import annotations

import json

import pytest

from pwasm_compiler.envoy.ports import PortField, port_fields, with_ports
from pwasm_compiler.yaml_text import NotYamlError, YamlError

YAML = """\
# a comment that stays
admin: {address: {socket_address: {address: "127.0.0.1", port_value: 9901}}}
staticResources:   # the JSON name of the field
  listeners:
  - name: on
    address:
      socketAddress:
        address: 0.0.0.0
        portValue: 10000 # here
  - address: {pipe: {path: /tmp/x}}
  clusters: [{load_assignment: {endpoints: [{socket_address: {address: "127.0.0.1", port_value: 1}}]}}]
"""


def summary(fields: tuple[PortField, ...]) -> list[tuple[str, str, int]]:
    return [(field.role, field.host, field.port) for field in fields]


def test_the_ports_are_found() -> None:
    assert summary(port_fields(YAML)) == [("admin", "127.0.0.1", 9901), ("listener", "0.0.0.0", 10000)]


def test_the_ports_are_replaced_and_nothing_else() -> None:
    changed = with_ports(YAML, port=7, admin_port=65000)
    assert changed == YAML.replace("9901", "65000").replace("portValue: 10000", "portValue: 7")


def test_one_port_is_replaced() -> None:
    assert with_ports(YAML, admin_port=1) == YAML.replace("9901", "1")


SEVERAL = """\
static_resources:
  listeners:
  - address: {socket_address: {address: "127.0.0.1", port_value: 10000}}
  - address: {socket_address: {address: "127.0.0.1", port_value: 10001}}
  - address: {socket_address: {address: "127.0.0.1", port_value: 10002}}
  clusters:
  - load_assignment: {endpoints: [{address: {socketAddress: {address: "127.0.0.1", portValue: 10001}}}]}
"""


def test_any_port_is_meant_for_all_listeners_but_those_that_a_cluster_points_to() -> None:
    expected = SEVERAL.replace("port_value: 10000", "port_value: 0").replace("port_value: 10002", "port_value: 0")
    assert with_ports(SEVERAL, port=0) == expected
    assert with_ports(SEVERAL, port=7) == SEVERAL.replace("port_value: 10000", "port_value: 7")


def test_any_port_will_do_where_there_is_no_listener() -> None:
    admin = 'admin: {address: {socket_address: {address: "127.0.0.1", port_value: 9901}}}'
    assert with_ports(admin, port=0, admin_port=0) == admin.replace("9901", "0")
    assert with_ports(admin, port=1) is None


def test_json() -> None:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 5}}
    text = json.dumps({"static_resources": {"listeners": [{"address": address}]}}, indent=2)
    assert with_ports(text, port=80) == text.replace("5", "80")


@pytest.mark.parametrize("text", ["", "- 1", "admin: 3", "static_resources: {listeners: [1, {address: []}]}"])
def test_a_text_without_ports(text: str) -> None:
    assert port_fields(text) == ()
    assert with_ports(text, port=1) is None


def test_a_text_that_is_not_yaml() -> None:
    """Without a port to replace it is passed to Envoy, which may accept it, since it reads protobuf text too."""
    assert port_fields("a: [") == ()
    with pytest.raises(NotYamlError, match="not valid YAML"):
        with_ports("a: [", port=1)


def test_a_text_without_an_end() -> None:
    for use in (port_fields, with_ports):
        with pytest.raises(YamlError, match="line 1: a value that contains itself"):
            use("static_resources: &a\n  x: *a\n")
