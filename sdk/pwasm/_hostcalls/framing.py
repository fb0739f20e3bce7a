"""What of a message's framing depends on the message: its length, whether it has a body, what its headers say now.

The fields are those of `_validate.FRAMED`. All functions raise before anything is changed:

- `content-length` is what it is now; where no body follows it may be 0, and anything in a response to HEAD or a 304
  (RFC 9110 § 8.6). It is never in a 204.
- A status without a body (RFC 9110 § 6.4.1) is for a response whose headers ended it.
- HEAD stays HEAD, and no other method becomes it (§ 9.3.2): the client knows by it whether there is a body.
- A body changes its size only if `content-length` is known to be gone.

A field of `FRAMED` that has the value already may be written again: a filter may read all headers, change one and write
them back.
"""

from __future__ import annotations

from .. import _validate
from .._abi import MapType, Status
from .._stream.current import current
from .._stream.holding import headers_can_change
from .._stream.marks import NO_LENGTH
from .._stream.phases import REQUEST, RESPONSE
from .._stream.records import Stream
from .._stream.registration import MESSAGES
from .._validate import BODILESS, CONTENT_LENGTH, FRAMED, HOST, TE, Headers
from ..errors import PhaseError

_STATUS, _AUTHORITY, _METHOD = ":status", ":authority", ":method"
_HEADER_MAPS = {int(MapType.HTTP_REQUEST_HEADERS): REQUEST, int(MapType.HTTP_RESPONSE_HEADERS): RESPONSE}
_NOT_MODIFIED, _NO_CONTENT, _HEAD = b"304", b"204", b"HEAD"


def written(name: object, value: object, map_type: int, *, adding: bool = False) -> tuple[str, bytes]:
    """The name and value of a header that was never written before, or is one of the framing, if they may be."""
    checked = _validate.name(name, map_type, adding=adding)
    content = _validate.value(value)
    if checked[0] == ":":
        _validate.pseudo_value(checked, content, map_type)
    direction = _HEADER_MAPS.get(map_type, -1)
    if direction >= 0:
        _check(checked.lower(), content, direction)
    return checked, content


def after_write(name: str, map_type: int) -> None:
    """A header of `written` is in the map. A response that lost the reason for its `content-length` loses that too."""
    stream = current.stream
    if name != _STATUS or stream is None or not stream.bare_response:
        return
    status = _now(_STATUS, RESPONSE)
    if status == _NO_CONTENT or (status != _NOT_MODIFIED and not _is_head()):
        current.host.proxy_remove_header_map_value(map_type, CONTENT_LENGTH)


def removed(name: str, map_type: int) -> None:
    """A header has been removed."""
    direction = _HEADER_MAPS.get(map_type, -1)
    if direction >= 0 and current.stream is not None and name.lower() == CONTENT_LENGTH:
        current.stream.marks |= NO_LENGTH << direction


def removable(name: object, map_type: int) -> str:
    """`name` if it may be removed from the map."""
    checked = _validate.name(name, map_type, removing=True)
    if map_type == MapType.HTTP_REQUEST_HEADERS and checked.lower() == HOST:
        raise ValueError(f"name: {checked} is the pseudo header {_AUTHORITY!r}, without which a request is broken")
    return checked


def replaced(pairs: list[tuple[str, bytes]], old: list[tuple[bytes, bytes]], map_type: int) -> None:
    """Check all the headers of a message together, which are to take the place of `old`."""
    direction = _HEADER_MAPS[map_type]
    seen = set()
    for index, (name, value) in enumerate(pairs):
        key = name.lower()
        if key not in FRAMED and key[0] != ":":
            continue
        try:
            one = _AUTHORITY if key == HOST and direction == REQUEST else key
            if one in seen:
                raise ValueError(f"name: there is another {one}, and the host would join the two into a broken value")
            seen.add(one)
            if (key.encode(), value) not in old:
                _check(key, value, direction)
        except ValueError as error:
            raise ValueError(f"headers[{index}].{error}") from None


def after_replace(names: set[bytes], map_type: int) -> None:
    """The headers of `replaced` are in the map."""
    if CONTENT_LENGTH.encode() not in names:
        removed(CONTENT_LENGTH, map_type)
    after_write(_STATUS, map_type)


def of_local_response(status: int, headers: Headers, body: bytes) -> list[tuple[str | bytes, str | bytes]]:
    """The headers of a local response, without those that Envoy writes itself."""
    if body and status in BODILESS:
        raise ValueError(f"body: a response with status {status} has no body (RFC 9110 § 6.4.1), not {len(body)} bytes")
    kept: list[tuple[str | bytes, str | bytes]] = []
    for name, value in _validate.headers("headers", headers, _validate.LOCAL_RESPONSE):
        key = name.lower()
        if key == CONTENT_LENGTH and int(_validate.length(value)) != len(body):
            raise ValueError(f"headers: {CONTENT_LENGTH} is {value.decode()}, but the body has {len(body)} bytes")
        if key not in FRAMED:
            kept.append((name, value))
    return kept


def check_edit(what: str, stream: Stream, direction: int, change: int) -> None:
    """Refuse an edit that changes a body's size by `change` bytes, if its `content-length` is on its way.

    Raises:
        PhaseError: the header has been sent, or nobody has looked whether there is one.
    """
    over = stream.closed or (stream.local_response and direction == REQUEST)
    if not change or over or stream.marks & NO_LENGTH << direction:
        return
    if headers_can_change(stream, direction):
        current.host.proxy_remove_header_map_value(2 * direction, CONTENT_LENGTH)
        stream.marks |= NO_LENGTH << direction
        return
    message = MESSAGES[direction]
    raise PhaseError(
        what,
        current.phase.method,
        f"the body would change its size, but {CONTENT_LENGTH} has been sent, or the class is not known to edit bodies;"
        f" any excess would be taken for another {message}",
        f"declare edits_{message}_body = True in the class, or remove {CONTENT_LENGTH} in on_http_{message}_headers",
    )


def _check(key: str, value: bytes, direction: int) -> None:
    """Check a field of the framing, or a pseudo header, by what its message is."""
    stream = current.stream
    if stream is None:  # the call is refused for that
        return
    if key == HOST:
        if direction == REQUEST:
            _validate.pseudo_value(_AUTHORITY, value, MapType.HTTP_REQUEST_HEADERS)
    elif key == _METHOD:
        now = _now(_METHOD, REQUEST)
        if isinstance(now, bytes) and (now == _HEAD) != (value == _HEAD):
            raise ValueError(
                f"value: {_METHOD} cannot become {value.decode()}: the client expects the response to {now.decode()}"
                " (RFC 9110 § 9.3.2)"
            )
    elif key == _STATUS:
        bare = stream.bare_response or _now(CONTENT_LENGTH, RESPONSE) == b"0"
        if int(value) in BODILESS and not bare:
            raise ValueError(
                f"value: a response with {_STATUS} {int(value)} has no body (RFC 9110 § 6.4.1), but one follows"
            )
    elif key in FRAMED and not (key == TE and value.lower() == b"trailers"):
        now = _now(key, direction)
        if key == CONTENT_LENGTH:
            _validate.length(value)
            _check_length(value, now, stream, direction)
        elif now is not False and now != value:
            raise ValueError(f"name: {key} cannot be set ({FRAMED[key]})")


def _check_length(value: bytes, now: bytes | bool, stream: Stream, direction: int) -> None:
    if now is False or value == now:
        return
    if not (stream.bare_response if direction == RESPONSE else stream.bare_request):
        message = MESSAGES[direction]
        raise ValueError(
            f"value: {CONTENT_LENGTH} cannot be {value.decode()} ({FRAMED[CONTENT_LENGTH]});"
            f" declare edits_{message}_body = True to change the body, or remove the header"
        )
    status = _now(_STATUS, RESPONSE) if direction == RESPONSE else b""
    if status == _NO_CONTENT or not (
        value == b"0" or (direction == RESPONSE and (status == _NOT_MODIFIED or _is_head()))
    ):
        raise ValueError(
            f"value: {CONTENT_LENGTH} cannot be {value.decode()} ({FRAMED[CONTENT_LENGTH]}), since no body follows"
        )


def _now(key: str, direction: int) -> bytes | bool:
    """The value of a header; True if there is none; False if the map is not there, and so cannot be written either."""
    status, value = current.host.proxy_get_header_map_value(2 * direction, key)
    return value if status == Status.OK else status == Status.NOT_FOUND


def _is_head() -> bool:
    return current.host.proxy_get_property(b"request\0method") == (Status.OK, _HEAD)
