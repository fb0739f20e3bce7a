"""Reproducible images of a module that every mesh accepts: the same module and labels give the same digest.

Three formats, each supported by Istio, Envoy Gateway and Higress:

    oci        one layer, a gzipped tar with plugin.wasm ("compat" in the spec of Wasm images); what Docker builds
    docker     the same with Docker's media types, for registries that know no others
    artifact   two layers, the second the bare module ("oci" in that spec); container engines cannot run or load it

No timestamp, user or file name of this machine goes into an image.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Mapping
from typing import Any, Literal

from pwasm_compiler.digests import digest_of

from .manifest import (
    ARTIFACT_CONFIG,
    ARTIFACT_MODULE,
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Image,
    Manifest,
    canonical_json,
)

PLUGIN = "plugin.wasm"
VARIANT = "module.wasm.image/variant"
Format = Literal["oci", "docker", "artifact"]
FORMATS: tuple[Format, ...] = ("oci", "docker", "artifact")

_GZIP_LEVEL = 6  # 9 takes four times as long and saves 1 % of the size
_GZIP_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # deflate; no flags, no time; unknown system
_FILE_MODE = 0o644
_UNKNOWN_CONFIG = "application/vnd.unknown.config.v1+json"  # what the first tools for these artifacts wrote
_RUNTIME = {"type": "envoy_proxy", "abiVersions": ["v0.2.1"], "config": {"rootIds": [""]}}
_MEDIA_TYPES = {"oci": (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER), "docker": (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)}


def make_image(module: bytes, labels: Mapping[str, str], style: Format = "oci") -> Image:
    """The image of `module`; `labels` become its annotations (and labels, if the format has them)."""
    return _artifact(module, labels) if style == "artifact" else _container(module, labels, style)


def _container(module: bytes, labels: Mapping[str, str], style: Format) -> Image:
    manifest_type, config_type, layer_type = _MEDIA_TYPES[style]
    tar = _tar(module)
    layer = _gzip(tar)
    config = canonical_json(
        {
            # Container engines refuse platforms other than their own; the meshes ignore all of this.
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": dict(labels)},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)]},
            "history": [{"created_by": "pwasm package"}],
        }
    )
    annotations = {VARIANT: "compat", **labels} if style == "oci" else {}
    return _image(manifest_type, (config_type, config), [(layer_type, layer)], annotations)


def _artifact(module: bytes, labels: Mapping[str, str]) -> Image:
    layers = [(ARTIFACT_CONFIG, canonical_json(_RUNTIME)), (ARTIFACT_MODULE, module)]
    return _image(OCI_MANIFEST, (_UNKNOWN_CONFIG, b"{}"), layers, dict(labels))


def _image(
    media_type: str, config: tuple[str, bytes], layers: list[tuple[str, bytes]], annotations: Mapping[str, str]
) -> Image:
    first, *others = (Descriptor(kind, digest_of(data), len(data)) for kind, data in (config, *layers))
    found: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": first.to_json(),
        "layers": [layer.to_json() for layer in others],
    }
    if annotations:
        found["annotations"] = dict(sorted(annotations.items()))
    manifest = Manifest(canonical_json(found), media_type, first, tuple(others), annotations=annotations)
    blobs = [data for _, data in (config, *layers)]
    return Image(manifest, {part.digest: data for part, data in zip(manifest.parts, blobs, strict=True)})


def _tar(module: bytes) -> bytes:
    """A single regular file: some meshes read the archive less carefully than others."""
    info = tarfile.TarInfo(PLUGIN)
    info.size, info.mode, info.mtime = len(module), _FILE_MODE, 0
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(module))
    return buffer.getvalue()


def _gzip(data: bytes) -> bytes:
    """Gzip without a time, name or system (RFC 1952), which Python's module fills in depending on its version."""
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(data) + packer.flush()
    return _GZIP_HEADER + packed + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def labels_for(module: bytes, name: str, project: Mapping[str, Any], sdk: str | None) -> dict[str, str]:
    """Annotations defined by the OCI specification, from a filter's `[project]` table."""
    texts = {
        "title": name,
        "version": project.get("version"),
        "description": project.get("description"),
        "licenses": project.get("license"),
    }
    labels = {f"org.opencontainers.image.{key}": text for key, text in texts.items() if isinstance(text, str) and text}
    labels["dev.pwasm.wasm-sha256"] = hashlib.sha256(module).hexdigest()
    return labels | ({"dev.pwasm.sdk-version": sdk} if sdk else {})
