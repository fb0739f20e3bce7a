"""Would this mesh accept this image? The rules of the fetcher shared by Istio, Envoy Gateway and Higress.

Taken from the source: Istio pkg/wasm/imagefetcher.go and cache.go; Envoy Gateway has a copy, Higress runs Istio's
agent. The fetcher looks at the last layer, never at the configuration; from a list it takes the linux/amd64 image.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from .challenge import Challenge
from .manifest import Manifest
from .url import parse_url

MESHES = {
    # command line name: display name, whether its fetcher refuses some registries (see `registry_problems`)
    "istio": ("Istio", True),
    "envoy-gateway": ("Envoy Gateway", False),
    "higress": ("Higress", False),
}


@dataclass(frozen=True)
class Verdict:
    """Whether `mesh` would accept it; a problem is a reason why not, a note something to know if it does."""

    mesh: str
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def judge(
    mesh: str, problems: Sequence[str], *, index: Manifest | None = None, challenges: Sequence[Challenge] = ()
) -> Verdict:
    """The verdict of `mesh` on an image with `problems`, found in the list `index` at a registry with `challenges`."""
    title, checks_realms = MESHES[mesh]
    found = [*problems, *(registry_problems(challenges) if checks_realms else ())]
    notes = []
    if index is not None and (child := index.linux_amd64()):
        notes.append(f"it takes the image for linux/amd64 from the manifest list; pin that one, {child.digest}")
    return Verdict(title, tuple(found), tuple(notes))


REALMS_SINCE = "Istio 1.27.8, 1.28.5, 1.29.1 and later"
"""Which look at the realms of a registry's challenges: the first of each minor version with that fix."""


def registry_problems(challenges: Sequence[Challenge]) -> list[str]:
    """Why Istio would refuse to log in to a registry with these challenges.

    It treats every realm as a URL and allows only https and http, and no private addresses, so the realm of a Basic
    challenge, which is arbitrary text, is a "rejected unsafe bearer realm" (pkg/wasm/imagefetcher.go of Istio).
    """
    found = []
    for challenge in challenges:
        if challenge.scheme == "basic":
            found.append(f"the registry uses Basic authentication, which {REALMS_SINCE} reject")
        elif challenge.scheme == "bearer" and not token_host(challenge):
            found.append("the registry names a token server whose URL is none")
        elif challenge.scheme == "bearer" and is_private(token_host(challenge)):
            found.append(f"the registry's token server has a private address, which {REALMS_SINCE} reject")
    return found


def token_host(challenge: Challenge) -> str:
    """The host of the token server in a Bearer challenge, or ""."""
    realm = parse_url(challenge.parameters.get("realm", ""))
    return realm.host.strip("[]") if realm else ""


def is_private(host: str) -> bool:
    """Whether `host` is an address that is only reachable from this machine or its network."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_private or address.is_loopback or address.is_link_local
