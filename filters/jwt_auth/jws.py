"""The part of JSON Web Signatures that bearer tokens need: HS256 and RS256, in pure Python.

The algorithm belongs to the key, not to the token: `alg` only selects among the keys of that algorithm. So there is no
`none`, and an RSA key, which is public, can never serve as the secret of an HS256 signature.

Source: RFC 7515 (JWS), 7517 (keys), 7518 (algorithms; §3.2 and §3.3 for the sizes of keys), 8017 §8.2.2 (PKCS #1 v1.5).
"""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Any, cast

COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
LEAST_SECRET, LEAST_RSA, MOST_RSA, MOST_KEYS = 32, 2048, 8192, 100


class Invalid(Exception):  # noqa: N818, named after the state of a token
    """A token or a key cannot be trusted; the message says why, without revealing its contents."""


@dataclass(frozen=True)
class Hmac:
    """HS256."""

    secret: bytes

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether the signature was made with this key."""
        return hmac.compare_digest(hmac.digest(self.secret, text, "sha256"), signature)


@dataclass(frozen=True)
class Rsa:
    """RS256. The expected contents of the signature are computed and compared instead of parsed, to prevent forgery."""

    n: int
    e: int

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether the signature was made with the private part of this key."""
        size, number = (self.n.bit_length() + 7) // 8, int.from_bytes(signature)
        if len(signature) != size or number >= self.n:
            return False
        expected = SHA256_INFO + hashlib.sha256(text).digest()
        padding = b"\xff" * (size - len(expected) - 3)
        return hmac.compare_digest(pow(number, self.e, self.n).to_bytes(size), b"\0\1" + padding + b"\0" + expected)


Key = Hmac | Rsa
Keys = dict[tuple[str, str], Key]
"""Keys by algorithm and `kid`."""

ALGORITHM = {"oct": "HS256", "RSA": "RS256"}
"""The only algorithm for each type of key."""


def keys_of(document: bytes) -> Keys:
    """The usable keys of a JWKS; other keys in it, which may be for other uses, are skipped.

    Raises:
        Invalid: `document` is not a JWKS.
    """
    match _object(document, "the key set"):
        case {"keys": [*listed]} if len(listed) <= MOST_KEYS:
            pass
        case _:
            raise Invalid("the key set has no list of keys, or too many")
    keys: Keys = {}
    for jwk in listed:
        try:
            algorithm = ALGORITHM[jwk["kty"]]
            if jwk.get("use", "sig") == "sig" and jwk.get("alg", algorithm) == algorithm:
                keys[algorithm, str(jwk.get("kid", ""))] = _key(jwk)
        except (Invalid, AttributeError, KeyError, TypeError, ValueError):
            continue  # RFC 7517 §5: ignore keys that are not understood
    return keys


def _key(jwk: dict[str, Any]) -> Key:
    if jwk["kty"] == "oct":
        secret = decoded(jwk["k"])
        if len(secret) < LEAST_SECRET:
            raise Invalid("the secret is too short")
        return Hmac(secret)
    n, e = int.from_bytes(decoded(jwk["n"])), int.from_bytes(decoded(jwk["e"]))
    if not LEAST_RSA <= n.bit_length() <= MOST_RSA or not 3 <= e < 2**32 or not e & n & 1:
        raise Invalid("not a usable RSA key")  # a large exponent would slow down all requests
    return Rsa(n, e)


def header_of(token: str) -> tuple[str, str]:
    """Algorithm and `kid` ("" if there is none) of a token, not yet verified."""
    if not COMPACT.fullmatch(token):
        raise Invalid("the token is malformed")
    header = _object(decoded(token.partition(".")[0]), "the token's header")
    algorithm, kid = header.get("alg"), header.get("kid", "")
    if "crit" in header:  # "must be understood": RFC 7515 §4.1.11
        raise Invalid("the token has critical extensions")
    if algorithm not in ALGORITHM.values() or not isinstance(kid, str):
        raise Invalid("the token's algorithm is not accepted")
    return str(algorithm), kid


def claims_of(token: str, key: Key) -> dict[str, Any]:
    """The claims of a token that was signed with `key`."""
    text, _, signature = token.rpartition(".")
    if not key.signed(text.encode(), decoded(signature)):
        raise Invalid("the signature is wrong")
    return _object(decoded(text.partition(".")[2]), "the token's payload")


def decoded(text: str) -> bytes:
    """Decode base64url without padding; non-canonical encodings are refused, since tokens may be used as identities."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(text) % 4 != 1 else b""
    if base64.urlsafe_b64encode(data).rstrip(b"=") != text.encode():
        raise Invalid("the token is malformed")
    return data


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Invalid(f"{what} is not a JSON object")
    return cast("dict[str, Any]", value)
