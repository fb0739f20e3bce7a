"""The module inside an image, located as the meshes' fetcher does, and never unpacked beyond a limit.

The rules are those of Istio's pkg/wasm/imagefetcher.go, which Envoy Gateway copied and Higress runs.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import PurePosixPath

from pwasm_compiler.errors import ImageError

from .image import PLUGIN
from .manifest import (
    ARTIFACT_MODULE,
    BLOB_LIMIT,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_LAYER,
    Descriptor,
    Manifest,
)
from .tars import content, members, open_tar, reading

_MAGIC = b"\0asm"
_SHORTEST_MODULE = 8
_NAMES = 5
"""Of what is there instead, in an error."""


def module_layer(manifest: Manifest) -> Descriptor:
    """The layer that contains the module; raises `ImageError` if the fetcher would find none."""
    if manifest.is_index:
        platforms = ", ".join(child.platform or "?" for child in manifest.children) or "nothing"
        raise ImageError(
            "this is a manifest list, not an image",
            why=f"It lists images for {platforms}. A module has no platform, and its digest is not the list's.",
            hint="push a single image, or refer to one in the list by its digest",
        )
    expected = DOCKER_LAYER if manifest.media_type == DOCKER_MANIFEST else OCI_LAYER
    if manifest.layers and manifest.layers[-1].media_type == expected:
        return manifest.layers[-1]
    modules = [layer for layer in manifest.layers if layer.media_type == ARTIFACT_MODULE]
    if manifest.media_type != DOCKER_MANIFEST and len(manifest.layers) == 2 and modules:
        return modules[0]
    raise ImageError("the image has no layer with a module", why=_why_not(manifest, expected))


def _why_not(manifest: Manifest, expected: str) -> str:
    if not manifest.layers:
        return "It has no layers."
    count = len(manifest.layers)
    if any(layer.media_type == ARTIFACT_MODULE for layer in manifest.layers):
        return f"An artifact has 2 layers, the module and its configuration; this one has {count}."
    found = manifest.layers[-1].media_type[:100]
    return f"The last of its {count} layers is {found!r} instead of {expected!r}."


def extract(layer: Descriptor, data: bytes, limit: int = BLOB_LIMIT) -> bytes:
    """The module in the blob of `layer`.

    Raises:
        ImageError: no plugin.wasm, not a module, not a gzipped tar, or more than `limit` bytes unpacked.
    """
    module = data if layer.media_type == ARTIFACT_MODULE else _plugin(data, limit)
    if len(module) < _SHORTEST_MODULE or not module.startswith(_MAGIC):
        raise ImageError(f"{PLUGIN} is not a Wasm module", why="It does not start with the Wasm magic number.")
    return module


class _Limited(io.RawIOBase):
    """The contents of a gzip stream, up to a limit."""

    def __init__(self, data: bytes, limit: int) -> None:
        self._stream = gzip.GzipFile(fileobj=io.BytesIO(data))
        self._left = limit

    def read(self, size: int = -1) -> bytes:
        """The next bytes; one more than the limit is an error."""
        found = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(found)
        if self._left < 0:
            raise _too_large()
        return found


def _plugin(data: bytes, limit: int) -> bytes:
    names: list[str] = []
    with (
        reading("the layer is damaged", of="a complete gzipped tar"),
        open_tar("r|", _Limited(data, limit)) as archive,
    ):
        for member in members(archive):
            if PurePosixPath(member.name).name == PLUGIN:
                return _module(archive, member, limit)
            if len(names) < _NAMES:
                names.append(member.name[:60])
    raise ImageError(
        f"no {PLUGIN} in the image",
        why=f"Its last layer contains {', '.join(names) or 'nothing'}.",
        hint=f"build it with pwasm package, or in a Dockerfile: COPY main.wasm ./{PLUGIN}",
    )


def _module(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes:
    if member.size > limit:
        raise _too_large()
    found = content(archive, member, limit + 1)
    if found is None:
        raise ImageError(f"{PLUGIN} in the image is not a regular file")
    if len(found) != member.size:
        raise tarfile.ReadError(f"{PLUGIN} is truncated")
    return found


def _too_large() -> ImageError:
    return ImageError(
        f"the image unpacks to more than {BLOB_LIMIT >> 20} MiB",
        why="No mesh accepts a module of that size; the rest was not unpacked.",
    )
