"""SHA-256 digests as written in images and resources: `sha256:` and 64 hexadecimal digits."""

from __future__ import annotations

import hashlib
import re

from pwasm_compiler.errors import UsageError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_GIVEN = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_PIN = re.compile(r"@sha256:([0-9a-f]{64})$")


def digest_of(data: bytes) -> str:
    """`sha256:…`, as written in manifests."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def sha256_of(text: str) -> str:
    """The 64 digits of a digest, given with or without `sha256:`."""
    match = _GIVEN.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(
            f"'{text}' is not a SHA-256 digest", hint="use what pwasm push prints: sha256: and 64 hexadecimal digits"
        )
    return match[1]


def sha256_in(url: str) -> str | None:
    """The 64 digits of the digest at the end of `url`, if it is pinned."""
    match = _PIN.search(url)
    return match[1] if match else None
