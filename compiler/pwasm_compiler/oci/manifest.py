"""Manifests from a registry or a folder: anyone may have written them, so nothing in them is trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pwasm_compiler.digests import DIGEST, digest_of
from pwasm_compiler.errors import ImageError
from pwasm_compiler.files import MODULE_LIMIT

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ARTIFACT_CONFIG = "application/vnd.module.wasm.config.v1+json"
ARTIFACT_MODULE = "application/vnd.module.wasm.content.layer.v1+wasm"

INDEXES = (OCI_INDEX, DOCKER_LIST)
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)

BLOB_LIMIT = MODULE_LIMIT
"""Size limit in bytes of any blob, packed or unpacked: the maximum that Istio and Envoy Gateway accept."""
IMAGE_LIMIT = 2 * BLOB_LIMIT
"""All of an image together, in an archive or a registry: a manifest may list thousands of blobs."""
MANIFEST_LIMIT = 4 << 20
"""Size limit in bytes, as the distribution specification requires of registries."""
_LARGEST_SIZE = 2**63 - 1
"""An int64, says the image specification (descriptor.md)."""


@dataclass(frozen=True)
class Descriptor:
    """One blob: its type, its digest and its size in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    """`os/architecture`, for the entries of an index."""

    def to_json(self) -> dict[str, Any]:
        """The descriptor as written in a manifest."""
        found: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return found | ({"annotations": dict(self.annotations)} if self.annotations else {})


@dataclass(frozen=True)
class Manifest:
    """An image's manifest, or an index of several, with its entries in `children` and no `layers`."""

    raw: bytes
    media_type: str
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest to pin."""
        return digest_of(self.raw)

    @property
    def is_index(self) -> bool:
        """Whether this is a manifest list rather than an image."""
        return self.media_type in INDEXES

    @property
    def parts(self) -> tuple[Descriptor, ...]:
        """Every blob that it refers to."""
        return (*((self.config,) if self.config else ()), *self.layers)

    def descriptor(self, annotations: Mapping[str, str] | None = None) -> Descriptor:
        """The descriptor of this manifest in an index."""
        return Descriptor(self.media_type, self.digest, len(self.raw), annotations or {})

    def linux_amd64(self) -> Descriptor | None:
        """The entry of an index that the meshes use."""
        return next((child for child in self.children if child.platform == "linux/amd64"), None)


@dataclass(frozen=True)
class Image:
    """A manifest and the blobs it refers to, by digest."""

    manifest: Manifest
    blobs: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """The digest to pin."""
        return self.manifest.digest

    def blob(self, descriptor: Descriptor) -> bytes:
        """The blob of `descriptor`; `ImageError` if it does not match the descriptor."""
        if descriptor.digest not in self.blobs:
            raise ImageError(f"the image is missing the blob {descriptor.digest}")
        return checked(self.blobs[descriptor.digest], descriptor)


def checked(data: bytes, descriptor: Descriptor) -> bytes:
    """`data`, if its size and digest match `descriptor`."""
    if len(data) != descriptor.size:
        raise ImageError(
            f"blob {descriptor.digest} is {'truncated' if len(data) < descriptor.size else 'too long'}",
            why=f"Expected {descriptor.size} bytes, got {len(data)}.",
        )
    if digest_of(data) != descriptor.digest:
        raise ImageError(
            f"the content of blob {descriptor.digest} does not match its digest",
            why=f"The digest of the content is {digest_of(data)}.",
            hint="do not use it; it has been modified",
        )
    return data


def parse_manifest(raw: bytes, media_type: str = "", where: str = "the manifest") -> Manifest:
    """Read `raw`; `media_type` is what the registry called it.

    Raises:
        ImageError: it is not a usable manifest.
    """
    found = json_object(raw, where)
    declared = found.get("mediaType")
    kind = declared if isinstance(declared, str) else media_type.partition(";")[0].strip()
    if kind not in (*MANIFESTS, *INDEXES):
        kind = OCI_INDEX if "manifests" in found else OCI_MANIFEST if "layers" in found else kind
    annotations = _annotations(found)
    if kind in INDEXES:
        children = tuple(_descriptor(entry, where) for entry in _list(found, "manifests", where))
        return Manifest(raw, kind, children=children, annotations=annotations)
    if kind not in MANIFESTS or found.get("schemaVersion") != 2:
        raise ImageError(f"{where} is not an image manifest", why=f"Its media type is {kind[:100]!r}.")
    layers = tuple(_descriptor(entry, where) for entry in _list(found, "layers", where))
    return Manifest(raw, kind, _descriptor(found.get("config"), where), layers, annotations=annotations)


def json_object(raw: bytes, where: str) -> dict[str, Any]:
    """The JSON object in `raw`, or an `ImageError` that names `where`."""
    if len(raw) > MANIFEST_LIMIT:
        raise ImageError(f"{where} is larger than {MANIFEST_LIMIT >> 20} MiB")
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{where} is not JSON") from error
    if not isinstance(found, dict):
        raise ImageError(f"{where} is not a JSON object")
    return found


def canonical_json(value: object) -> bytes:
    """`value` in canonical form, so that the digest is the same everywhere."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def _list(found: dict[str, Any], key: str, where: str) -> list[Any]:
    value = found.get(key)
    if not isinstance(value, list):
        raise ImageError(f"{where} has no list of {key}")
    return value


def _descriptor(entry: object, where: str) -> Descriptor:
    if not isinstance(entry, dict):
        raise ImageError(f"{where} has an entry that is not a descriptor")
    kind, digest, size = entry.get("mediaType"), entry.get("digest"), entry.get("size")
    if not isinstance(kind, str) or not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ImageError(f"{where} has an entry without a media type and a sha256 digest")
    if type(size) is not int or not 0 <= size <= _LARGEST_SIZE:
        raise ImageError(f"{where} has an entry without a size")
    return Descriptor(kind, digest, size, _annotations(entry), _platform(entry.get("platform")))


def _platform(found: object) -> str:
    return f"{found.get('os', '')}/{found.get('architecture', '')}" if isinstance(found, dict) else ""


def _annotations(found: dict[str, Any]) -> dict[str, str]:
    annotations = found.get("annotations")
    if not isinstance(annotations, dict):
        return {}
    return {key: value for key, value in annotations.items() if isinstance(value, str)}
