"""URLs that a registry names: for redirects, uploads and token servers. They are parsed here and nowhere else.

A URL is taken if every part of it means the same to everyone who reads it: what one reader takes for the host, another
may take for a part of the path, and credentials depend on it. So it is RFC 3986 and nothing more: printable ASCII, http
or https, no user, a host of letters, digits, `-`, `.` and `_` or an IPv6 address in brackets, a port from 1 to 65535.
Only a path and a query may hold other ASCII characters that some registries leave unescaped.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin

PORTS = {"http": 80, "https": 443}
_LONGEST = 16 << 10
"""A signed URL of a storage has about 2 KiB; servers take up to 8 or 16 KiB."""
_LONGEST_HOST = 253  # RFC 1035 section 2.3.4, in the form with dots
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_PARTS = re.compile(
    rf"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<host>{_LABEL}(?:\.{_LABEL})*\.?|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>\d{0,5}))?(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?"
)

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

Origin = tuple[str, str, int]
"""Scheme, host and port: credentials for one must not be sent to another (RFC 6454)."""


@dataclass(frozen=True)
class Url:
    """A usable URL; `str` is what to request. The fragment is gone."""

    scheme: str
    host: str
    """In lower case; an IPv6 address is in brackets."""
    port: int
    path: str = "/"
    query: str = ""

    @property
    def authority(self) -> str:
        """Host and port, without the port that the scheme implies."""
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def origin(self) -> Origin:
        """What credentials belong to."""
        return self.scheme, self.host, self.port

    @property
    def shown(self) -> str:
        """For messages: without the query, which may hold a signature."""
        return f"{self.scheme}://{self.authority}{self.path[:200]}"

    def with_query(self, name: str, value: str) -> Url:
        """The same with one more parameter."""
        query = "&".join(part for part in (self.query, urlencode({name: value})) if part)
        return Url(self.scheme, self.host, self.port, self.path, query)

    def join(self, reference: str) -> Url | None:
        """What `reference`, absolute or relative, means at this URL; None if that is no usable URL."""
        if _ABSOLUTE.match(reference):
            return parse_url(reference)
        if reference.startswith("//"):
            return parse_url(f"{self.scheme}:{reference}")
        # What is left has no host of its own. For the two above, urljoin takes this URL's host if theirs is empty.
        return parse_url(urljoin(str(self), reference)) if _is_printable(reference) else None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}{f'?{self.query}' if self.query else ''}"


def parse_url(text: str) -> Url | None:
    """The URL in `text`; None if it is not one that may be requested."""
    match = _PARTS.fullmatch(text) if _is_printable(text) else None
    if match is None or len(match["host"]) > _LONGEST_HOST:
        return None
    scheme, host = match["scheme"].lower(), match["host"].lower()
    port = int(match["port"] or PORTS[scheme])
    if port not in range(1, 65536) or (match["ipv6"] is not None and not _is_ipv6(match["ipv6"])):
        return None
    return Url(scheme, host, port, match["path"] or "/", match["query"] or "")


def _is_printable(text: str) -> bool:
    return len(text) <= _LONGEST and all("!" <= letter <= "~" for letter in text)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
