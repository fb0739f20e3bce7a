"""A registry client: the OCI distribution protocol, with Docker's two authentication schemes.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md
    https://distribution.github.io/distribution/spec/auth/token/

Credentials are looked up only when the registry itself asks for them: a challenge of a host that it redirects to is not
answered. They are sent to the token server that the registry's Bearer challenge names, wherever that is, as Docker
does, but only over https or on this machine.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import urlencode

from pwasm_compiler.digests import digest_of
from pwasm_compiler.errors import ImageError, RegistryError

from .answers import token_in
from .challenge import Challenge, parse_challenges
from .credentials import Credentials, find_credentials
from .manifest import (
    BLOB_LIMIT,
    IMAGE_LIMIT,
    INDEXES,
    MANIFEST_LIMIT,
    MANIFESTS,
    Descriptor,
    Image,
    Manifest,
    checked,
    parse_manifest,
)
from .reference import Reference
from .transport import RegistryRequest, RegistryResponse, Tick, Transport, ignore
from .url import Url, parse_url

_ACCEPT = ", ".join((*MANIFESTS, *INDEXES))
_SMALL = 1 << 20
_CLIENT = "pwasm"
CHUNK_BYTES = 64 << 20
"""Larger blobs are uploaded in chunks: proxies in front of registries often limit the request size."""


class Registry:
    """The repository of one reference. Nothing outlives the object."""

    def __init__(
        self,
        reference: Reference,
        transport: Transport,
        *,
        credentials: Callable[[Reference], Credentials | None] = find_credentials,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self.reference = reference
        self._transport = transport
        self._credentials = credentials
        self._chunk_bytes = chunk_bytes
        self._authorization: str | None = None
        self._anonymous = False
        base = parse_url(f"{transport.scheme(reference.host)}://{reference.host}/v2/")
        assert base is not None, "a reference has a usable host"
        self._base = base
        self._repository = replace(base, path=f"{base.path}{reference.repository}/")

    def challenges(self) -> list[Challenge]:
        """The registry's challenges to an anonymous client; empty if it sends none."""
        response = self._transport.send(RegistryRequest("GET", self._base), _SMALL)
        return _challenges(response) if response.status == 401 and not response.elsewhere else []

    def manifest(self, version: str = "") -> Manifest:
        """The manifest for a tag or a digest; by default the reference's."""
        version = version or self.reference.version
        response = self._call("GET", f"manifests/{version}", limit=MANIFEST_LIMIT, headers={"Accept": _ACCEPT})
        if response.status != 200:
            raise self._refusal(response, f"has no image {self.reference.repository}:{version}", missing=True)
        if version.startswith("sha256:") and digest_of(response.body) != version:
            raise ImageError(
                f"{self.reference.host} sent a different image than {version}",
                why=f"The received image has the digest {digest_of(response.body)}.",
                hint="do not use it; it has been modified",
            )
        return parse_manifest(
            response.body, response.headers.get("Content-Type", ""), f"{self.reference}: the manifest"
        )

    def blob(self, descriptor: Descriptor, received: Tick = ignore) -> bytes:
        """A blob, complete and with a verified digest."""
        if descriptor.size > BLOB_LIMIT:
            raise ImageError(f"blob {descriptor.digest} is larger than {BLOB_LIMIT >> 20} MiB; it was not fetched")
        response = self._call("GET", f"blobs/{descriptor.digest}", limit=descriptor.size, received=received)
        if response.status != 200:
            raise self._refusal(response, f"has no blob {descriptor.digest}", missing=True)
        return checked(response.body, descriptor)

    def pull(self, received: Tick = ignore, *, manifest: Manifest | None = None) -> Image:
        """The whole image."""
        manifest = manifest or self.manifest()
        parts = {part.digest: part for part in manifest.parts}
        if sum(part.size for part in parts.values()) > IMAGE_LIMIT:
            raise ImageError(
                f"{self.reference} is larger than {IMAGE_LIMIT >> 20} MiB", why="It is no image of a filter."
            )
        return Image(manifest, {digest: self.blob(part, received) for digest, part in parts.items()})

    def push(self, image: Image, sent: Tick = ignore) -> str:
        """Upload `image` under the reference's tag, read all of it back, and return its digest."""
        manifest = image.manifest
        for part in manifest.parts:
            if not self._has(part):
                self._upload(part, image.blob(part), sent)
        version = self.reference.tag or image.digest
        headers = {"Content-Type": manifest.media_type}
        response = self._call("PUT", f"manifests/{version}", body=manifest.raw, headers=headers)
        if response.status not in (200, 201, 202):
            raise self._refusal(response, f"did not accept the image {self.reference.repository}:{version}")
        self._verify(image, version)
        return image.digest

    def _verify(self, image: Image, version: str) -> None:
        found = self.manifest(version)
        if found.raw != image.manifest.raw or self.manifest(image.digest).raw != found.raw:
            raise RegistryError(
                f"{self.reference} is not what was pushed",
                why=f"Its digest there is {found.digest}, that of the image is {image.digest}.",
                hint="either someone else pushed at the same moment, or the registry rewrites images",
            )
        self.pull(manifest=found)

    def _has(self, part: Descriptor) -> bool:
        return self._call("HEAD", f"blobs/{part.digest}").status == 200

    def _upload(self, part: Descriptor, data: bytes, sent: Tick) -> None:
        """Send a blob; a failed upload cannot be resumed, so it is retried as a whole."""
        response = self._transport.retry(lambda: self._upload_once(part, data, sent))
        if response.status != 201:
            raise self._refusal(response, f"did not accept the blob {part.digest}")

    def _upload_once(self, part: Descriptor, data: bytes, sent: Tick) -> RegistryResponse:
        response = self._call("POST", "blobs/uploads/", body=b"", again=False)
        if response.status != 202:
            return response
        secret = not response.elsewhere
        if len(data) > self._chunk_bytes:
            for start in range(0, len(data), self._chunk_bytes):
                piece = data[start : start + self._chunk_bytes]
                headers = {"Content-Range": f"{start}-{start + len(piece) - 1}"}
                where = self._location(response)
                response = self._call(
                    "PATCH", where, body=piece, headers=headers, sent=sent, again=False, trusted=secret
                )
                if response.status != 202:
                    return response
                secret = secret and not response.elsewhere
            data = b""
        where = self._location(response).with_query("digest", part.digest)
        return self._call("PUT", where, body=data, sent=sent, again=False, trusted=secret)

    def _location(self, response: RegistryResponse) -> Url:
        found = response.headers.get("Location")
        if not found:
            raise RegistryError(f"{self.reference.host} sent no upload location")
        return self._transport.target(response.url, found)

    def _call(
        self,
        method: str,
        path: str | Url,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        limit: int = _SMALL,
        sent: Tick = ignore,
        received: Tick = ignore,
        again: bool = True,
        trusted: bool = True,
    ) -> RegistryResponse:
        """One request, with authentication if the registry asks for it.

        `path` is one of ours, or a URL that the registry named, if `trusted`, or another host.
        """
        url = replace(self._repository, path=self._repository.path + path) if isinstance(path, str) else path

        # The registry may send us to another host, which must not get our credentials for the registry.
        ours = trusted and url.origin == self._base.origin

        def go() -> RegistryResponse:
            authorization = self._authorization if ours else None
            request = RegistryRequest(
                method, url, headers or {}, body, authorization, self._anonymous, sent=sent, received=received
            )
            return self._transport.send(request, limit, again=again)

        response = go()
        if response.status == 401 and (response.elsewhere or not ours):
            raise self._foreign(response)
        if response.status == 401:
            self._authorization = self._log_in(_challenges(response), response)
            response = go()
        if response.status == 401:
            raise self._foreign(response) if response.elsewhere else self._refusal(response, "rejected the credentials")
        return response

    def _foreign(self, response: RegistryResponse) -> RegistryError:
        """The error for a host that the registry led to, and that asks for credentials of its own."""
        error = self._transport.refusal(response, "requires authentication")
        error.why += f" {self.reference.host} led there; your credentials for it are not sent to other hosts."
        error.hint = "its storage, or what answers in its place, is not set up correctly: tell its administrator"
        return error

    def _log_in(self, challenges: Sequence[Challenge], response: RegistryResponse) -> str:
        bearer = next((item for item in challenges if item.scheme == "bearer"), None)
        basic = any(item.scheme == "basic" for item in challenges)
        if bearer is None and not basic:
            raise self._refusal(response, "requires an authentication scheme that pwasm does not support")
        known = self._credentials(self.reference)
        self._anonymous = known is None
        if known is not None:
            self._transport.keep_secret(*known.secrets)
            if not self._transport.may_carry_secrets(self._base):
                raise _plain(self.reference.host)
        if bearer is not None:
            return f"Bearer {self._token(bearer, known)}"
        if known is None or not known.password:
            raise self._refusal(response, "requires authentication")
        return _basic(known)

    def _token(self, challenge: Challenge, known: Credentials | None) -> str:
        realm = parse_url(challenge.parameters.get("realm", ""))
        if realm is None:
            raise RegistryError(
                f"{self.reference.host} names no valid token server", why="The realm is not an http or https URL."
            )
        if known is not None and not self._transport.may_carry_secrets(realm):
            raise _plain(realm.authority)
        scope = challenge.parameters.get("scope") or f"repository:{self.reference.repository}:pull,push"
        question = {"service": challenge.parameters.get("service", ""), "scope": scope}
        response = self._transport.send(_token_request(realm, question, known), _SMALL)
        if response.status != 200:
            raise self._refusal(response, "issued no token")
        token = token_in(response.body)
        if token is None:
            raise RegistryError(f"{realm.shown} did not answer with a token")
        self._transport.keep_secret(token)
        return token

    def _refusal(self, response: RegistryResponse, what: str, *, missing: bool = False) -> RegistryError:
        """The error for a status, with a hint."""
        error = self._transport.refusal(response, what)
        if response.status == 404 and missing:
            error.what = f"{self.reference.host} {what}"
            error.hint = "is the name correct? some registries also report this for images you may not access"
        else:
            error.hint = _HINTS.get(response.status, "").format(registry=self.reference.registry)
        return error


_HINTS = {
    400: "if the registry uses TLS on this port, pass its certificate authority with --ca-file",
    401: "log in with: docker login {registry} (or podman, skopeo, oras)",
    403: "you lack permission for this; log in as a user who has it: docker login {registry}",
    404: "does the project or namespace exist?",
    405: "this registry, or a cache in front of it, is read-only",
    413: "a proxy in front of the registry rejects requests of this size",
}


def _challenges(response: RegistryResponse) -> list[Challenge]:
    return parse_challenges(response.headers.get_all("WWW-Authenticate", []))


def _token_request(realm: Url, question: dict[str, str], known: Credentials | None) -> RegistryRequest:
    if known is not None and known.identity_token:
        fields = question | {
            "grant_type": "refresh_token",
            "client_id": _CLIENT,
            "refresh_token": known.identity_token,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return RegistryRequest("POST", realm, headers, urlencode(fields).encode(), secret_body=True)
    url = realm
    for name, value in question.items():
        url = url.with_query(name, value) if value else url
    return RegistryRequest("GET", url, authorization=_basic(known) if known is not None else None)


def _basic(known: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{known.username}:{known.password}".encode()).decode()


def _plain(host: str) -> RegistryError:
    return RegistryError(
        f"{host} asks for credentials over plain HTTP",
        why="Anyone on the network path could read them, so they were not sent.",
        hint="use https, the default without --plain-http",
    )
