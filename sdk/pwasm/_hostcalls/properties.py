"""Properties of the stream, the connection and the proxy by path; `pwasm.properties` has typed well-known ones."""

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
    """The value of a property as the host encodes it; None if there is none.

    Text is UTF-8; numbers are 8 bytes, little-endian; a bool is one byte; times and durations are nanoseconds in 8
    bytes; maps are encoded like header maps (`get_property_map` decodes them). `pwasm.properties` decodes the
    well-known properties.

    May be called in every callback; without a selected stream, only `xds.node` and `plugin_…` are available. Names
    used by old Envoys (`cluster_name`, `node.id` …) are looked up below `xds` if the host does not know them.

    Args:
        path: `"request.path"`, or its segments, which may contain dots: `("request", "headers", "x.y")`.

    Raises:
        TypeError, ValueError: `path` is neither a str nor an iterable of str, is empty, or contains NUL.
        HostcallError: the host refused.

    Source: proxy_get_property.
    """
    segments = _segments(path)
    status, value = current.host.proxy_get_property(encode_path(segments))
    if status == Status.NOT_FOUND and segments[0] in _MOVED_TO_XDS:
        status, value = current.host.proxy_get_property(encode_path(["xds", *segments]))
    if status in {Status.NOT_FOUND, Status.SERIALIZATION_FAILURE}:  # the latter: the property is null
        return None
    if status:
        raise failed(status, "proxy_get_property", ".".join(segments))
    return value


def get_property_map(path: Path) -> list[tuple[str, str]]:
    """A property that is a map, such as `request.headers`, as pairs of str; empty if there is none.

    May be called in every callback.

    Several values of one header are a single pair, joined with commas. Errors as in `get_property`
    (proxy_get_property).
    """
    return [(to_text(name), to_text(value)) for name, value in decode_pairs(get_property(path) or b"")]


def set_property(path: Path, data: bytes | str) -> None:
    """Set a property of the stream, for later callbacks, subsequent filters and the access log.

    May be called in every callback of a stream; elsewhere, after selecting a stream.

    Envoy stores it as filter state `wasm.<name>`.

    Args:
        path: a single segment. Envoy stores longer paths, but they cannot be read back.
        data: bytes, or a str that is encoded as UTF-8; may be empty.

    Raises:
        TypeError, ValueError: as in `get_property`; or `path` has more than one segment, or is a property of Envoy
            itself (which would return OK without changing anything).
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
