"""Requests that Envoy itself answers, before the plugin or after it (docs/abi.md §5, cases 30 to 34 and 110)."""

from __future__ import annotations

import re

from .headers import Headers
from .rules import holds

MAX_HEADERS, MAX_HEADERS_SIZE = 100, 60 * 1024
"""Envoy's defaults: `max_headers_count` and `max_request_headers_kb`."""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ABSOLUTE = re.compile(rb"https?://", re.IGNORECASE)
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


def codec_refusal(headers: Headers) -> tuple[int, bytes] | None:
    """Status and body of the response if Envoy's HTTP codec refuses a request before any filter (§5, case 110)."""
    too_many = len(headers) > MAX_HEADERS and holds("a request with too many headers is refused before the plugin")
    if too_many or (
        headers.size() > MAX_HEADERS_SIZE and holds("a request with too large headers is refused before the plugin")
    ):
        return 431, b"Request Header Fields Too Large"
    path = headers.first(b":path") or b"/"
    if b"#" in path and holds("a fragment in a path is refused before the plugin"):
        return 400, b""
    special = path == b"*" or headers.get(":method") == "CONNECT" or _ABSOLUTE.match(path)
    if path[:1] != b"/" and not special and holds("a path begins with a slash"):
        return 400, b"Bad Request"
    if not path.isascii() and holds("a path is ASCII"):
        return 400, b"Bad Request"
    return None


def refusal(headers: Headers) -> tuple[int, str, bytes] | None:
    """Status, details and body of Envoy's response to a request that it cannot send upstream, or None."""
    routed = (
        (":path", "a request without a path is not routed"),
        ("x-forwarded-proto", "a request without x-forwarded-proto is not routed"),
    )
    if any(name not in headers and holds(rule) for name, rule in routed):
        return 404, "route_not_found", b""
    rooted = (headers.get(":path") or "/").startswith("/") or headers.get(":method") == "CONNECT"
    if not rooted and holds("a path without a slash is not routed"):
        return 404, "route_not_found", b""
    why = ""
    if ":method" not in headers and holds("a request needs a method"):
        why = "missing required header: :method"
    for name, value in headers.raw:
        if not _TOKEN.fullmatch(name.removeprefix(b":")) and holds("request header names are checked"):
            why = why or f"invalid header name: {name.decode('latin-1')}"
        elif not _VALUE.fullmatch(value) and holds("request header values are checked"):
            why = why or f"invalid header value for: {name.decode('latin-1')}"
    if not why:
        return None
    details = f"filter_removed_required_request_headers{{{why.replace(' ', '_')}}}"
    return 503, details, why.encode("latin-1")
