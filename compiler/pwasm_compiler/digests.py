"""SHA-256 digests as images and resources write them: `sha256:` and 64 hexadecimal digits."""

from __future__ import annotations

import hashlib
import re

from pwasm_compiler.errors import UsageError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_GIVEN = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_PIN = re.compile(r"@sha256:([0-9a-f]{64})$")


def digest_of(data: bytes) -> str:
    """`sha256:…`, as manifests write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def sha256_of(text: str) -> str:
    """The 64 digits of a digest, written with `sha256:` or without."""
    match = _GIVEN.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(
            f"'{text}' is not a SHA-256 digest", hint="pwasm push prints it: sha256: and 64 hexadecimal digits"
        )
    return match[1]


def sha256_in(url: str) -> str | None:
    """The 64 digits of the digest that `url` ends with, if it is pinned."""
    match = _PIN.search(url)
    return match[1] if match else None
