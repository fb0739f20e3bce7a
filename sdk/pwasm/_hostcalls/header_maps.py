"""The functions on header maps, created once for each map.

Four maps times eight operations are eight function bodies that differ only in a number, and every additional layer of
calls has a cost on each request; so each public function is a closure over its map, created by one of the factories
below. `hostcalls` assigns their names; a new map is a new block of names there.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import _validate
from .._abi import MapType, Status
from .._serde import decode_pairs, encode_pairs, to_text
from .._stream.current import current
from .._stream.guards import failed, map_refused, pairs_unavailable
from .._stream.holding import has_request_headers
from .._typing import Protocol, TypeVar, overload
from .._validate import Headers, known_names
from . import framing
from .published import publish

_T = TypeVar("_T")
_REQUEST_HEADERS = int(MapType.HTTP_REQUEST_HEADERS)

_NOUNS = {
    MapType.HTTP_REQUEST_HEADERS: "request header",
    MapType.HTTP_REQUEST_TRAILERS: "request trailer",
    MapType.HTTP_RESPONSE_HEADERS: "response header",
    MapType.HTTP_RESPONSE_TRAILERS: "response trailer",
    MapType.GRPC_CALL_INITIAL_METADATA: "initial metadata entry",  # `grpc` renames the functions of these two
    MapType.GRPC_CALL_TRAILING_METADATA: "trailing metadata entry",
    MapType.HTTP_CALL_RESPONSE_HEADERS: "call response header",
    MapType.HTTP_CALL_RESPONSE_TRAILERS: "call response trailer",
}

# If a careless "replace all" drops these, Envoy answers the request with 404, or replaces the response by a 502.
_KEPT: dict[MapType, tuple[bytes, ...]] = {
    MapType.HTTP_REQUEST_HEADERS: (b":method", b":path", b":authority", b":scheme", b":protocol", b"x-forwarded-proto"),
    MapType.HTTP_RESPONSE_HEADERS: (b":status",),
}


# The callbacks in which a map can be read, and those in which it can be written (measured: tests/conformance).
_READ = {
    MapType.HTTP_REQUEST_HEADERS: "`on_http_request_headers`, while the request is held after it, and in\n"
    "`on_http_stream_done`; in other callbacks `self.request.headers` has a copy",
    MapType.HTTP_REQUEST_TRAILERS: "`on_http_request_trailers`, and while the request is held after it",
    MapType.HTTP_RESPONSE_HEADERS: "`on_http_response_headers`, while the response is held after it, and in\n"
    "`on_http_stream_done`",
    MapType.HTTP_RESPONSE_TRAILERS: "`on_http_response_trailers`, while the response is held after it, and in\n"
    "`on_http_stream_done`",
}
_WRITE = {
    MapType.HTTP_REQUEST_HEADERS: "`on_http_request_headers`, and while the request is held after it",
    MapType.HTTP_REQUEST_TRAILERS: "`on_http_request_trailers`, and while the request is held after it; a request\n"
    "without trailers can get some in its last `on_http_request_body`",
    MapType.HTTP_RESPONSE_HEADERS: "`on_http_response_headers`, and while the response is held after it",
    MapType.HTTP_RESPONSE_TRAILERS: "`on_http_response_trailers`, and while the response is held after it; a response\n"
    "without trailers can get some in its last `on_http_response_body`",
}

shortcut_candidates: dict[str, list[tuple[Callable[..., object], int]]] = {
    "get": [],
    "remove": [],
    "replace": [],
    "add": [],
}
"""The functions on a single header, by verb, with the number of their map; the shim replaces them (`_guest.vm`)."""


class GetAll(Protocol[_T]):
    """Signature of the functions that read a whole map."""

    def __call__(self) -> list[tuple[_T, _T]]: ...


class ReplaceAll(Protocol):
    """Signature of the functions that write a whole map."""

    def __call__(self, headers: Headers) -> None: ...


class Get(Protocol[_T]):
    """Signature of the functions that read one value."""

    @overload
    def __call__(self, name: str) -> _T | None: ...
    @overload
    def __call__(self, name: str, default: _T) -> _T: ...


class Remove(Protocol):
    """Signature of the functions that remove a name."""

    def __call__(self, name: str) -> None: ...


class Write(Protocol):
    """Signature of the functions that replace or add one value."""

    def __call__(self, name: str, value: str | bytes) -> None: ...


def _named(function: Callable[..., object], verb: str, map_type: MapType, doc: str, suffix: str = "") -> str:
    """Give a closure its public name and docstring; returns the name."""
    noun = _NOUNS[map_type]
    where = (_READ if verb == "get" else _WRITE).get(map_type, "")
    doc = doc.format(noun=noun, nouns=noun + "s", map=map_type.name, where=where)
    return publish(function, f"{verb}_http_{noun.replace(' ', '_')}{suffix}", doc)


def _pairs(what: str, map_type: MapType) -> list[tuple[bytes, bytes]]:
    if map_type in current.phase.no_read:
        raise map_refused(what, current.phase.no_read, map_type)
    status, data = current.host.proxy_get_header_map_pairs(map_type)
    if status:
        raise failed(status, "proxy_get_header_map_pairs", map_type.name)
    pairs = decode_pairs(data)
    if not pairs:
        error = pairs_unavailable(what, map_type)
        if error is not None:
            raise error
    return pairs


def _refuse_what_has_gone(map_type: int, hostcall: str, key: str) -> None:
    """Guard against K17: refuse to write a request's headers when it has gone, as a host does that has dropped them."""
    stream = current.stream
    if map_type == _REQUEST_HEADERS and stream is not None and not has_request_headers(stream):
        raise failed(Status.BAD_ARGUMENT, hostcall, key)


def get_all(map_type: MapType) -> GetAll[str]:
    """Make `get_http_…_headers`."""

    def function() -> list[tuple[str, str]]:
        return [(to_text(name), to_text(value)) for name, value in _pairs(what, map_type)]

    what = _named(function, "get", map_type, _GET_ALL_DOC.replace("{kind}", "str (UTF-8 with surrogateescape)"), "s")
    return function


def get_all_bytes(map_type: MapType) -> GetAll[bytes]:
    """Make `get_http_…_headers_bytes`."""

    def function() -> list[tuple[bytes, bytes]]:
        return _pairs(what, map_type)

    what = _named(function, "get", map_type, _GET_ALL_DOC.replace("{kind}", "bytes"), "s_bytes")
    return function


def replace_all(map_type: MapType) -> ReplaceAll:
    """Make `replace_http_…_headers`."""

    def function(headers: Headers) -> None:
        checked = _validate.headers("headers", headers, map_type)
        pairs: list[tuple[str | bytes, str | bytes]] = list(checked)
        if map_type in current.phase.no_write:
            raise map_refused(what, current.phase.no_write, map_type)
        kept = _KEPT.get(map_type)
        given = {name.lower().encode() for name, _ in checked}
        if kept is not None:
            if b"host" in given:
                given.add(b":authority")
            old = _pairs(what, map_type)
            framing.replaced(checked, old, map_type)
            pairs = [(name, value) for name, value in old if name in kept and name not in given] + pairs
        _refuse_what_has_gone(map_type, "proxy_set_header_map_pairs", map_type.name)
        status = current.host.proxy_set_header_map_pairs(map_type, encode_pairs(pairs))
        if status:
            raise failed(status, "proxy_set_header_map_pairs", map_type.name)
        if kept is not None:
            framing.after_replace(given, map_type)

    what = _named(function, "replace", map_type, _REPLACE_ALL_DOC, "s")
    return function


def get(map_type: MapType) -> Get[str]:
    """Make `get_http_…_header`."""
    read = get_bytes(map_type)

    def function(name: str, default: str | None = None) -> str | None:
        value = read(name)
        return default if value is None else value.decode("utf-8", "surrogateescape")

    _named(function, "get", map_type, _GET_DOC.replace("{kind}", "str (UTF-8 with surrogateescape)"))
    shortcut_candidates["get"].append((function, int(map_type)))
    return function  # type: ignore[return-value]  # a single signature cannot express the overloads


def get_bytes(map_type: MapType) -> Get[bytes]:
    """Make `get_http_…_header_bytes`."""
    number = int(map_type)

    def function(name: str, default: bytes | None = None) -> bytes | None:
        if type(name) is not str:
            _validate.text("name", name)
        if number in current.phase.no_read:
            raise map_refused(what, current.phase.no_read, number)
        status, value = current.host.proxy_get_header_map_value(number, name)
        if status:
            if status == Status.NOT_FOUND:
                return default
            raise failed(status, "proxy_get_header_map_value", name)
        return value

    what = _named(function, "get", map_type, _GET_DOC.replace("{kind}", "bytes"), "_bytes")
    return function  # type: ignore[return-value]


def remove(map_type: MapType) -> Remove:
    """Make `remove_http_…_header`."""
    number = int(map_type)

    def function(name: str) -> None:
        known = name in known_names
        if not known:
            framing.removable(name, map_type)
        if number in current.phase.no_write:
            raise map_refused(what, current.phase.no_write, number)
        _refuse_what_has_gone(number, "proxy_remove_header_map_value", name)
        status = current.host.proxy_remove_header_map_value(number, name)
        if status:
            raise failed(status, "proxy_remove_header_map_value", name)
        if not known:
            framing.removed(name, number)

    what = _named(function, "remove", map_type, _REMOVE_DOC)
    shortcut_candidates["remove"].append((function, int(map_type)))
    return function


def replace(map_type: MapType) -> Write:
    """Make `replace_http_…_header`."""
    number = int(map_type)

    def function(name: str, value: str | bytes) -> None:
        known = name in known_names
        if number in current.phase.no_write:
            _validate.header(name, value, map_type)
            raise map_refused(what, current.phase.no_write, number)
        if not known:
            name, value = framing.written(name, value, number)
        # Nearly every value is printable ASCII, which costs only these two tests.
        elif not (type(value) is str and value.isprintable()):
            value = _validate.value(value)
        _refuse_what_has_gone(number, "proxy_replace_header_map_value", name)
        status = current.host.proxy_replace_header_map_value(number, name, value)
        if status:
            raise failed(status, "proxy_replace_header_map_value", name)
        if not known:
            framing.after_write(name, number)

    what = _named(function, "replace", map_type, _REPLACE_DOC)
    shortcut_candidates["replace"].append((function, int(map_type)))
    return function


def add(map_type: MapType) -> Write:
    """Make `add_http_…_header`."""
    number = int(map_type)

    def function(name: str, value: str | bytes) -> None:
        if name not in known_names:
            name, value = framing.written(name, value, number, adding=True)
        elif not (type(value) is str and value.isprintable()):
            value = _validate.value(value)
        if number in current.phase.no_write:
            raise map_refused(what, current.phase.no_write, number)
        _refuse_what_has_gone(number, "proxy_add_header_map_value", name)
        status = current.host.proxy_add_header_map_value(number, name, value)
        if status:
            raise failed(status, "proxy_add_header_map_value", name)

    what = _named(function, "add", map_type, _ADD_DOC)
    shortcut_candidates["add"].append((function, int(map_type)))
    return function


_GET_ALL_DOC = """All {nouns}, as pairs of {kind}; names are in lower case, pseudo-headers included.

May be called in {where}.

Raises:
    PhaseError: no stream is selected, or the host has no {nouns} in this callback.

Source: proxy_get_header_map_pairs with {map}."""

_REPLACE_ALL_DOC = """Replace all {nouns}.

Pseudo-headers, and `x-forwarded-proto` of a request, are kept unless `headers` contains them: without them Envoy
answers 404 or 502.

May be called in {where}.

Args:
    headers: pairs of name and value, or a mapping; at most 1024 pairs and 1 MiB.

Raises:
    TypeError, ValueError: an invalid name or value, or one that does not fit the message (see the functions that
        replace one {noun}); nothing is changed.
    PhaseError: the {nouns} are not writable in this callback.
    HostcallError: the host refused.

Source: proxy_set_header_map_pairs with {map}."""

_GET_DOC = """The first value of the {noun} `name` as {kind}, or `default` if there is none.

May be called in {where}.

Raises:
    PhaseError: no stream is selected.
    BadArgument: the host has no {nouns} in this callback.

Source: proxy_get_header_map_value with {map}."""

_REMOVE_DOC = """Remove all values of the {noun} `name`, if there are any.

May be called in {where}.

Raises:
    TypeError, ValueError: `name` is not a header name, or is a pseudo-header.
    PhaseError, BadArgument: the {nouns} are not writable in this callback.

Source: proxy_remove_header_map_value with {map}."""

_REPLACE_DOC = """Set the {noun} `name` to the single value `value`, whether or not it exists.

May be called in {where}.

Raises:
    TypeError, ValueError: `name` is not a header name; `value` has CR, LF, NUL or another control character; or the
        message would no longer say where it ends: `content-length` is not what the body has, `:status` is 204, 205 or
        304 and a body follows, or the header is for one connection only (`transfer-encoding`, `connection` …).
    PhaseError, BadArgument: the {nouns} are not writable in this callback.

Source: proxy_replace_header_map_value with {map}."""

_ADD_DOC = """Add a value to the {noun} `name`.

Envoy joins the values of some standard headers (`user-agent`, `content-type` …) with a comma; others, such as
`set-cookie` and custom headers, get a second line.

May be called in {where}.

Raises:
    TypeError, ValueError: `name` is not a header name, is a pseudo-header or one of those that say where a message
        ends, or `value` has CR, LF, NUL or another control character.
    PhaseError, BadArgument: the {nouns} are not writable in this callback.

Source: proxy_add_header_map_value with {map}."""
