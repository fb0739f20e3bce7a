"""jwt_auth: lets requests through that carry a JSON Web Token, signed with a key that a service publishes."""

import json
from dataclasses import dataclass, field
from typing import Annotated, Any

import jws
from keys import SECOND, KeyCache, Source

import pwasm
from pwasm import HttpContext, PluginContext
from pwasm.config import Range

LATEST = 2**40
"""Seconds since 1970 that no clock reaches; neither infinity nor NaN compares as less."""


@dataclass
class Config:
    """The tokens to accept, and the claims to pass to upstream."""

    issuer: str
    audience: str
    keys: Source = field(default_factory=Source)
    leeway_seconds: Annotated[int, Range(0, 3600)] = 30
    max_token_bytes: Annotated[int, Range(100, 65_536)] = 8192
    claim_headers: dict[str, str] = field(
        default_factory=dict[str, str],
        metadata={"description": "Claim → the request header that passes it to upstream."},
    )


class Plugin(PluginContext):
    config: Config

    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        self.keys = KeyCache(self.config.keys)


class JwtAuth(HttpContext):
    plugin: Plugin

    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        for header in self.plugin.config.claim_headers.values():
            pwasm.remove_http_request_header(header)  # never trust the client's own value
        given = self.request.headers.get_all("authorization")
        if not given:
            refuse(401, "a token is required", "Bearer")
            return
        try:
            headers = await self.verified(given)
        except jws.Invalid as error:
            refuse(401, str(error), f'Bearer error="invalid_token", error_description="{error}"')
            return
        if headers is None:
            refuse(503, "tokens cannot be verified at the moment")
            return
        pwasm.remove_http_request_header("authorization")  # the token is for this filter
        self.request.headers.update(headers)

    async def verified(self, given: list[str]) -> dict[str, str] | None:
        """The headers for upstream; None if there are no keys.

        Raises:
            Invalid: the token is invalid.
        """
        config = self.plugin.config
        scheme, _, token = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer" or len(token) > config.max_token_bytes:
            raise jws.Invalid("exactly one bearer token of limited size is required")
        key = await self.plugin.keys.find(*jws.header_of(token))
        if key is None and not self.plugin.keys.keys:
            return None
        if key is None:
            raise jws.Invalid("no key for the token")
        claims = jws.claims_of(token, key)
        check(claims, config, pwasm.get_current_time_nanoseconds() / SECOND)
        return {name: as_header(claims[claim]) for claim, name in config.claim_headers.items() if claim in claims}


def check(claims: dict[str, Any], config: Config, now: float) -> None:
    """Check that the claims are meant for this audience and time (RFC 7519 §4.1)."""
    audience = claims.get("aud")
    if claims.get("iss") != config.issuer:
        raise jws.Invalid("the token is from another issuer")
    if config.audience not in (audience if isinstance(audience, list) else [audience]):
        raise jws.Invalid("the token is for another audience")
    if now >= seconds(claims, "exp", None) + config.leeway_seconds:
        raise jws.Invalid("the token has expired")
    if now < seconds(claims, "nbf", 0) - config.leeway_seconds:
        raise jws.Invalid("the token is not valid yet")


def seconds(claims: dict[str, Any], name: str, default: float | None) -> float:
    """A time in seconds since 1970."""
    value = claims.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < LATEST:
        raise jws.Invalid(f"the token has no usable {name}")
    return value


def as_header(value: Any) -> str:
    """A claim as a header value: text as is, everything else as JSON, which is ASCII."""
    if not isinstance(value, str):
        return json.dumps(value)
    if not value.isprintable():
        raise jws.Invalid("a claim is not valid as a header")
    return value


def refuse(status: int, why: str, challenge: str = "") -> None:
    """Reject the request, with an authentication challenge."""
    headers = {"www-authenticate": challenge} if challenge else {}
    pwasm.send_http_response(status, headers, f"{why}\n")


pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(JwtAuth)
