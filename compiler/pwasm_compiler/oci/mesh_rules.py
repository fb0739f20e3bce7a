"""Would this mesh take this image? The rules of the fetcher that Istio, Envoy Gateway and Higress share.

Read in the source: Istio pkg/wasm/imagefetcher.go and cache.go; Envoy Gateway has a copy, Higress runs Istio's agent.
The fetcher looks at the last layer, never at the configuration; it takes the linux/amd64 image of a list.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from .challenge import Challenge
from .manifest import Manifest

MESHES = {
    # name on the command line: what it is called, whether its fetcher refuses some registries (see `registry_problems`)
    "istio": ("Istio", True),
    "envoy-gateway": ("Envoy Gateway", False),
    "higress": ("Higress", False),
}


@dataclass(frozen=True)
class Verdict:
    """Whether `mesh` would take it; each problem is a reason why not, each note something to know if it does."""

    mesh: str
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.problems


def judge(
    mesh: str, problems: Sequence[str], *, index: Manifest | None = None, challenges: Sequence[Challenge] = ()
) -> Verdict:
    """The verdict of `mesh` on an image with `problems`, found in the list `index` at a registry with `challenges`."""
    title, checks_realms = MESHES[mesh]
    found = [*problems, *(registry_problems(challenges) if checks_realms else ())]
    notes = []
    if index is not None and (child := index.linux_amd64()):
        notes.append(f"of the manifest list it takes the image for linux/amd64; pin that one, {child.digest}")
    return Verdict(title, tuple(found), tuple(notes))


def registry_problems(challenges: Sequence[Challenge]) -> list[str]:
    """Why Istio refuses to log in to a registry that asks for credentials so.

    Since 1.29.1 it takes every realm for a URL and allows only https and http to public addresses, so that the realm
    of a Basic challenge, which is any text, is "rejected unsafe bearer realm".
    """
    found = []
    for challenge in challenges:
        if challenge.scheme == "basic":
            found.append("the registry asks for Basic credentials, which Istio refuses from 1.29.1 on")
        elif challenge.scheme == "bearer" and is_private(token_host(challenge)):
            found.append(
                "the registry's token server is named by a private address, which Istio refuses from 1.29.1 on"
            )
    return found


def token_host(challenge: Challenge) -> str:
    """The host of the token server that a Bearer challenge names, or nothing."""
    return urlsplit(challenge.parameters.get("realm", "")).hostname or ""


def is_private(host: str) -> bool:
    """Whether `host` is an address that only this machine or its network has, to whoever fetches from elsewhere."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_private or address.is_loopback or address.is_link_local
