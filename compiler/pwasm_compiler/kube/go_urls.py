"""The scheme of a URL as Go's `url.ParseRequestURI` sees it, which the CEL functions isURL and url call.

It matters for images: in `registry:5000/name`, `registry` is a scheme, so Istio's API refuses that without `oci://`.
Read in Go 1.26, net/url/url.go: parse, getScheme, parseAuthority, parseHost, unescape.
"""

from __future__ import annotations

import ipaddress
import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_WRONG_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USER = re.compile(r"[A-Za-z0-9._:~!$&'()*+,;=%@-]*")
_HOST = re.compile(r"""(?:[A-Za-z0-9._~!$&'()*+,;=:\]<>"-]|[^\x00-\x7f]|%[89A-Fa-f][0-9A-Fa-f])*""")


def scheme(text: str) -> str | None:
    """The scheme in lower case, "" for a path without one; None if it is no URL, "//" if only isURL takes it."""
    if not text or text.startswith(":") or _CONTROL.search(text):
        return None
    found = _SCHEME.match(text)
    name, rest = (found[1].lower(), text[found.end() :]) if found else ("", text)
    rest = rest.partition("?")[0] if text != "*" else "/"
    if not rest.startswith("/"):
        return name or None  # "mailto:x" is a URL, "x/y" is none
    if rest.startswith("//") and (name or not rest.startswith("///")):  # the latter is url.Parse, which url() calls
        authority, _, path = rest[2:].partition("/")
        right = _is_authority(authority) and not _WRONG_ESCAPE.search(path)
        return name if right else None if name else "//"
    return None if _WRONG_ESCAPE.search(rest) else name


def _is_authority(text: str) -> bool:
    user, _, host = text.rpartition("@")
    if not _USER.fullmatch(user) or _WRONG_ESCAPE.search(user):
        return False
    if host.startswith("["):
        address, bracket, port = host.rpartition("]")
        return bool(bracket) and _is_port(port) and _is_address(address[1:])
    colon = host.rfind(":")
    return (colon < 0 or _is_port(host[colon:])) and bool(_HOST.fullmatch(host))


def _is_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text.replace("%25", "%")).version == 6
    except ValueError:
        return False


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and all(digit in "0123456789" for digit in text[1:]))
