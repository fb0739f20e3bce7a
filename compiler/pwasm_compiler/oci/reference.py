"""Image references, parsed as Docker does: `[oci://]registry[:port]/repository[:tag][@sha256:…]`.

The grammar is that of the distribution project (reference/regexp.go) and of the OCI distribution specification.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from pwasm_compiler.digests import DIGEST
from pwasm_compiler.errors import UsageError

from .url import parse_url

DOCKER_HUB = "docker.io"
DEFAULT_TAG = "latest"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{{1,5}}))?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_SCHEMES = ("oci://", "docker://")
_LONGEST_REPOSITORY = 255
_HINT = "write registry.example.com/name:tag, or registry.example.com/name@sha256:…"


@dataclass(frozen=True)
class Reference:
    """An image in a registry; at least one of `tag` and `digest` is set."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"

    @property
    def version(self) -> str:
        """What to request from the registry: the digest if there is one."""
        return self.digest or self.tag or DEFAULT_TAG

    @property
    def host(self) -> str:
        """The host to connect to."""
        return host_of(self.registry)

    def pinned(self, digest: str) -> str:
        """The same image by its digest."""
        return f"{self.registry}/{self.repository}@{digest}"


def parse_reference(text: str) -> Reference:
    """The reference in `text`; raises `UsageError` if it is invalid."""
    rest = next((text.removeprefix(scheme) for scheme in _SCHEMES if text.startswith(scheme)), text)
    rest, at, digest = rest.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise _invalid(text, "The digest must be sha256: and 64 lower-case hexadecimal digits.")
    registry, repository, tag = _split(rest)
    match = _REGISTRY.fullmatch(registry)
    if match is None or parse_url(f"https://{registry}/") is None:
        raise _invalid(text, f"{registry!r} is not a registry name.")
    if tag is not None and not _TAG.fullmatch(tag):
        raise _invalid(text, "A tag may have up to 128 letters, digits, dots, dashes and underscores.")
    if not _REPOSITORY.fullmatch(repository):
        why = "A repository name must be in lower case." if repository != repository.lower() else ""
        raise _invalid(text, why or f"{repository!r} is not a repository name.")
    if len(repository) > _LONGEST_REPOSITORY:
        raise _invalid(text, "The repository name is longer than 255 characters.")
    return Reference(registry, repository, tag if tag or digest else DEFAULT_TAG, digest or None)


def names_a_registry(text: str) -> bool:
    """Whether `text` is clearly a reference: it has a scheme, or begins with a registry host."""
    if text.startswith(_SCHEMES):
        return True
    first, slash, _ = text.partition("/")
    return bool(slash) and _is_host(first) and _REGISTRY.fullmatch(first) is not None


def host_of(registry: str) -> str:
    """The host to connect to for `registry`; Docker Hub's differs from its name."""
    return "registry-1.docker.io" if registry == DOCKER_HUB else registry


def is_loopback(host: str) -> bool:
    """Whether `host`, with or without a port, is a loopback name or address."""
    name = host.lower()
    if name.startswith("[") or name.count(":") == 1:
        name = re.sub(r":\d*$", "", name).strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _split(rest: str) -> tuple[str, str, str | None]:
    """Registry, repository and tag, with Docker's defaults."""
    first, slash, after = rest.partition("/")
    registry, path = (first, after) if slash and _is_host(first) else (DOCKER_HUB, rest)
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = DOCKER_HUB
    path, colon, tag = path.partition(":")
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return registry, path, tag if colon else None


def _is_host(first: str) -> bool:
    """Docker's rule for what comes before the first slash."""
    return "." in first or ":" in first or first == "localhost" or first != first.lower()


def _invalid(text: str, why: str) -> UsageError:
    return UsageError(f"{text!r} is not a valid image reference", why=why, hint=_HINT)
