"""Whether a message of HTTP/1.1 is framed as RFC 9110 and 9112 have it; knows nothing of how the SDK sees to it."""

from __future__ import annotations

from collections.abc import Sequence

Pairs = Sequence[tuple[bytes, bytes]]

PSEUDO = {True: (b":method", b":path", b":authority", b":scheme"), False: (b":status",)}
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"transfer-encoding", b"te"}


def faults(headers: Pairs, body: bytes, *, request: bool, to_head: bool = False, before: Pairs = ()) -> list[str]:
    """What is wrong with a message whose headers were `before` when the filter got them."""
    found = []
    names = [name.lower() for name, _ in headers]
    for name in PSEUDO[request]:
        if names.count(name) != 1:
            found.append(f"{names.count(name)} × {name!r}")
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    codings = [value for name, value in headers if name.lower() == b"transfer-encoding"]
    if len(lengths) > 1 or not all(value.isdigit() for value in lengths):
        return [*found, f"content-length: {lengths}"]
    if lengths and codings and request:  # in a response Envoy replaces the coding by its own (docs/abi.md §6)
        found.append("content-length and transfer-encoding")
    if request and (b"host" in names or any(name == b":authority" and b"," in value for name, value in headers)):
        found.append("two hosts")
    status = b"" if request else next((value for name, value in headers if name == b":status"), b"")
    bodiless = status in (b"204", b"304") or status.startswith(b"1")
    if (bodiless or status == b"205" or to_head) and body:
        found.append(f"a body of {len(body)} bytes in a response {status!r}")
    if status == b"204" and lengths:
        found.append("content-length in a 204")
    if lengths and not (bodiless or to_head) and int(lengths[0]) != len(body):
        found.append(f"content-length: {lengths[0]!r}, and {len(body)} bytes")
    for name, value in headers:
        new = (name, value) not in before and not (name.lower() == b"te" and value.lower() == b"trailers")
        if name.lower() in HOP_BY_HOP and new:
            found.append(f"{name!r}: {value!r}")
    return found


def trailer_faults(trailers: Pairs) -> list[str]:
    """What is wrong with trailers (RFC 9110 § 6.5.1)."""
    wrong = {*HOP_BY_HOP, b"content-length", b"host"}
    return [repr(name) for name, _ in trailers if name.lower() in wrong or name.startswith(b":")]
