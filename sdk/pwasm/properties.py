"""Envoy's well-known properties, with their types.

    from pwasm import properties

    properties.request.path           "/a?b=c"
    properties.request.size           int
    properties.upstream.address       None before a host is chosen
    properties.metadata.flag("filter_metadata", "envoy.lb", "canary")
    properties.xds.route_metadata.number("filter_metadata", "my.filter", "limit")

Each access asks the host; the result is None if the host has no such property at that time. Text is str (UTF-8 with
surrogateescape), times are nanoseconds since 1970, durations are nanoseconds, maps are dicts of str.

May be read in every callback. Without a selected stream, that is, in the plugin's own callbacks, Envoy has only
`xds.node` and `plugin`.

Every attribute raises:
    HostcallError: the host refused for a reason other than a missing property.

Source: Envoy, "Attributes"; types and availability measured with Envoy 1.40.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from ._hostcalls.properties import get_property
from ._serde import decode_pairs, to_text
from ._typing import Generic, TypeVar, cast, overload

_T = TypeVar("_T")


def _map(data: bytes) -> dict[str, str]:
    return {to_text(name): to_text(value) for name, value in decode_pairs(data)}


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "little")


class Attribute(Generic[_T]):
    """A property: reading it asks the host and decodes the result."""

    def __init__(self, decode: Callable[[bytes], _T], path: tuple[str, ...] = ()) -> None:
        self._decode = decode
        self.path = path

    def __set_name__(self, owner: type[Group], name: str) -> None:
        self.path = self.path or (*owner.prefix, name)
        self.__doc__ = f"Property {'.'.join(self.path)}."

    @overload
    def __get__(self, group: None, owner: type) -> Attribute[_T]: ...
    @overload
    def __get__(self, group: Group, owner: type) -> _T | None: ...
    def __get__(self, group: Group | None, owner: type) -> Attribute[_T] | _T | None:
        if group is None:
            return self
        data = get_property(self.path)
        return None if data is None else self._decode(data)


class Group:
    """The properties below one name."""

    prefix: tuple[str, ...] = ()

    def __dir__(self) -> list[str]:
        return [name for name, value in vars(type(self)).items() if isinstance(value, (Attribute, Group, Lookup))]


class Lookup:
    """Properties below a name, whose further names the configuration defines.

    Metadata has the types of JSON. The host does not say which type a value has, so the methods do; each returns None
    if there is no such value. What is in a map or a list comes as bytes, for the function `…_of` of its type.
    """

    def __init__(self, *path: str) -> None:
        self.path = path

    def __call__(self, *segments: str) -> bytes | None:
        """The value as the host encodes it (see `get_property`); messages are serialized protobuf."""
        return get_property((*self.path, *segments))

    def text(self, *segments: str) -> str | None:
        """A string."""
        return self._decoded(to_text, segments)

    def number(self, *segments: str) -> float | None:
        """A number; JSON has no others than float.

        Raises:
            ValueError: it is something else.
        """
        return self._decoded(number_of, segments)

    def flag(self, *segments: str) -> bool | None:
        """A bool."""
        return self._decoded(any, segments)

    def mapping(self, *segments: str) -> dict[str, bytes] | None:
        """A map."""
        return self._decoded(mapping_of, segments)

    def sequence(self, *segments: str) -> list[bytes] | None:
        """A list; a further segment with an index is one of its items."""
        return self._decoded(sequence_of, segments)

    def _decoded(self, decode: Callable[[bytes], _T], segments: tuple[str, ...]) -> _T | None:
        data = self(*segments)
        return None if data is None else decode(data)


def number_of(data: bytes) -> float:
    """The number in a value of metadata.

    Raises:
        ValueError: it is something else.
    """
    if len(data) != _NUMBER.size:
        raise ValueError(f"a number has {_NUMBER.size} bytes, not {len(data)}")
    number: float = _NUMBER.unpack(data)[0]
    return number


def mapping_of(data: bytes) -> dict[str, bytes]:
    """The map in a value of metadata; empty if it is something else."""
    return {to_text(name): value for name, value in decode_pairs(data)}


def sequence_of(data: bytes) -> list[bytes]:
    """The list in a value of metadata; empty if it is something else. The host encodes it as names without values."""
    return [item for item, _ in decode_pairs(data)]


_NUMBER = struct.Struct("<d")


def text(*path: str) -> Attribute[str]:
    """A str."""
    return Attribute(to_text, path)


def integer(*path: str) -> Attribute[int]:
    """A non-negative int."""
    return Attribute(_unsigned, path)


def signed(*path: str) -> Attribute[int]:
    """An int, a time or a duration."""
    return Attribute(_signed, path)


def flag(*path: str) -> Attribute[bool]:
    """A bool."""
    return Attribute(any, path)


def mapping(*path: str) -> Attribute[dict[str, str]]:
    """A dict; several values of one header are joined with commas."""
    return Attribute(_map, path)


def raw(*path: str) -> Attribute[bytes]:
    """Bytes: a serialized protobuf message."""
    return Attribute(bytes, path)


class Request(Group):
    """The request. Sizes in bytes, `time` and `duration` in nanoseconds; `duration` is None until the request ends."""

    prefix = ("request",)
    path, url_path, host, scheme, method = text(), text(), text(), text(), text()
    referer, useragent, id, protocol, query = text(), text(), text(), text(), text()
    headers = mapping()
    headers_bytes, size, total_size = integer(), integer(), integer()
    time, duration = signed(), signed()


class Response(Group):
    """The response; properties are None until they are known, some of them until `on_http_stream_done`."""

    prefix = ("response",)
    code, flags, headers_bytes, size, total_size = integer(), integer(), integer(), integer(), integer()
    grpc_status, backend_latency = signed(), signed()
    code_details = text()
    headers, trailers = mapping(), mapping()


class Source(Group):
    """The client: its address with the port, and the port."""

    prefix = ("source",)
    address = text()
    port = signed()


class Destination(Group):
    """The address that the client connected to."""

    prefix = ("destination",)
    address = text()
    port = signed()


class Connection(Group):
    """The downstream connection; TLS properties are None on plaintext."""

    prefix = ("connection",)
    id = integer()
    mtls = flag()
    requested_server_name, tls_version, termination_details, transport_failure_reason = text(), text(), text(), text()
    subject_local_certificate, subject_peer_certificate = text(), text()
    dns_san_local_certificate, dns_san_peer_certificate = text(), text()
    uri_san_local_certificate, uri_san_peer_certificate = text(), text()
    sha256_peer_certificate_digest = text()


class Upstream(Group):
    """The upstream connection; None before a host is chosen."""

    prefix = ("upstream",)
    address, local_address, tls_version, transport_failure_reason = text(), text(), text(), text()
    port, num_endpoints, request_attempt_count = signed(), integer(), integer()
    cx_pool_ready_duration = signed()
    locality = raw()
    subject_local_certificate, subject_peer_certificate = text(), text()
    dns_san_local_certificate, dns_san_peer_certificate = text(), text()
    uri_san_local_certificate, uri_san_peer_certificate = text(), text()
    sha256_peer_certificate_digest = text()


class Node(Group):
    """The Envoy node, as its bootstrap configuration describes it."""

    prefix = ("xds", "node")
    id, cluster, user_agent_name, user_agent_version = text(), text(), text(), text()
    metadata = Lookup("xds", "node", "metadata")


class Xds(Group):
    """The parts of Envoy's configuration that apply to this stream."""

    prefix = ("xds",)
    node = Node()
    cluster_name, route_name, virtual_host_name, filter_chain_name = text(), text(), text(), text()
    listener_direction = signed()
    cluster_metadata = Lookup("xds", "cluster_metadata")
    route_metadata = Lookup("xds", "route_metadata")
    virtual_host_metadata = Lookup("xds", "virtual_host_metadata")
    listener_metadata = Lookup("xds", "listener_metadata")
    upstream_host_metadata = Lookup("xds", "upstream_host_metadata")
    upstream_host_locality_metadata = Lookup("xds", "upstream_host_locality_metadata")


class Plugin(Group):
    """The plugin, as Envoy's configuration names it."""

    name = text("plugin_name")
    root_id = text("plugin_root_id")
    vm_id = text("plugin_vm_id")


request = Request()
response = Response()
source = Source()
destination = Destination()
connection = Connection()
upstream = Upstream()
xds = Xds()
node = xds.node
plugin = Plugin()
metadata = Lookup("metadata")
"""Dynamic metadata: `metadata("filter_metadata", namespace, key)`."""
filter_state = Lookup("filter_state")
"""Filter state: `filter_state(name)`."""
upstream_filter_state = Lookup("upstream_filter_state")
"""Filter state of the upstream connection."""


def _attributes(group: type[Group]) -> list[Attribute[object]]:
    return [cast("Attribute[object]", value) for value in vars(group).values() if isinstance(value, Attribute)]


TABLE: tuple[Attribute[object], ...] = tuple(
    attribute
    for kind in (Request, Response, Source, Destination, Connection, Upstream, Node, Xds, Plugin)
    for attribute in _attributes(kind)
)
"""All typed properties."""
