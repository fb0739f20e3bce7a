"""Properties of the stream, the connection and the proxy by path; `properties` has the well-known ones with types."""

from __future__ import annotations

from collections.abc import Iterable

from .. import _validate
from .._abi import Status
from .._serde import decode_pairs, encode_path, to_text
from .._stream.current import current
from .._stream.guards import failed, stream_for

Path = str | Iterable[str]

# Envoy up to 1.3x had these at the top level; 1.40 has them below `xds` only (docs/abi.md §0.7).
_MOVED_TO_XDS = frozenset(
    {
        "cluster_metadata",
        "cluster_name",
        "filter_chain_name",
        "listener_direction",
        "listener_metadata",
        "node",
        "route_metadata",
        "route_name",
        "upstream_host_metadata",
        "virtual_host_metadata",
        "virtual_host_name",
    }
)

RESERVED = _MOVED_TO_XDS | {
    "connection",
    "connection_id",
    "destination",
    "filter_state",
    "metadata",
    "plugin_name",
    "plugin_root_id",
    "plugin_vm_id",
    "request",
    "response",
    "source",
    "upstream",
    "upstream_filter_state",
    "xds",
}


def get_property(path: Path) -> bytes | None:
    """A property as the host encodes it; None when there is none.

    Text is UTF-8; numbers are 8 bytes, little-endian; a bool is one byte; times and durations are nanoseconds in 8
    bytes; maps are encoded as header maps (`get_property_map` decodes them). `pwasm.properties` has the well-known
    ones decoded.

    May be called in every callback; a plugin without a selected stream has only `xds.node` and `plugin_…`. Names of
    old Envoys (`cluster_name`, `node.id` …) are looked up below `xds` when the host does not know them.

    Args:
        path: `"request.path"`, or its segments, which may contain dots: `("request", "headers", "x.y")`.

    Raises:
        TypeError, ValueError: `path` is not a str or several, is empty, or contains NUL.
        HostcallError: the host refused.

    Source: proxy_get_property.
    """
    segments = _segments(path)
    status, value = current.host.proxy_get_property(encode_path(segments))
    if status == Status.NOT_FOUND and segments[0] in _MOVED_TO_XDS:
        status, value = current.host.proxy_get_property(encode_path(["xds", *segments]))
    if status in {Status.NOT_FOUND, Status.SERIALIZATION_FAILURE}:  # the latter: it is there, but null
        return None
    if status:
        raise failed(status, "proxy_get_property", ".".join(segments))
    return value


def get_property_map(path: Path) -> list[tuple[str, str]]:
    """A property that is a map, such as `request.headers`, as pairs of str; empty when there is none.

    May be called in every callback.

    A header with several values is one pair, joined with commas. Errors as in `get_property` (proxy_get_property).
    """
    return [(to_text(name), to_text(value)) for name, value in decode_pairs(get_property(path) or b"")]


def set_property(path: Path, data: bytes | str) -> None:
    """Set a property of the stream, for later callbacks, the filters after this one and the access log.

    May be called in every callback of a stream; elsewhere with a stream selected.

    Envoy keeps it as filter state `wasm.<name>`.

    Args:
        path: one segment. Envoy stores longer paths, but nobody can read them.
        data: bytes, or str in UTF-8; may be empty.

    Raises:
        TypeError, ValueError: as in `get_property`; more than one segment; a name that Envoy has itself (it would say
            OK, and change nothing).
        PhaseError: no stream is selected.
        HostcallError: the host refused.

    Source: proxy_set_property.
    """
    segments = _segments(path)
    if len(segments) != 1:
        raise ValueError(f"path must be one segment, not {segments!r}: Envoy could not read it back")
    name = segments[0]
    if name in RESERVED:
        raise ValueError(f"path: Envoy has a property {name!r} itself, and would ignore the new value")
    value = _validate.data("data", data)
    stream_for("set_property")
    status = current.host.proxy_set_property(encode_path(segments), value)
    if status:
        raise failed(status, "proxy_set_property", name)


def _segments(path: Path) -> list[str]:
    if isinstance(path, (bytes, bytearray)) or not isinstance(path, Iterable):
        _validate.type_error("path", "str or several str", path)
    segments = path.split(".") if isinstance(path, str) else list(path)
    for segment in segments:
        if not isinstance(segment, str):
            _validate.type_error("path", "str or several str", path)
        if "\0" in segment:
            raise ValueError(f"path must not contain NUL: {segments!r}")
    if not segments or segments == [""]:
        raise ValueError("path must not be empty")
    return segments
