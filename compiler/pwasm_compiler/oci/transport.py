"""HTTP for registries: what may be sent where, what is retried, and what an error may reveal.

- An Authorization header is only sent to the origin (scheme, host and port) it was made for: a redirect to another one
  is followed without it, and so is everything after that, even back (as Go does since CVE-2024-45336): the other host
  chose it. A response says whether it came from there; the challenge of another host is none of ours to answer. A
  redirect from https to plain http is not followed.
- Plain HTTP is used for this machine, or for a host the user requested it for, and then without credentials.
- 429, 500, 502, 503, 504 and broken connections are retried, with at most `ATTEMPTS` attempts in all; `Retry-After` is
  honoured up to `LONGEST_PAUSE_SECONDS`.
- Errors show a URL without its query, which may hold a signature, and no text that contains one of our secrets.
- Whatever bytes a server sends, in whatever time, end in a response or in a `RegistryError`.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote, quote_plus

from pwasm_compiler.connections import Clock, ClockedRequest, HttpHandler, HttpsHandler
from pwasm_compiler.errors import RegistryError, UsageError

from .answers import error_message, retry_after
from .reference import is_loopback
from .url import Url

ATTEMPTS = 4
LONGEST_PAUSE_SECONDS = 30.0
TIMEOUT_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.5
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_AGAIN = (429, 500, 502, 503, 504)
_ERROR_BODY_LIMIT = 64 << 10
_CHUNK = 1 << 16

Tick = Callable[[int], None]
"""Called with the number of further bytes transferred."""
T = TypeVar("T")


def ignore(_count: int) -> None:
    """A `Tick` that shows nothing."""


@dataclass(frozen=True)
class RegistryRequest:
    """One request; `authorization` is only for the origin of `url`."""

    method: str
    url: Url
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    authorization: str | None = field(default=None, repr=False)
    anonymous: bool = False
    """Whether `authorization` is public: a token that was issued without credentials."""
    secret_body: bool = field(default=False, repr=False)
    """Whether `body` is as secret as credentials: it is not sent to another origin either."""
    sent: Tick = ignore
    received: Tick = ignore


@dataclass(frozen=True)
class RegistryResponse:
    """The final response; `url` is where it came from."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    url: Url
    elsewhere: bool = False
    """Whether another origin than that of the request sent it, or led to it."""


class _PassingError(Exception):
    """A failure worth retrying; `error` is what to raise if it persists."""

    def __init__(self, error: RegistryError, pause: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause = pause


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects are followed here rather than by urllib, which would forward the credentials."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Plain(urllib.request.HTTPErrorProcessor):
    """Every status is a response, not an error."""

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:  # noqa: ARG002
        return response

    https_response = http_response


class _Upload(io.BytesIO):
    """A body that reports how much of it has been read."""

    def __init__(self, data: bytes, *ticks: Tick) -> None:
        super().__init__(data)
        self._ticks = ticks

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        for tick in self._ticks:
            tick(len(found))
        return found


class Transport:
    """Sends requests by the rules above; `secrets` are kept out of every error."""

    def __init__(
        self,
        *,
        plain_http: bool = False,
        ca_file: Path | None = None,
        pause: Callable[[float], None] = time.sleep,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self.plain_http = plain_http
        self._pause = pause
        self._timeout = timeout_seconds
        self._secrets: set[str] = set()
        self._has_ca_file = ca_file is not None
        handlers = (HttpHandler, HttpsHandler(_context(ca_file)), _NoRedirects, _Plain)
        self._opener = urllib.request.build_opener(*handlers)
        # A proxy cannot reach this machine's own servers.
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)

    def scheme(self, host: str) -> str:
        """`http` or `https`, for a registry at `host`."""
        plain = self.plain_http or (is_loopback(host) and not self._has_ca_file)
        return "http" if plain else "https"

    def keep_secret(self, *texts: str) -> None:
        """Never show these in an error."""
        self._secrets |= {text for text in texts if len(text) > 2}

    def may_carry_secrets(self, url: Url) -> bool:
        """Whether credentials may be sent to `url`: over https, or to this machine."""
        return url.scheme == "https" or is_loopback(url.authority)

    def send(self, request: RegistryRequest, limit: int, *, again: bool = True) -> RegistryResponse:
        """The response to `request`, at most `limit` bytes of it, retried where that may help.

        Raises:
            RegistryError: no response, retries exhausted, a body over the limit, or an unsafe redirect.
        """
        try:
            return self.retry(lambda: self._follow(request, limit)) if again else self._follow(request, limit)
        except RegistryError as error:  # a redirect may repeat what was sent
            raise RegistryError(self.clean(error.what), why=self.clean(error.why), hint=error.hint) from error

    def retry(self, action: Callable[[], T]) -> T:
        """Perform `action`, and retry transient failures."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return action()
            except _PassingError as failure:
                pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) if failure.pause is None else failure.pause
                if attempt == ATTEMPTS:
                    raise failure.error from None
                if pause > LONGEST_PAUSE_SECONDS:
                    error = failure.error
                    error.hint = f"it asks clients to wait {pause:.0f} s; try again then"
                    raise error from None
                self._pause(pause)
        raise AssertionError("unreachable")

    def _follow(self, request: RegistryRequest, limit: int) -> RegistryResponse:
        url, method, body, origin, elsewhere = request.url, request.method, request.body, request.url.origin, False
        for _ in range(_MOST_REDIRECTS + 1):
            authorization = None if elsewhere else request.authorization
            response = self._once(method, url, request, body, authorization, limit)
            location = response.headers["Location"] if response.status in _REDIRECTS else None
            if location is None:
                return replace(response, elsewhere=elsewhere)
            target = self.target(url, location)
            elsewhere = elsewhere or target.origin != origin
            if request.secret_body and elsewhere:
                raise RegistryError(f"{url.shown} redirects to another host, which must not get the credentials")
            if method not in ("GET", "HEAD") and response.status not in (307, 308):
                method, body = "GET", None
            url = target
        raise RegistryError(f"{request.url.shown} redirects too many times")

    def target(self, url: Url, location: str) -> Url:
        """Where `location`, in a response from `url`, leads; an unusable or less secure one is refused."""
        target = url.join(location)
        if target is None:
            shown = location.partition("?")[0].rpartition("@")[2][:100]
            raise RegistryError(
                f"{url.shown} redirects to something other than an http or https URL", why=f"It names {shown!r}."
            )
        if target.scheme == "http" and url.scheme == "https":
            raise RegistryError(
                f"{url.shown} redirects from https to plain http",
                why=f"It names {target.shown}, where anyone on the path could read and modify the image.",
                hint="the registry is not aware of its TLS proxy; its administrator can configure its https URL",
            )
        if target.scheme == "http" and not self.plain_http and not is_loopback(target.authority):
            raise RegistryError(f"{url.shown} redirects to plain http, at {target.shown}")
        return target

    def _once(
        self, method: str, url: Url, request: RegistryRequest, body: bytes | None, authorization: str | None, limit: int
    ) -> RegistryResponse:
        headers = dict(request.headers)
        if authorization is not None and (request.anonymous or self.may_carry_secrets(url)):
            headers["Authorization"] = authorization
        clock = Clock(self._timeout, max(limit, _ERROR_BODY_LIMIT) + len(body or b""))
        data: IO[bytes] | None = None
        if body is not None:
            headers.setdefault("Content-Type", "application/octet-stream")
            headers["Content-Length"] = str(len(body))
            data = _Upload(body, request.sent, clock.tick)
        sent = ClockedRequest(clock, str(url), data=data, headers=headers, method=method)
        opener = self._direct if is_loopback(url.authority) else self._opener
        try:
            with opener.open(sent, timeout=self._timeout) as answer:
                content = _read(answer, limit, request.received, url)
                response = RegistryResponse(answer.status, answer.headers, content, url)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(url, error) from error
        except (ValueError, OverflowError) as error:  # http.client does not expect numbers such as a chunk of -5 bytes
            raise self._malformed(url, error) from error
        if response.status in _AGAIN:
            pause = retry_after(response.headers["Retry-After"] or "")
            raise _PassingError(self.refusal(response, "is currently unavailable"), pause)
        return response

    def _broken(self, url: Url, error: Exception) -> Exception:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        where = url.authority
        if isinstance(reason, ssl.SSLCertVerificationError):
            return RegistryError(
                f"the certificate of {where} is not trusted",
                why=f"{reason.verify_message}.",
                hint="pass its certificate authority with --ca-file",
            )
        if isinstance(reason, ssl.SSLError):
            hint = "if it speaks plain HTTP: --plain-http"
            return RegistryError(f"{where} does not speak TLS", why=f"{reason.reason or reason}.", hint=hint)
        if isinstance(reason, socket.gaierror):
            return RegistryError(f"unknown host {where}", why=f"{reason.strerror}.")
        if isinstance(reason, http.client.HTTPException) and not isinstance(reason, OSError):
            return _PassingError(self._malformed(url, reason))
        text = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
        failed = RegistryError(
            f"cannot reach {where}",
            why=self.clean(f"{text}."),
            hint="is the registry running, and is its name correct?",
        )
        return failed if isinstance(reason, ConnectionRefusedError) else _PassingError(failed)

    def _malformed(self, url: Url, error: Exception) -> RegistryError:
        said = self.clean(str(error) or "nothing")
        return RegistryError(
            f"{url.authority} sent no valid HTTP response",
            why=f"{type(error).__name__}: {said}.",
            hint="is this the address of a registry?",
        )

    def refusal(self, response: RegistryResponse, what: str) -> RegistryError:
        """The error for a status: the server's message, as far as it may be shown."""
        said = self.clean(error_message(response.body))
        why = f"It answered {response.status}{f': {said}' if said else ''}."
        return RegistryError(f"{response.url.shown} {what}", why=why)

    def clean(self, text: str) -> str:
        """`text` on one line, without secrets, as they are or as a URL has them, and without control characters."""
        spelt = {form for text in self._secrets for form in (text, quote(text, safe=""), quote_plus(text), quote(text))}
        for secret in sorted(spelt, key=len, reverse=True):
            text = text.replace(secret, "***")
        return re.sub(r"\s+|[\x00-\x1f\x7f-\x9f]", " ", text)[:300]


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"{ca_file} is not a certificate file", hint="it must be in PEM format") from error
    return context


def _read(answer: Any, limit: int, tick: Tick, url: Url) -> bytes:
    limit = limit if answer.status < 300 else _ERROR_BODY_LIMIT
    parts, left = [], limit
    while part := answer.read(min(_CHUNK, left + 1)):
        left -= len(part)
        if left < 0:
            if answer.status >= 300:
                break
            raise RegistryError(f"{url.shown} sent too much", why=f"More than {limit} bytes.")
        parts.append(part)
        tick(len(part))
    return b"".join(parts)
