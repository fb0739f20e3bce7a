"""Validation of everything that a filter writes, before it is sent.

Envoy validates none of this: it wrote a response header value with CR LF to the client as is, which is response
splitting; likewise names with spaces, empty names, NUL, and status 99999 (docs/abi.md §0.4, §1.16).

The rules are RFC 9110 § 5.1 (field-name = token), § 5.5 (field-value: no CTL except HTAB; bytes 0x80-0xFF are allowed)
and § 9.1 (method = token); pseudo-headers as in RFC 9113 § 8.3. Blanks around a value are kept: Envoy's codecs strip
them.

`FRAMED` is the table of the fields that say where a message ends, and whose connection it is. Envoy sends them as they
are: `content-length: 30` on a GET made upstream wait, and `transfer-encoding` beside `content-length` leaves the choice
to the reader, which is how requests are smuggled. What depends on the message is in `_hostcalls.framing`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from ._abi import MapType
from ._serde import to_bytes
from ._typing import Final, NamedTuple, NoReturn

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*")
_STATUS = re.compile(r"[2-5][0-9][0-9]")

Headers = Iterable[tuple[str, str | bytes]] | Mapping[str, str | bytes]
"""The argument of functions that write several headers: pairs, or a mapping."""


def _no_blank(value: str) -> bool:
    return bool(value) and " " not in value and "\t" not in value


class _Rule(NamedTuple):
    test: Callable[[str], object]
    wants: str


_METHOD = _Rule(_TOKEN.fullmatch, "a token such as GET")
_REQUEST_PSEUDO = {
    ":method": _METHOD,
    ":path": _Rule(_no_blank, "not empty and without blanks"),
    ":authority": _Rule(_no_blank, "not empty and without blanks"),
    ":scheme": _Rule(_SCHEME.fullmatch, "a URI scheme such as https"),
    ":protocol": _Rule(_TOKEN.fullmatch, "a token such as websocket"),
}
_RESPONSE_PSEUDO = {":status": _Rule(_STATUS.fullmatch, "three digits, 200 to 599")}

PSEUDO: dict[int, dict[str, _Rule]] = {
    MapType.HTTP_REQUEST_HEADERS: _REQUEST_PSEUDO,
    MapType.HTTP_RESPONSE_HEADERS: _RESPONSE_PSEUDO,
}
"""The pseudo-headers allowed in each map; trailers have none."""

CONTENT_LENGTH: Final = "content-length"
TE: Final = "te"
HOST: Final = "host"

FRAMED: Final = {
    CONTENT_LENGTH: "RFC 9110 § 8.6: it is the size of the body",
    "transfer-encoding": "RFC 9112 § 6.1: Envoy chooses the coding of each connection",
    "connection": "RFC 9110 § 7.6.1: it is for one connection, which is Envoy's",
    "keep-alive": "RFC 9113 § 8.2.2: it is for one connection, which is Envoy's",
    "proxy-connection": "RFC 9113 § 8.2.2: it is for one connection, which is Envoy's",
    "upgrade": "RFC 9110 § 7.8: it is for one connection, which is Envoy's",
    TE: 'RFC 9113 § 8.2.2: it is for one connection, unless it is "trailers"',
    HOST: "RFC 9110 § 7.2: it is `:authority`",
}
"""Name → why it cannot be written like any other. All of them can be removed, and none may be in trailers (§ 6.5.1)."""

OF_THE_CONNECTION: Final = frozenset(FRAMED) - {CONTENT_LENGTH, HOST}

BODILESS: Final = frozenset({204, 205, 304})
"""Statuses of responses without a body (RFC 9110 § 6.4.1, § 15.3.6), besides 1xx, which no filter can send."""

LOCAL_RESPONSE: Final = -1
CALL_METADATA: Final = -2
"""Headers that are in no map of the ABI: those of a local response, and the metadata of a gRPC call."""

_TRAILERS = frozenset({int(MapType.HTTP_REQUEST_TRAILERS), int(MapType.HTTP_RESPONSE_TRAILERS)})

known_names: set[str] = set()
"""Names that have been validated before, which saves the regular expression for the names a filter uses repeatedly.
Bounded, since a filter may take names from the request. Names in `FRAMED` are never among them."""

_MAX_KNOWN_NAMES = 512


def type_error(argument: str, wanted: str, value: object) -> NoReturn:
    """Raise the TypeError for an argument of the wrong type."""
    raise TypeError(f"{argument} must be {wanted}, not {type(value).__name__}")


def text(argument: str, value: object) -> str:
    """`value` if it is a str."""
    if not isinstance(value, str):
        type_error(argument, "str", value)
    return value


def text_or_bytes(argument: str, value: object) -> None:
    """Raise TypeError if `value` is neither str nor bytes."""
    if not isinstance(value, (str, bytes)):
        type_error(argument, "str or bytes", value)


def integer(argument: str, value: object, low: int, high: int) -> int:
    """`value` if it is an int (not a bool) between `low` and `high`."""
    if not isinstance(value, int) or isinstance(value, bool):
        type_error(argument, "int", value)
    if not low <= value <= high:
        raise ValueError(f"{argument} must be between {low} and {high}, not {value}")
    return value


def data(argument: str, value: object) -> bytes:
    """The bytes of `value`: bytes unchanged, a str encoded as UTF-8, other buffers copied."""
    if type(value) is bytes:
        return value
    if isinstance(value, str):
        return to_bytes(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    type_error(argument, "bytes or str", value)


def name(value: object, map_type: int, *, adding: bool = False, removing: bool = False) -> str:
    """`value` if it is a header name that may be written to this map, or removed from it."""
    checked = text("name", value)
    if checked.startswith(":"):
        if checked not in PSEUDO.get(map_type, ()):
            raise ValueError(f"name: the pseudo header {checked!r} is not allowed here")
        if removing:
            raise ValueError(f"name: a message without the pseudo header {checked!r} is broken; replace it")
        if adding:
            raise ValueError(
                f"name: adding to the pseudo header {checked!r} would make one broken value of two; replace it"
            )
        return checked
    if not _TOKEN.fullmatch(checked):
        raise ValueError(f"name: {checked!r} is not a header name (RFC 9110: letters, digits and !#$%&'*+-.^_`|~)")
    if checked.lower() in FRAMED:
        if not removing:
            _framed(checked, map_type, adding=adding)
    elif len(known_names) < _MAX_KNOWN_NAMES:
        known_names.add(checked)
    return checked


def _framed(name: str, map_type: int, *, adding: bool) -> None:
    why = FRAMED[name.lower()]
    if map_type in _TRAILERS:
        raise ValueError(f"name: {name} is not allowed in trailers (RFC 9110 § 6.5.1)")
    if map_type == CALL_METADATA:
        raise ValueError(f"name: {name} is not allowed in metadata ({why})")
    if adding:
        raise ValueError(f"name: nothing can be added to {name} ({why})")


def value(checked: object) -> bytes:
    """The bytes of a header value, if it may be written."""
    if not isinstance(checked, (str, bytes)):
        type_error("value", "str or bytes", checked)
    encoded = to_bytes(checked)
    found = _FORBIDDEN.search(encoded)
    if found:
        raise ValueError(f"value: byte {found[0][0]:#04x} is not allowed in a header value, in {checked!r}")
    return encoded


def pseudo_value(name: str, checked: bytes, map_type: int) -> None:
    """Check the value of a pseudo header."""
    rule = PSEUDO[map_type][name]
    if not rule.test(checked.decode("utf-8", "surrogateescape")):
        raise ValueError(f"value: {name} must be {rule.wants}, not {checked!r}")


def header(pair_name: object, pair_value: object, map_type: int) -> tuple[str, bytes]:
    """The name and value of a header, if they may be written to this map."""
    checked_name = name(pair_name, map_type)
    checked_value = value(pair_value)
    if checked_name.startswith(":"):
        pseudo_value(checked_name, checked_value, map_type)
    return checked_name, checked_value


def length(checked: bytes) -> bytes:
    """The value of a `content-length`."""
    if not (checked.isdigit() and checked.isascii()):
        raise ValueError(f"value: {CONTENT_LENGTH} must be digits (RFC 9110 § 8.6), not {checked!r}")
    return checked


_SEGMENT = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})+")


def segment(argument: str, value: object, *, several: bool = False) -> str:
    """`value` if it is a segment of a path (RFC 3986 § 3.3, pchar), or `several` with slashes in between."""
    checked = text(argument, value)
    for part in checked.split("/") if several else (checked,):
        if not _SEGMENT.fullmatch(part):
            raise ValueError(f"{argument} must be a part of a path (RFC 3986 § 3.3), not {checked!r}")
    return checked


def headers(argument: str, pairs: Headers, map_type: int) -> list[tuple[str, bytes]]:
    """The validated pairs of a whole map; errors name the argument and the index of the pair."""
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        type_error(argument, "pairs of name and value, or a mapping", pairs)
    checked: list[tuple[str, bytes]] = []
    for pair in pairs.items() if isinstance(pairs, Mapping) else pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"{argument}[{len(checked)}] must be a pair of name and value, not {pair!r}")
        try:
            checked.append(header(pair[0], pair[1], map_type))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{argument}[{len(checked)}].{error}") from None
    return checked
